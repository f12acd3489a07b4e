"""framemill status: progress of a job's output, and what is still to be done."""

from dataclasses import dataclass

from framemill.platform import storage
from framemill.platform.config import key
from framemill.platform.errors import RequestError
from framemill.platform.progress import say


@dataclass
class StatusConfig:
    """The keys of `status`."""

    path: str = key(help="output folder or URI of any job", result=False)


CONFIG = StatusConfig


def status(path: str) -> list[str]:
    """Returns lines about the progress of the outputs in a folder and in its subfolders that have a config.yaml.

    Raises:
        RequestError: the folder is empty or not the output of a job.
    """
    from framemill.data_filters.status import curation_status
    from framemill.eval.status import evaluation_status
    from framemill.platform.dataset_status import GOES_ON, dataset_status, uncommitted_status
    from framemill.training.generation.status import generation_status
    from framemill.training.run.status import training_status

    names = storage.list_dir(path)
    if not names:
        raise RequestError(f"path={path}: must be a folder that is not empty")
    parts = (dataset_status, curation_status, uncommitted_status, training_status, generation_status, evaluation_status)
    lines = [line for part in parts for line in part(path, names)]
    for name in names:
        if storage.exists(storage.join(path, name, "config.yaml")):
            lines.extend(f"{name}: {line}" for line in status(storage.join(path, name)))
    if not lines and "config.yaml" not in names:
        raise RequestError(f"path={path}: must be the output of a job")
    return lines or [f"started: nothing is finished yet; {GOES_ON}"]


def run(config: StatusConfig) -> int:
    """Prints the lines of `status` and returns exit status 0."""
    for line in status(config.path):
        say(line)
    return 0
