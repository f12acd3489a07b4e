"""Runs the ranks of a training run on Ray Train, and copies the metrics to MLflow and to the progress bar."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from framemill.platform.errors import FramemillError
from framemill.platform.progress import progress
from framemill.platform.tracking import Tracker
from framemill.platform.writer_lock import LockToken
from framemill.training.data.latent_dataset import LatentDataset
from framemill.training.run.config import TrainConfig
from framemill.training.run.identity import RunIdentity
from framemill.training.run.mlflow_mirror import MlflowMirror


def run_ranks(
    config: TrainConfig,
    dataset: LatentDataset,
    identity: RunIdentity,
    token: LockToken,
    workers: int,
    use_gpu: bool,
) -> None:
    """Runs the ranks to the end of the curriculum.

    Args:
        config: config of the run.
        dataset: training data.
        identity: identity of the run.
        token: token of the lock on the run directory.
        workers: number of ranks.
        use_gpu: whether each rank gets a GPU.

    Raises:
        FramemillError: the training failed more often than `max_failures` allows.
    """
    from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from framemill.training.run.worker import RankArguments, train_rank

    trainer = TorchTrainer(
        train_rank,
        train_loop_config={"arguments": RankArguments(config, identity, token)},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": config.cpus_per_worker, **({"GPU": 1} if use_gpu else {})},
        ),
        # A new name for each start: under an old name Ray would restore the state of the earlier start.
        run_config=RunConfig(
            name=f"attempt-{token.attempt}",
            storage_path=str(_ray_folder(config.output)),
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
            with _keyboard_interrupts():
                trainer.fit()
        except Exception as error:
            raise FramemillError(f"training stopped: {_cause(error)}") from error
    shutil.rmtree(_ray_folder(config.output), ignore_errors=True)


@contextlib.contextmanager
def _keyboard_interrupts() -> Iterator[None]:
    """Makes Ctrl-C during `fit` raise KeyboardInterrupt, and restores the signal handler afterwards.

    Ray Train's handler ends the process with exit status 0 on Ctrl-C, and stays installed after `fit`.
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


def _ray_folder(output: str) -> Path:
    """Returns the folder of Ray Train's own state, which Framemill never reads."""
    return Path(output) / "work" / "ray"


def _cause(error: Exception) -> str:
    """Returns the last line of a worker's FramemillError, else of the first worker's error, else of `error`."""
    failures = list((getattr(error, "worker_failures", None) or {}).values())
    first = next((failure for failure in failures if isinstance(failure, FramemillError)), [*failures, error][0])
    lines = [line for line in str(first).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(first).__name__
