"""Plots the losses of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from framemill.training.run.metrics_file import BaselineLine, EvalLine, MetricsLine, TrainLine


def draw_losses(lines: Sequence[MetricsLine], path: Path) -> None:
    """Draws the training loss, the held-out losses and the best linear predictor's loss over the steps of all stages.

    Args:
        lines: metrics of the run.
        path: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Images have another level of loss than videos: with both, the curve would zigzag.
    train = [line for line in lines if isinstance(line, TrainLine) and line.task == "video"]
    evaluations = [line for line in lines if isinstance(line, EvalLine)]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    axes.plot([line.step for line in train], [line.loss for line in train], color="0.8", lw=0.8, label="training")
    steps = [line.step for line in evaluations]
    axes.plot(steps, [line.losses.loss for line in evaluations], "o-", ms=3, label="held out")
    exchanged = [line.losses.other_captions for line in evaluations]
    axes.plot(steps, exchanged, "--", label="held out, captions exchanged")
    for line in lines:
        if isinstance(line, BaselineLine):
            axes.axhline(line.linear_loss, color="k", ls=":", lw=1, label="best linear predictor")
    for before, after in pairwise(train):
        if before.stage != after.stage:
            axes.axvline(before.step, color="0.6", lw=0.8)
            axes.annotate(after.stage, (before.step, axes.get_ylim()[1]), fontsize=8, va="top")
    axes.set(xlabel="step", ylabel="flow matching loss", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
