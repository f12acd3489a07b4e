"""Encode a dataset, train a tiny model on it, and generate a video.

    python examples/train_tiny.py DATASET OUTPUT [STEPS]

The tiny curriculum's 600 steps take about two minutes on two cores.
"""

import sys
from pathlib import Path

import framemill


def main(dataset: str, output: str, steps: str = "") -> None:
    """Runs the three jobs, with `steps` optimiser steps per stage or, if empty, the curriculum's numbers."""
    stages = {stage: {"steps": int(steps)} for stage in ("low", "high")} if steps else {}
    curriculum = {"curriculum": {"stages": stages}} if steps else {}
    print(framemill.encode(input=dataset, output=f"{output}/latents").line())
    print(framemill.train(data=f"{output}/latents", output=f"{output}/run", **curriculum).line())

    prompts = Path(output, "prompts.txt")
    prompts.write_text("A red circle moves over a blue background.\n")
    print(framemill.generate(model=f"{output}/run/export", prompts=prompts, output=f"{output}/videos").line())


if __name__ == "__main__":
    main(*sys.argv[1:])
