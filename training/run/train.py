"""`train`: from a dataset of latents to a run directory, on Ray Train workers, from wherever an earlier start got to.

Ray Train places the workers, notices when one is lost and starts them again; what they go on from is our own newest
checkpoint. The driver reads the record along, and exports the model at the end.

    <output>/
      config.yaml       the resolved config
      run.json          which data, how many workers and which order the run is bound to
      metrics.jsonl     every step once
      checkpoints/      <stage>-<step>/, and `latest` beside it with the newest one's name
      export/           transformer/, scheduler/, framemill.json: a diffusers folder
      loss.png          the loss curve
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from framemill.platform import cluster, storage
from framemill.platform.compose import resolve
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.frozen_config import claim_output, digest
from framemill.platform.progress import progress, say
from framemill.platform.tracking import Tracker
from framemill.platform.writer_lock import LockToken, WriterLock
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.data.planner import StagePlan
from framemill.training.run import checkpoints
from framemill.training.run.config import TrainConfig
from framemill.training.run.export import draw_losses, export_model, is_exported
from framemill.training.run.metrics_file import read_lines
from framemill.training.run.mlflow_mirror import MlflowMirror

IDENTITY = "run.json"


@dataclass(frozen=True)
class TrainResult:
    """What a finished run has to show. Losses are held-out ones, at the last stage's size."""

    output: str
    export: str
    steps: int
    stages: dict[str, int]  # steps of each
    stage_losses: dict[str, float]  # at the end of each
    first_loss: float
    last_loss: float
    other_captions_loss: float  # of the trained model, with captions exchanged among the clips
    linear_loss: float  # of the best linear predictor
    tokens_per_s: float  # mean over all steps

    @property
    def fall(self) -> float:
        """By which share the held-out loss fell."""
        return 1 - self.last_loss / self.first_loss

    def line(self) -> str:
        return (
            f"trained {self.steps} steps ({', '.join(f'{name} {steps}' for name, steps in self.stages.items())}): "
            f"held-out loss {self.first_loss:.3f} -> {self.last_loss:.3f} ({-100 * self.fall:+.0f} %), "
            f"best linear predictor {self.linear_loss:.3f}, captions exchanged {self.other_captions_loss:.3f}; "
            f"model in {self.export}"
        )


def train(config: TrainConfig | None = None, **keys: Any) -> TrainResult:
    """Trains the whole curriculum, or what is left of it, and exports the model.

    Args:
        config: the whole config; or None, with its keys as keyword arguments.

    Raises:
        RequestError: data, model and curriculum do not fit each other, or the output holds another run.
        FramemillError: the training failed more often than `max_failures` allows.
    """
    config = resolve("train", TrainConfig, config, keys)
    if not storage.is_local(config.output):
        raise RequestError(f"output={config.output}: is a path that every worker sees, not an object store")
    # Workers run in another folder: what is relative here would be another place there.
    config = replace(
        config, data=absolute(config.data), output=absolute(config.output), init=config.init and absolute(config.init)
    )
    dataset = LatentDataset.open(config.data)
    check_fit(config, dataset)
    if config.init:
        check_init(config)
    if config.workers:
        check_shares(config, config.workers)
    held_out = dataset.held_out(config.curriculum, config.seed, config.eval.fraction, config.eval.minimum)
    plans = dataset.plans(config.curriculum, held_out, config.seed)
    claim_output(config, config.output)
    with WriterLock(config.output) as lock, cluster.session(config.cluster, config.workers):
        workers, use_gpu = worker_kind(config)
        check_shares(config, workers)
        identity = identify(config, dataset, plans, workers)
        claim_identity(config.output, identity)
        if newest := checkpoints.latest(config.output):
            checkpoints.verify(newest)  # workers do too; said here, damage is one line and no worker starts
        if not is_exported(config.output):
            fit(config, dataset, identity, lock.token(), workers, use_gpu)
            finish(config, dataset, plans)
    return summarise(config)


def absolute(path: str) -> str:
    return str(Path(storage.local_path(path)).resolve()) if storage.is_local(path) else path


