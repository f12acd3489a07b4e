"""The Linear DiT against diffusers' on a CPU: time of a forward and of a training step, and the step's memory.

usage: python tests/bench/bench_model.py [latent frames, rows, columns; default: 21 15 13]

Times are CPU seconds of one thread, the least of three runs that take turns with the peer's. Memory is taken in a
process for each: how far a first training step raises it above the model alone, gradients included, at four times the
tokens.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.model_pair import (
    EXACT_MEMORY,
    MODELS,
    SMALL,
    Inputs,
    cpu_seconds,
    grown_mib,
    inputs,
    per_frame,
    train,
)

RUNS = 3
POLICIES = {"none": "none", "selective": "none", "full": "full"}
"""What may be recomputed, and what diffusers is then asked for: it knows all or nothing."""


def times(title: str, grid: tuple[int, int, int], caption: int, frames: bool, policy: str | None) -> None:
    """A line with the CPU seconds of a forward (`policy` None), or of a training step."""
    least = {}
    steps = {}
    for name, make in MODELS.items():
        own = policy or "none"
        model, step = make(SMALL, own if name == "framemill" else POLICIES[own])
        given = inputs(SMALL, grid, caption=caption)
        if frames:
            given = per_frame(given, name == "framemill", SMALL.patch_size)
        model.train(policy is not None)
        steps[name] = (step, given)
    for _ in range(RUNS + 1):  # the first warms up
        for name, (step, given) in steps.items():
            least.setdefault(name, []).append(cpu_seconds(lambda s=step, g=given: run(s, g, policy)))
    ours, theirs = (min(least[name][1:]) for name in ("framemill", "diffusers"))
    print(f"{title:<52} {ours:8.2f} s {theirs:8.2f} s   {ours / theirs:5.2f}", flush=True)


def run(step: Callable[..., Any], given: Inputs, policy: str | None) -> None:
    if policy is not None:
        train(step, given)
        return
    with torch.no_grad():
        step(given)


def memory(title: str, grid: tuple[int, int, int], frames: bool, policy: str) -> dict[str, float]:
    """A line with the MiB that a training step takes."""
    mib = {}
    for name in MODELS:
        own = policy if name == "framemill" else POLICIES[policy]
        command = [sys.executable, __file__, "child", name, own, str(int(frames)), *map(str, grid)]
        mib[name] = float(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=EXACT_MEMORY).stdout
        )
    ours, theirs = mib["framemill"], mib["diffusers"]
    print(f"{title:<52} {ours:6.0f} MiB {theirs:6.0f} MiB   {ours / theirs:5.2f}", flush=True)
    return mib


def child(name: str, policy: str, frames: str, *grid: str) -> None:
    model, step = MODELS[name](SMALL, policy)
    model.train()
    given = inputs(SMALL, tuple(map(int, grid)))
    if int(frames):
        given = per_frame(given, name == "framemill", SMALL.patch_size)
    train(step, inputs(SMALL, (1, 8, 8)))  # code and thread pools are no part of it
    model.zero_grad(set_to_none=True)
    print(grown_mib(lambda: train(step, given)))


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["child"]:
        return child(*sys.argv[2:])
    frames, rows, columns = map(int, sys.argv[1:] or (21, 15, 13))
    grid, large = (frames, rows, columns), (frames, 2 * rows, 2 * columns)
    parameters = sum(p.numel() for p in MODELS["framemill"](SMALL)[0].parameters())
    print(
        f"torch {version('torch')}, one thread, float32; width {SMALL.width}, "
        f"{SMALL.num_layers} layers, {parameters / 1e6:.1f}M parameters; batch 1"
    )
    print(f"{'':<52} {'framemill':>10} {'diffusers ' + version('diffusers'):>10}  ratio")
    tokens = frames * rows * columns
    times(f"forward, {tokens} tokens, caption 300 of 300", grid, 300, False, None)
    times(f"forward, {tokens} tokens, caption 80 of 300", grid, 80, False, None)
    times(f"forward, {tokens} tokens, a timestep a frame", grid, 300, True, None)
    for policy in POLICIES:
        times(f"training step, {tokens} tokens, recomputing {policy}", grid, 300, False, policy)
    scalar = {
        policy: memory(f"training step, {4 * tokens} tokens, recomputing {policy}", large, False, policy)
        for policy in POLICIES
    }
    many = memory("the same, recomputing full, a timestep a frame", large, True, "full")
    for name, mib in many.items():
        print(f"a timestep a frame costs {name} {mib / scalar['full'][name] - 1:+.1%} of memory")


if __name__ == "__main__":
    main()
