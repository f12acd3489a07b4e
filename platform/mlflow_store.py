"""Functions that read and write an MLflow store, which `tracking` calls in a child process.

Importing MLflow and its store takes 4 s of CPU time, and creating the first SQLite schema another 2.5 s. In a child
process this time does not delay the job.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from framemill.platform import storage

BATCH = 1000
"""Maximum number of metrics in one request to MLflow."""
_PARAM_BATCH = 100
"""Maximum number of parameters in one request to MLflow."""
_PARAM_LENGTH = 500
"""Maximum length of a parameter's value, characters; longer values are truncated."""
_SQLITE = "sqlite:///"
Metric = tuple[str, float, int]
"""Name, value and step of a metric."""


def import_mlflow() -> Any:
    """Returns the module `mlflow`, with telemetry off and log level ERROR."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


@functools.cache
def mlflow_client(uri: str) -> Any:
    """Returns the cached MLflow client of a tracking URI; a missing SQLite database is created."""
    mlflow = import_mlflow()
    if uri.startswith(_SQLITE):
        create_database(uri)
    return mlflow.MlflowClient(tracking_uri=uri)


def prepare(uri: str) -> None:
    """Imports MLflow and sends a query to the store, so that the next call does not wait for initialisation."""
    mlflow_client(uri).search_experiments(max_results=1)


def create_database(uri: str) -> None:
    """Creates the SQLite database of a tracking URI atomically, unless it exists.

    Several processes that open a new SQLite file concurrently fail in MLflow's migrations (mlflow#6490), and a process
    killed during the migrations leaves an incomplete schema, which MLflow does not repair.
    """
    target = uri.removeprefix(_SQLITE)
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    if os.path.exists(target):
        return
    temporary = storage.temporary_path(target)
    try:
        _write_schema(temporary)
        # Unlike a rename, a link never replaces a database that another process has created in the meantime.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, target)
    except OSError:
        pass  # the file system has no links: MLflow creates the schema when it opens the file
    finally:
        storage.remove(temporary)


def _write_schema(path: str) -> None:
    """Writes an SQLite file with MLflow's schema and no rows, copied from the user's cache if it has one.

    MLflow creates the schema by running all its migrations, which takes 2.5 s of CPU time.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "framemill")
    template = cache / f"mlflow-{importlib.metadata.version('mlflow')}.db"
    if not template.exists():
        with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
            fresh = os.path.join(folder, "mlflow.db")
            _run_migrations(f"{_SQLITE}{fresh}")
            try:
                storage.write_atomic(str(template), Path(fresh).read_bytes())
            except OSError:  # no home directory, or no permission to write it
                shutil.copyfile(fresh, path)
                return
    shutil.copyfile(template, path)


def _run_migrations(uri: str) -> None:
    """Creates MLflow's tables in an empty database."""
    import_mlflow()
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    engine = sqlalchemy.create_engine(uri)
    _initialize_tables(engine)
    engine.dispose()


def open_run(uri: str, run_file: str, experiment: str, folder: str, name: str, params: dict[str, Any]) -> str:
    """Returns the id of the MLflow run of an output, which is created at the first start and resumed later.

    Args:
        uri: MLflow tracking URI.
        run_file: URI of the file in the output that contains the id.
        experiment: name of the experiment, which is created if it does not exist.
        folder: artifact location of a new experiment; empty: MLflow's default.
        name: name of a new run.
        params: nested parameters of a new run.
    """
    client = mlflow_client(uri)
    if storage.exists(run_file):
        run_id = storage.read_bytes(run_file).decode().strip()
        client.update_run(run_id, status="RUNNING")
        return run_id
    known = client.get_experiment_by_name(experiment)
    experiment_id = known.experiment_id if known else client.create_experiment(experiment, folder or None)
    run_id = str(client.create_run(str(experiment_id), run_name=name).info.run_id)
    _log_params(uri, run_id, params)
    storage.write_atomic(run_file, run_id.encode())
    return run_id


def _log_params(uri: str, run_id: str, params: dict[str, Any]) -> None:
    """Logs nested parameters with dotted names."""
    from mlflow.entities import Param

    flat = [Param(name, str(value)[:_PARAM_LENGTH]) for name, value in _flatten_params(params)]
    for start in range(0, len(flat), _PARAM_BATCH):
        mlflow_client(uri).log_batch(run_id, params=flat[start : start + _PARAM_BATCH])


def _flatten_params(params: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Returns nested parameters as (dotted name, value) pairs."""
    flat: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, dict):
            flat.extend(_flatten_params(value, f"{prefix}{name}."))
        else:
            flat.append((prefix + str(name), value))
    return flat


def log_metrics(uri: str, run_id: str, metrics: list[Metric], time_ms: int) -> None:
    """Logs metrics in batches of at most BATCH; `time_ms` is the time of all metrics, milliseconds since the epoch."""
    from mlflow.entities import Metric as MlflowMetric

    entities = [MlflowMetric(name, float(value), time_ms, step) for name, value, step in metrics]
    for start in range(0, len(entities), BATCH):
        mlflow_client(uri).log_batch(run_id, metrics=entities[start : start + BATCH])


def last_step(uri: str, run_id: str, name: str) -> int | None:
    """Returns the last step at which a metric was logged, or None if it was never logged."""
    history = mlflow_client(uri).get_metric_history(run_id, name)
    return max((point.step for point in history), default=None)


def log_dataset(uri: str, run_id: str, name: str, digest: str, source: str, context: str) -> None:
    """Logs a dataset as input or output of the run; `context` is "training" or another MLflow context."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=name, digest=digest, source_type="local", source=source)
    tags = [InputTag("mlflow.data.context", context)]
    mlflow_client(uri).log_inputs(run_id, datasets=[DatasetInput(dataset=dataset, tags=tags)])


def log_artifact(uri: str, run_id: str, path: str, folder: str | None) -> None:
    """Copies a local file to `folder` in the run's artifacts."""
    mlflow_client(uri).log_artifact(run_id, path, folder)


def end_run(uri: str, run_id: str, status: str) -> None:
    """Sets the final status of a run: FINISHED, FAILED or KILLED."""
    mlflow_client(uri).set_terminated(run_id, status=status)
