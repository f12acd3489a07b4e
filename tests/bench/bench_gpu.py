"""SANA-Video 2B on a GPU, bfloat16, 81 frames of 480x832 (32,760 tokens): this model and diffusers', eager, compiled.

usage: python tests/bench/bench_gpu.py [2b | tiny; default: 2b] [peak TFLOP/s of the GPU in bfloat16; default: by name]

Each model runs in a process of its own. MFU counts the formula of `training/model/flops.py` alone: what a training
step computes again (whole blocks, in both models) is no use. 2b needs a CUDA GPU of 80 GB; tiny runs without one as
well, for a look at the bench and not at the models.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from framemill.training.model import LinearDiTConfig
from framemill.training.model.flops import forward_flops

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.model_pair import MODELS, inputs, status_mib, train

PEAKS = {"H100": 989e12, "H200": 989e12, "GH200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12}
"""FLOP/s of dense bfloat16 products, of the makers' data sheets (SXM boards)."""

SIZES = {"2b": (LinearDiTConfig.sana_video_2b, (21, 60, 104)), "tiny": (LinearDiTConfig.tiny, (5, 32, 32))}
WARM_UP, RUNS = 3, 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEXT_TOKENS = 300


def child(name: str, mode: str, size: str) -> None:
    """Measures one model; a JSON line with seconds and GiB of a forward and of a training step."""
    make_config, grid = SIZES[size]
    config = make_config()
    model, step = MODELS[name](config, "full")
    model.to(DEVICE, torch.bfloat16)
    if mode == "compiled":
        for block in model.transformer_blocks:
            block.compile()
    given = inputs(config, grid, device=DEVICE)
    given = type(given)(given.latents.bfloat16(), given.timestep, given.text.bfloat16(), given.mask)

    def forward() -> None:
        with torch.no_grad():
            step(given)

    costs = {
        "forward": measured(model.eval(), forward),
        "training step": measured(model.train(), lambda: train(step, given)),
    }
    print(json.dumps(costs))


def measured(model: torch.nn.Module, function: Callable[[], None]) -> tuple[float, float]:
    """The median seconds of a call, and the GiB that the GPU held at most (without one: the process since it began)."""
    for _ in range(WARM_UP):
        function()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        function()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        model.zero_grad(set_to_none=True)
    peak = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else status_mib("VmHWM") * 2**20
    return sorted(seconds)[RUNS // 2], peak / 2**30


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        return child(*sys.argv[2:])
    size = sys.argv[1] if len(sys.argv) > 1 else "2b"
    if DEVICE == "cpu" and size != "tiny":
        print(f"{size} needs a CUDA GPU, and finds none. On a machine with one: python tests/bench/bench_gpu.py {size}")
        return
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "no GPU"
    peak = float(sys.argv[2]) * 1e12 if len(sys.argv) > 2 else next((PEAKS[n] for n in PEAKS if n in device), None)
    make_config, grid = SIZES[size]
    config = make_config()
    tokens = grid[0] * grid[1] * grid[2] // (config.patch_size[1] * config.patch_size[2])
    flops = forward_flops(config, tokens, TEXT_TOKENS)
    print(f"{device}, torch {version('torch')}, diffusers {version('diffusers')}; {size}, {tokens} tokens, bfloat16")
    limit = f"{peak / 1e12:.0f} TFLOP/s" if peak else "unknown"
    print(f"a forward takes {flops / 1e12:.3g} TFLOP, a training step three times that; peak {limit}")
    results = {}
    for name in MODELS:
        for mode in ("eager", "compiled"):
            command = [sys.executable, __file__, "child", name, mode, size]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            results[name, mode] = json.loads(answer.splitlines()[-1])
    for work, times in (("forward", 1), ("training step", 3)):
        print(f"\n{work:<20} {'ms':>9} {'tokens/s':>10} {'MFU':>7} {'GiB':>7}")
        for (name, mode), costs in results.items():
            seconds, gib = costs[work]
            mfu = f"{times * flops / seconds / peak:7.1%}" if peak else "      ?"
            print(f"{name} {mode:<10} {1000 * seconds:9.1f} {tokens / seconds:10.0f} {mfu} {gib:7.1f}")
        for mode in ("eager", "compiled"):
            ours, theirs = results["framemill", mode][work], results["diffusers", mode][work]
            print(f"{mode}: {theirs[0] / ours[0]:.2f} times diffusers' speed, {ours[1] / theirs[1]:.2f} of its memory")


if __name__ == "__main__":
    main()