def check_fit(config: TrainConfig, dataset: LatentDataset) -> None:
    """Raises RequestError where the model's inputs or the stages' blocks do not fit what the dataset holds."""
    channels, width = dataset.index["latent_channels"], dataset.index["text_width"]
    if channels != config.model.in_channels:
        raise RequestError(
            f"model.in_channels={config.model.in_channels}: the latents of data={config.data} have {channels}"
        )
    if width != config.model.caption_channels:
        raise RequestError(
            f"model.caption_channels={config.model.caption_channels}: the text embeddings of "
            f"data={config.data} are {width} wide"
        )
    for name, stage in config.curriculum.stages.items():
        frames = dataset.latent_frames(stage)
        blocks = stage.blocks(frames)
        if blocks and len(blocks) == 1:
            raise RequestError(
                f"curriculum.stages.{name}.block_frames={stage.block_frames}: its {frames} latent frames are one block "
                f"then; may be at most {frames // 2}"
            )


def check_init(config: TrainConfig) -> None:
    """Says what is new in a model that begins with other weights; raises RequestError where they do not fit it."""
    import torch

    from framemill.training.model import LinearDiT
    from framemill.training.weights.source import start_from

    with torch.device("meta"):
        model = LinearDiT(config.model.shape())
    modules = [name.removesuffix(".weight").removesuffix(".bias") for name in start_from(model, config.init)]
    kinds = sorted({module.rpartition(".")[2] for module in modules})
    say(f"train: begins with the weights of {config.init}; new: {', '.join(kinds) or 'nothing'}")


def check_shares(config: TrainConfig, workers: int) -> None:
    """Raises RequestError where a stage's batch cannot be shared out equally."""
    for name, stage in config.curriculum.stages.items():
        try:
            stage.micro_batches(workers)
        except RequestError as error:
            raise RequestError(f"curriculum.stages.{name}.{error}") from error


def worker_kind(config: TrainConfig) -> tuple[int, bool]:
    """How many workers to start, and whether each gets a GPU: where the cluster has enough of them.

    Raises:
        RequestError: this machine has too few CPUs; a cluster may still grow, so there Ray waits for them.
    """
    import ray

    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), resources.get("CPU", 0)
    workers = config.workers or gpus or cluster.worker_count(0)
    if 0 < gpus < workers:
        say(f"training on CPUs: the cluster has {gpus} GPUs for workers={workers}")
    if not config.cluster.address and workers * config.cpus_per_worker > cpus:
        raise RequestError(
            f"cpus_per_worker={config.cpus_per_worker}: {workers} workers may have {cpus / workers:g} "
            f"each of the {cpus:g} CPUs here"
        )
    return workers, gpus >= workers


def identify(config: TrainConfig, dataset: LatentDataset, plans: dict[str, StagePlan], workers: int) -> dict[str, Any]:
    """What a run cannot change between two starts and still be the same run."""
    order = {name: plan.fingerprint for name, plan in plans.items()}
    identity = {"config": digest(config), "data": dataset.digest, "workers": workers, "order": order}
    if config.init:
        from framemill.training.weights.source import find_weights

        identity["init"] = find_weights(config.init, "init").digest()
    return identity


def claim_identity(output: str, identity: dict[str, Any]) -> None:
    """Binds the output to its data, number of workers and order.

    Raises:
        RequestError: an earlier start, or the checkpoint to go on from, had others.
    """
    path = storage.join(output, IDENTITY)
    newest = checkpoints.latest(output)
    bound = [json.loads(storage.read_bytes(path))] if storage.exists(path) else []
    bound += [newest.state["identity"]] if newest and (newest.folder / checkpoints.STATE).exists() else []
    for theirs in bound:
        for name, value in identity.items():
            if theirs.get(name) != value:
                raise RequestError(
                    f"output={output}: this run has {name} {theirs.get(name)}, asked for is {value}; "
                    "go on with the same, or choose another output"
                )
    storage.write_atomic(path, (json.dumps(identity, indent=1, sort_keys=True) + "\n").encode())


