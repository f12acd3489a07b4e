"""How the cost of the Linear DiT grows: with the tokens of one forward, and with the length of a streamed video.

usage: python tests/bench/bench_growth.py [picture; default: none is drawn]

A forward should take time in proportion to its tokens, from 1,000 to 64,000. A stream (blocks of 10 latent frames, two
looks at each and one to commit it) should take the same time for every block, and no more memory for 65 s of video
(261 latent frames) than for 5 s (21); beside it stands the memory of all frames in one block-causal forward. CPU
seconds; memory in a process for each, above that of the model alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.model_pair import EXACT_MEMORY, SMALL, cpu_seconds, framemill, grown_mib, inputs

CONFIG = dataclasses.replace(SMALL, num_attention_heads=4, num_cross_attention_heads=4, num_layers=2)
TOKENS_OF_A_FRAME = (16, 16)
FRAMES = (4, 8, 16, 32, 64, 128, 256)
"""Latent frames of 256 tokens each: 1k to 64k tokens."""
LATENT_FRAMES = (21, 61, 141, 261)
"""5, 15, 35 and 65 s at 16 frames a second and 4 frames in a latent frame."""
BLOCK = 10


def starts(frames: int) -> list[int]:
    """SANA-Video's blocks: 10 frames each, of which the first takes what is over."""
    return [0, *range(BLOCK + frames % BLOCK, frames, BLOCK)]


@torch.no_grad()
def forward_seconds() -> dict[int, float]:
    model, step = framemill(CONFIG)
    model.eval()
    seconds_by_tokens = {}
    for frames in FRAMES:
        given = inputs(CONFIG, (frames, *TOKENS_OF_A_FRAME))
        step(given)
        seconds_by_tokens[frames * math.prod(TOKENS_OF_A_FRAME)] = min(
            cpu_seconds(lambda g=given: step(g)) for _ in range(3)
        )
    return seconds_by_tokens


@torch.no_grad()
def child(mode: str, frames: int) -> None:
    """A JSON line: the MiB taken, and the CPU seconds of each block of a stream."""
    model, step = framemill(CONFIG)
    model.eval()
    seconds: list[float] = []
    blocks = starts(frames)
    caption = inputs(CONFIG, (1, *TOKENS_OF_A_FRAME))
    step(caption)  # code and thread pools are no part of it

    def stream() -> None:
        text = model.read_caption(caption.text, caption.mask)
        state = model.new_state(1, *TOKENS_OF_A_FRAME)
        for start, end in zip(blocks, [*blocks[1:], frames], strict=True):

            def block(start: int = start, end: int = end) -> None:
                nonlocal state
                latents = torch.randn(1, CONFIG.in_channels, end - start, *TOKENS_OF_A_FRAME)
                for timestep, commit in ((900.0, False), (500.0, False), (0.0, True)):
                    _, state = model.step(latents, torch.tensor([timestep]), text, None, state, commit)

            seconds.append(cpu_seconds(block))

    def at_once() -> None:
        given = inputs(CONFIG, (frames, *TOKENS_OF_A_FRAME))
        model(given.latents, given.timestep, given.text, given.mask, blocks)

    grown = grown_mib(stream if mode == "stream" else at_once)
    print(json.dumps([grown, seconds]))


def measure(mode: str, frames: int) -> tuple[float, list[float]]:
    command = [sys.executable, __file__, "child", mode, str(frames)]
    grown, seconds = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=EXACT_MEMORY).stdout
    )
    return grown, seconds


def exponent(seconds_by_tokens: dict[int, float]) -> float:
    """p of time = c tokens^p, by least squares over the logarithms."""
    xs, ys = (
        [math.log(tokens) for tokens in seconds_by_tokens],
        [math.log(seconds) for seconds in seconds_by_tokens.values()],
    )
    return statistics.linear_regression(xs, ys).slope


def draw(
    path: str, times: dict[int, float], streams: dict[int, tuple[float, list[float]]], whole: dict[int, float]
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    left.loglog(list(times), list(times.values()), "o-")
    left.set(xlabel="tokens", ylabel="CPU seconds", title=f"A forward: tokens$^{{{exponent(times):.2f}}}$")
    middle.plot(list(whole), list(whole.values()), "o--", label="one forward")
    middle.plot(list(streams), [grown for grown, _ in streams.values()], "o-", label="stream")
    middle.set(xlabel="latent frames", ylabel="MiB", title="Memory", ylim=(0, None))
    middle.legend()
    right.plot(streams[LATENT_FRAMES[-1]][1], "o-")
    right.set(xlabel="block", ylabel="CPU seconds", title="Time of a block", ylim=(0, None))
    figure.savefig(path, dpi=120)
    print(f"drawn: {path}")


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["child"]:
        return child(sys.argv[2], int(sys.argv[3]))
    print(f"width {CONFIG.width}, {CONFIG.num_layers} layers, one thread, float32, batch 1\n")
    times = forward_seconds()
    print(f"{'tokens':>8} {'CPU s':>8} {'us a token':>12}")
    for tokens, seconds in times.items():
        print(f"{tokens:8} {seconds:8.3f} {1e6 * seconds / tokens:12.1f}")
    print(f"time grows as tokens^{exponent(times):.2f}\n")
    print("latent frames  blocks  stream MiB  one forward MiB  CPU s of a block: first  median   last")
    streams, whole = {}, {}
    for frames in LATENT_FRAMES:
        streams[frames], whole[frames] = measure("stream", frames), measure("whole", frames)[0]
        grown, seconds = streams[frames]
        print(
            f"{frames:13} {len(seconds):7} {grown:11.0f} {whole[frames]:16.0f} {seconds[0]:24.2f} "
            f"{statistics.median(seconds):7.2f} {seconds[-1]:6.2f}",
            flush=True,
        )
    if len(sys.argv) > 1:
        draw(sys.argv[1], times, streams, whole)


if __name__ == "__main__":
    main()
