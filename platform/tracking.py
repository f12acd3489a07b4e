"""The record of a run in MLflow: one run for an output, however often the job is stopped and started again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

from framemill.platform import storage
from framemill.platform.config import TrackingConfig

RUN_FILE = "mlflow_run.txt"
BATCH = 1000
"""The most metrics MLflow takes in one request."""
PARAM_LENGTH = 500


def import_mlflow() -> Any:
    """MLflow with its telemetry off and its notices kept to errors."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def tracking_uri(tracking: TrackingConfig, output: str) -> str:
    """The configured URI, else an SQLite file: in the output, or where the job was started if that is no folder."""
    folder = storage.local_path(output) if storage.is_local(output) else "."
    return tracking.uri or f"sqlite:///{os.path.abspath(folder)}/mlflow.db"


def ensure_schema(uri: str) -> None:
    """Creates or upgrades the tracking database: once, before any other process opens it.

    Several processes that meet a fresh SQLite file migrate it against each other and fail (mlflow#6490).
    """
    mlflow_client(uri).search_experiments(max_results=1)


def mlflow_client(uri: str) -> Any:
    mlflow = import_mlflow()
    if uri.startswith("sqlite:///"):
        os.makedirs(os.path.dirname(uri.removeprefix("sqlite:///")) or ".", exist_ok=True)
    return mlflow.MlflowClient(tracking_uri=uri)


class Tracker:
    """One MLflow run. Use as a context manager: leaving it marks the run finished, or failed on an error."""

    def __init__(self, client: Any, uri: str, run_id: str) -> None:
        self.client, self.uri, self.run_id = client, uri, run_id

    @staticmethod
    def open(tracking: TrackingConfig, output: str, run_name: str, params: dict[str, Any]) -> Tracker:
        """The run of an output: made at the first start, taken up again at every later one."""
        uri = tracking_uri(tracking, output)
        client = mlflow_client(uri)
        id_file = storage.join(output, RUN_FILE)
        if storage.exists(id_file):
            tracker = Tracker(client, uri, storage.read_bytes(id_file).decode().strip())
            client.update_run(tracker.run_id, status="RUNNING")
            return tracker
        run = client.create_run(experiment_id(client, tracking.experiment, output, uri), run_name=run_name)
        tracker = Tracker(client, uri, run.info.run_id)
        tracker.log_params(params)
        storage.write_atomic(id_file, tracker.run_id.encode())
        return tracker

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        status = "FINISHED" if kind is None else "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
        self.client.set_terminated(self.run_id, status=status)

    def log_params(self, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        flat = [Param(name, str(value)[:PARAM_LENGTH]) for name, value in flatten(params)]
        for start in range(0, len(flat), 100):
            self.client.log_batch(self.run_id, params=flat[start : start + 100])

    def log_metrics(self, values: dict[str, float], step: int = 0) -> None:
        self.log_batch((name, value, step) for name, value in values.items())

    def log_batch(self, values: Iterable[tuple[str, float, int]]) -> None:
        """(name, value, step) triples, sent in as few requests as MLflow allows."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value, step in values]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + BATCH])

    def last_step(self, name: str) -> int | None:
        """The last step at which a metric was recorded; None where it never was."""
        history = self.client.get_metric_history(self.run_id, name)
        return max((point.step for point in history), default=None)

    def log_dataset(self, name: str, digest: str, source: str, context: str = "training") -> None:
        """Records which dataset the run read, by digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
        tags = [InputTag("mlflow.data.context", context)]
        self.client.log_inputs(self.run_id, datasets=[DatasetInput(dataset=dataset, tags=tags)])

    def log_artifact(self, path: str, folder: str | None = None) -> None:
        self.client.log_artifact(self.run_id, path, folder)


def experiment_id(client: Any, name: str, output: str, uri: str) -> str:
    """The experiment of that name, made where absent; artifacts of an SQLite store lie beside its file."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        location = os.path.join(os.path.dirname(uri.removeprefix("sqlite:///")), "mlartifacts")
    return str(client.create_experiment(name, artifact_location=location))


def flatten(params: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested parameters as dotted names."""
    flat: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, dict):
            flat.extend(flatten(value, f"{prefix}{name}."))
        else:
            flat.append((prefix + str(name), value))
    return flat