def fit(
    config: TrainConfig,
    dataset: LatentDataset,
    identity: dict[str, Any],
    token: LockToken,
    workers: int,
    use_gpu: bool,
) -> None:
    """Runs the workers to the end of the curriculum while MLflow and the progress bar follow."""
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from framemill.training.run.worker import RankArguments, train_rank

    trainer = TorchTrainer(
        train_rank,
        train_loop_config={"task": RankArguments(config, identity, token)},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": config.cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
        ),
        # A fresh name for each start: Ray would otherwise take up its own state of the last one.
        run_config=RunConfig(
            name=f"attempt-{token.attempt}",
            storage_path=str(ray_folder(config.output)),
            failure_config=FailureConfig(max_failures=config.max_failures),
            logging_config=LoggingConfig("WARNING"),  # type: ignore[call-arg]  # mypy sees the RunConfig of Train V1
        ),
    )
    params = asdict(config) | {"dataset": dataset.digest}
    with (
        Tracker.open(config.tracking, config.output, Path(config.output).name, params) as tracker,
        progress("train", config.curriculum.total_steps, "steps") as bar,
        MlflowMirror(config.output, tracker, bar),
    ):
        tracker.log_dataset(Path(config.data).name, dataset.digest, config.data)
        try:
            with own_interrupts():
                trainer.fit()
        except Exception as error:
            raise FramemillError(f"training stopped: {cause(error)}") from error
    shutil.rmtree(ray_folder(config.output), ignore_errors=True)


@contextlib.contextmanager
def own_interrupts() -> Iterator[None]:
    """Makes Ctrl-C in `fit` the KeyboardInterrupt that it is elsewhere, and leaves it so afterwards.

    Ray Train answers it with exit status 0, and keeps doing so for the rest of the process.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if in_main_thread else None
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def ray_folder(output: str) -> Path:
    """Where Ray Train keeps its own notes of a start; nothing is ever read from there."""
    return Path(output) / "work" / "ray"


def cause(error: Exception) -> str:
    """The last line of what went wrong: what a worker said itself rather than how the others noticed its end."""
    failures = list((getattr(error, "worker_failures", None) or {}).values())
    first = next((failure for failure in failures if isinstance(failure, FramemillError)), [*failures, error][0])
    lines = [line for line in str(first).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(first).__name__


def finish(config: TrainConfig, dataset: LatentDataset, plans: dict[str, StagePlan]) -> None:
    """Exports the last checkpoint and keeps curve and config with the MLflow run."""
    last = checkpoints.latest(config.output)
    if last is None or last.step != config.curriculum.total_steps:
        raise FramemillError(f"output={config.output}: the last stage's checkpoint is missing")
    picture = Path(config.output) / "loss.png"
    draw_losses(read_lines(config.output), picture)
    with Tracker.open(config.tracking, config.output, Path(config.output).name, {}) as tracker:
        tracker.log_artifact(str(picture))
        tracker.log_artifact(storage.join(config.output, "config.yaml"))
    export_model(config, last, dataset, list(plans.values())[-1])


def summarise(config: TrainConfig) -> TrainResult:
    """The figures of a finished run, from its record."""
    lines = read_lines(config.output)
    train_lines = [line for line in lines if line["kind"] == "train"]
    held = [line for line in lines if line["kind"] == "eval"]
    baseline = next(line for line in lines if line["kind"] == "baseline")
    return TrainResult(
        output=config.output,
        export=storage.join(config.output, "export"),
        steps=train_lines[-1]["step"],
        stages={name: stage.steps for name, stage in config.curriculum.stages.items()},
        stage_losses={line["stage"]: line["loss"] for line in held},  # the last of a stage stands
        first_loss=held[0]["loss"],
        last_loss=held[-1]["loss"],
        other_captions_loss=held[-1]["loss_other_captions"],
        linear_loss=baseline["linear_loss"],
        tokens_per_s=sum(line["tokens"] for line in train_lines) / sum(line["step_s"] for line in train_lines),
    )
