"""`framemill train`: from a dataset of latents to a run directory, on Ray Train workers, with resume.

Ray Train places the workers, notices when a worker is lost and restarts all of them; they resume from the newest
checkpoint. The driver follows the metrics, and exports the model at the end.

    <output>/
      config.yaml       the resolved config
      run.json          identity of the run: data, number of workers and order of the batches
      metrics.jsonl     metrics of every step, each step once
      checkpoints/      <stage>-<step>/; `latest` next to it names the newest
      export/           transformer/, scheduler/, framemill.json: a diffusers folder
      loss.png          the loss curve
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framemill.platform import cluster, storage
from framemill.platform.compose import resolve
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.tracking import Tracker
from framemill.platform.writer_lock import WriterLock
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan
from framemill.training.run.checkpoints import latest_checkpoint, verify_checkpoint
from framemill.training.run.checks import (
    check_batches_divide,
    check_data_fits,
    check_initial_weights,
    worker_resources,
)
from framemill.training.run.config import TrainConfig
from framemill.training.run.export import export_model, is_exported
from framemill.training.run.identity import RunIdentity, claim_identity
from framemill.training.run.loss_curve import draw_losses
from framemill.training.run.metrics_file import BaselineLine, EvalLine, TrainLine, read_lines
from framemill.training.run.ray_trainer import run_ranks


@dataclass(frozen=True)
class TrainResult:
    """Result of the job `train`. Losses are held-out losses of text to video, in the buckets of the last stage."""

    output: str
    """Run directory."""
    export: str
    """Folder of the exported model."""
    steps: int
    """Number of optimiser steps."""
    stages: dict[str, int]
    """Number of optimiser steps by stage."""
    stage_losses: dict[str, float]
    """Loss at the end of each stage, by stage."""
    first_loss: float
    """Loss before training."""
    last_loss: float
    """Loss after training."""
    other_captions_loss: float
    """Loss after training, with captions exchanged among the clips."""
    linear_loss: float
    """Loss of the best linear predictor."""
    tokens_per_s: float
    """Mean number of video tokens per second, all ranks together."""

    @property
    def fall(self) -> float:
        """Relative decrease of the held-out loss: 1 - last_loss / first_loss."""
        return 1 - self.last_loss / self.first_loss

    def line(self) -> str:
        """Returns a one-line summary of the result, which the job prints."""
        return (
            f"trained {self.steps} steps ({', '.join(f'{name} {steps}' for name, steps in self.stages.items())}): "
            f"held-out loss {self.first_loss:.3f} -> {self.last_loss:.3f} ({-100 * self.fall:+.0f} %), "
            f"best linear predictor {self.linear_loss:.3f}, captions exchanged {self.other_captions_loss:.3f}; "
            f"model in {self.export}"
        )


def train(config: TrainConfig | None = None, **keys: Any) -> TrainResult:
    """Trains the curriculum, from the newest checkpoint if there is one, and exports the model.

    Args:
        config: the whole config, or None.
        **keys: the command's keys, e.g. `data`, `output`, `curriculum`.

    Raises:
        RequestError: data, model and curriculum do not fit together, or the output contains another run.
        FramemillError: the training failed more often than `max_failures` allows.
    """
    config = resolve("train", TrainConfig, config, keys)
    if not storage.is_local(config.output):
        raise RequestError(f"output={config.output}: must be a path that every worker can reach, not an object store")
    # Workers run in another working directory.
    config = replace(
        config,
        data=_absolute(config.data),
        output=_absolute(config.output),
        init=config.init and _absolute(config.init),
    )
    dataset = LatentDataset.open(config.data)
    check_data_fits(config, dataset)
    if config.init:
        check_initial_weights(config)
    if config.workers:
        check_batches_divide(config, config.workers)
    held_out = dataset.held_out(config.curriculum, config.seed, config.eval.fraction, config.eval.minimum)
    plans = dataset.plans(config.curriculum, held_out, config.seed)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        workers, use_gpu = worker_resources(config)
        check_batches_divide(config, workers)
        identity = _run_identity(config, dataset, plans, workers)
        newest = latest_checkpoint(config.output)
        state = newest.read_state() if newest else None
        claim_identity(config.output, identity, state.identity if state else None)
        if newest:
            verify_checkpoint(
                newest
            )  # workers verify too; here damage is reported in one line, before any worker starts
        if not is_exported(config.output):
            run_ranks(config, dataset, identity, lock.token(), workers, use_gpu)
            _finish(config, dataset, plans)
    return _read_result(config)


def _absolute(path: str) -> str:
    return str(Path(storage.local_path(path)).resolve()) if storage.is_local(path) else path


def _run_identity(
    config: TrainConfig, dataset: LatentDataset, plans: dict[str, StagePlan], workers: int
) -> RunIdentity:
    """Returns the identity of a run."""
    initial = ""
    if config.init:
        from framemill.training.weights.source import find_weights

        initial = find_weights(config.init, "init").digest()
    return RunIdentity(
        config=digest(config),
        data=dataset.digest,
        workers=workers,
        order={name: plan.fingerprint for name, plan in plans.items()},
        init=initial,
    )


def _finish(config: TrainConfig, dataset: LatentDataset, plans: dict[str, StagePlan]) -> None:
    """Draws the loss curve, adds it and the config to the run in MLflow, and exports the last checkpoint.

    Raises:
        FramemillError: the last stage's checkpoint is missing.
    """
    last = latest_checkpoint(config.output)
    if last is None or last.step != config.curriculum.total_steps:
        raise FramemillError(f"output={config.output}: the last stage's checkpoint is missing")
    curve = Path(config.output) / "loss.png"
    draw_losses(read_lines(config.output), curve)
    with Tracker.open(config.tracking, config.output, Path(config.output).name, {}) as tracker:
        tracker.log_artifact(str(curve))
        tracker.log_artifact(storage.join(config.output, "config.yaml"))
    export_model(config, last, dataset, list(plans.values())[-1])


def _read_result(config: TrainConfig) -> TrainResult:
    """Returns the figures of a finished run, from its metrics."""
    lines = read_lines(config.output)
    train_lines = [line for line in lines if isinstance(line, TrainLine)]
    evaluations = [line for line in lines if isinstance(line, EvalLine)]
    baseline = next(line for line in lines if isinstance(line, BaselineLine))
    return TrainResult(
        output=config.output,
        export=storage.join(config.output, "export"),
        steps=train_lines[-1].step,
        stages={name: stage.steps for name, stage in config.curriculum.stages.items()},
        stage_losses={line.stage: line.losses.loss for line in evaluations},  # later lines of a stage overwrite
        first_loss=evaluations[0].losses.loss,
        last_loss=evaluations[-1].losses.loss,
        other_captions_loss=evaluations[-1].losses.other_captions,
        linear_loss=baseline.linear_loss,
        tokens_per_s=sum(line.tokens for line in train_lines) / sum(line.step_s for line in train_lines),
    )
