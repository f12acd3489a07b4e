"""The report of a loop: a short table, an image, and the paths of all outputs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framemill.platform import storage
from framemill.platform.progress import say

if TYPE_CHECKING:
    from framemill.data_filters.report.summary import CurateResult as Curated
    from framemill.eval.pipeline import EvaluateResult as Evaluated
    from framemill.jobs.loop_config import LoopConfig
    from framemill.training.run.train import TrainResult as Trained

_STRIP = 6
"""Number of frames of each video that the image shows side by side."""


@dataclass(frozen=True)
class LoopResult:
    """Results of the jobs of a loop."""

    curated: Curated
    trained: Trained
    evaluated: Evaluated


def log_samples(config: LoopConfig) -> list[str]:
    """Copies the generated videos to samples/ of the run directory and to the MLflow run; returns their names."""
    from framemill.platform.tracking import Tracker

    samples = storage.join(config.train.output, "samples")
    os.makedirs(samples, exist_ok=True)
    names = [name for name in storage.list_dir(config.generate.output) if name.endswith(".mp4")]
    with Tracker.open(config.train.tracking, config.train.output, "train", {}) as tracker:
        for name in names:
            path = shutil.copyfile(storage.join(config.generate.output, name), storage.join(samples, name))
            tracker.log_artifact(path, "samples")
    return names


def _table(result: LoopResult) -> list[str]:
    """Returns the lines of the table of results."""
    curated, trained, summary = result.curated, result.trained, result.evaluated.summary
    fall = f"{-100 * trained.fall:+.0f} %"
    better = "better" if trained.last_loss < trained.linear_loss else "NOT better"
    reads = "reads" if trained.other_captions_loss > trained.last_loss else "does NOT read"
    return [
        f"clips      {curated.clips.get('kept', 0)} kept of {sum(curated.clips.values())} found"
        f" in {sum(curated.sources.values())} sources",
        *(f"           {count:>4} {reason}" for reason, count in curated.reasons.items()),
        *(
            f"stage      {name}: {steps} steps, held-out loss {trained.stage_losses[name]:.3f} at its end"
            for name, steps in trained.stages.items()
        ),
        f"loss       {trained.first_loss:.3f} -> {trained.last_loss:.3f} ({fall}) on held-out clips",
        *_loss_rise(trained, curated.clips.get("kept", 0)),
        f"           {trained.linear_loss:.3f} for the best linear predictor: the model is {better}",
        f"           {trained.other_captions_loss:.3f} with captions exchanged: the model {reads} its captions",
        f"videos     {summary.videos} generated and scored",
        *(f"score      {name}: {score.score:.4f}" for name, score in summary.scores.items()),
        f"           {len(summary.not_measured)} dimensions not measured (why: result.json), so there is no total",
    ]


def _loss_rise(trained: Trained, clips: int) -> list[str]:
    """Returns a line that explains why the loss on held-out clips rose, or [] if the loss fell."""
    if trained.last_loss <= trained.first_loss:
        return []
    return [f"           it rose: {clips} clips are few for {trained.steps} steps, and were learned by heart"]


def report(config: LoopConfig, result: LoopResult) -> None:
    """Prints the table of results and the paths of the outputs, and writes `overview.png`."""
    overview = storage.join(config.output, "overview.png")
    _draw_overview(config, result, overview)
    say("")
    for line in _table(result):
        say(line)
    paths = {
        "dataset": f"{config.curate.output} (report.html shows what was kept, and why not)",
        "run": f"{config.train.output} (metrics.jsonl, checkpoints, export)",
        "videos": config.generate.output,
        "scores": f"{config.evaluate.output} (report.html)",
        "image": overview,
        "MLflow": f"{Path(sys.executable).with_name('mlflow')} ui --backend-store-uri {config.train.tracking.uri}",
    }
    say("")
    for name, path in paths.items():
        say(f"{name:<10} {path}")


def _draw_overview(config: LoopConfig, result: LoopResult, path: str) -> None:
    """Writes an image with kept clips on the left, and generated videos with their prompts on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    from framemill.platform.dataset import Dataset
    from framemill.platform.vision.video import read_video

    def strip(video: np.ndarray) -> np.ndarray:
        return np.concatenate([video[i] for i in np.linspace(0, len(video) - 1, _STRIP).astype(int)], axis=1)

    listing = storage.read_bytes(storage.join(config.generate.output, "videos.jsonl")).decode().splitlines()
    videos = [json.loads(line) for line in listing][:4]
    dataset = Dataset.open(config.curate.output)
    rows = list(range(0, len(dataset), max(1, len(dataset) // 4)))[:4]
    figure, axes = pyplot.subplots(4, 2, figsize=(13, 5), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes[:, 0], rows, strict=False):
        with tempfile.NamedTemporaryFile(suffix=".mp4") as clip:
            clip.write(dataset.read(row, "mp4"))
            clip.flush()
            in_s, out_s = (dataset.samples[name][row].as_py() for name in ("in_s", "out_s"))
            axis.imshow(strip(read_video(clip.name, start_s=in_s, end_s=out_s)))
        axis.set_title("kept: " + _shorten(dataset.samples["caption"][row].as_py()), fontsize=8, loc="left")
    for axis, video in zip(axes[:, 1], videos, strict=False):
        axis.imshow(strip(read_video(storage.join(config.generate.output, video["video"]))))
        axis.set_title("generated: " + _shorten(video["prompt"]), fontsize=8, loc="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _shorten(text: str, length: int = 90) -> str:
    """Returns text truncated to `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"
