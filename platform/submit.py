"""Submitting any job to a running Ray cluster, through Ray's job API.

The composed and validated config is frozen to one YAML file and uploaded with Framemill's own code, so that the cluster
needs only the dependencies, and neither a checkout nor Hydra composition. The id of the job is a hash of the config and
the code, so an identical submission attaches to the existing job instead of starting a second one. Only after a failure
is a new job started, with the next number appended to the id.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framemill.platform import storage
from framemill.platform.config import ClusterConfig, key
from framemill.platform.errors import FramemillError, PendingError, RequestError
from framemill.platform.frozen_config import digest, to_yaml
from framemill.platform.progress import say
from framemill.platform.wheel import unpack_code

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

_FROZEN = "frozen.yaml"
"""File with the job's config in the uploaded working folder."""
_RECONNECT_S = 1.0
"""Delay in seconds before the log is followed again."""
_LOST_AFTER_S = 120.0
"""Timeout in seconds without an answer, after which the cluster counts as lost."""
PATH_KEYS = (
    "codec_path",
    "data",
    "from_",
    "head",
    "init",
    "input",
    "model",
    "output",
    "path",
    "prompts",
    "prompts_json",
    "results",
    "scores",
    "text_path",
    "videos",
    "vlm",
    "weights",
)
"""Keys whose values are paths; relative paths are resolved against the current folder of this machine."""


@dataclass
class SubmitConfig:
    """The keys of `submit`."""

    job: str = key(help="name of the job to submit, followed by its key=value words")
    cluster: ClusterConfig = key(ClusterConfig, "cluster.address: URL of Ray's job API, http://HOST:8265")

    def validate(self) -> None:
        """Checks the address.

        Raises:
            RequestError: `cluster.address` is not an http URL.
        """
        if not self.cluster.address.startswith(("http://", "https://")):
            raise RequestError(f"cluster.address={self.cluster.address}: must be http://HOST:PORT of Ray's job API")


def submit(config: SubmitConfig, job_config: Any) -> int:
    """Runs `config.job` with `job_config` on the cluster, prints its log and returns its exit status: 0, 1 or 2.

    Raises:
        RequestError: the cluster requires a token that this machine does not have.
        PendingError: the cluster does not answer, or stopped answering; a started job continues, and an identical
            submission attaches to it.
    """
    with connection(config.cluster.address) as client, tempfile.TemporaryDirectory(prefix="framemill-job-") as folder:
        code = unpack_code(Path(folder))
        frozen = to_yaml(config_for_cluster(job_config))
        Path(folder, _FROZEN).write_text(frozen, "utf-8")
        identity = hashlib.sha256(f"{frozen}\0{code}".encode()).hexdigest()[:10]
        metadata = {"framemill_job": config.job, "config": digest(job_config), "code": code[:16]}
        submission = _start_or_attach(client, f"{config.job}-{identity}", config.job, folder, metadata)
        details = asyncio.run(_follow(client, submission))
    return _exit_status(submission, details)


def config_for_cluster(config: Any) -> Any:
    """Returns a copy of a job's config for the cluster, with absolute paths and `cluster.address=auto`."""
    if isinstance(config, ClusterConfig):
        return dataclasses.replace(config, address="auto")
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return config
    values = {field.name: config_for_cluster(getattr(config, field.name)) for field in dataclasses.fields(config)}
    for name, value in values.items():
        if name in PATH_KEYS and isinstance(value, str) and value and storage.is_local(value):
            values[name] = os.path.abspath(storage.local_path(value))
    return dataclasses.replace(config, **values)


@contextlib.contextmanager
def connection(address: str) -> Iterator[JobSubmissionClient]:
    """Yields a client of Ray's job API at `address`, which sends this user's token if there is one.

    Raises:
        RequestError: the cluster requires a token that this machine does not have.
        PendingError: the cluster does not answer.
    """
    _offer_token()
    # In Ray these two environment variables would override `address`.
    elsewhere = {name: os.environ.pop(name) for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS") if name in os.environ}
    import requests
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # Ray logs each upload and each closed stream at INFO.
    logging.getLogger("ray").setLevel(logging.WARNING)
    try:
        yield JobSubmissionClient(address)
    except AuthenticationError as error:
        raise RequestError(
            f"cluster.address={address}: the cluster wants its token: set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a "
            "file with it (the head keeps it in ~/.ray/auth_token)"
        ) from error
    except (ConnectionError, requests.RequestException) as error:
        raise PendingError(f"cluster.address={address}: no answer ({str(error).splitlines()[0]})") from error
    finally:
        os.environ.update(elsewhere)


def _offer_token() -> None:
    """Sets RAY_AUTH_MODE if this user has a token, without which Ray does not send it."""
    default = Path.home() / ".ray" / "auth_token"
    if any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or default.exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _start_or_attach(client: JobSubmissionClient, name: str, job: str, folder: str, metadata: dict[str, str]) -> str:
    """Returns the id of the running or finished job of this name, or starts a new job and returns its id."""
    number = 1
    while True:
        submission = name if number == 1 else f"{name}-{number}"
        status = _status(client, submission)
        if status is None:
            try:
                client.submit_job(
                    entrypoint=f"python -m framemill.jobs.cli {job} --frozen {_FROZEN}",
                    submission_id=submission,
                    runtime_env={"working_dir": folder},
                    metadata=metadata,
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise FramemillError(f"{submission} was not taken: {str(error).splitlines()[0]}") from error
                continue  # another process has just submitted the same job: attach to it
            say(f"submit: {submission} started on {client.get_address()}")
            return submission
        if status not in ("FAILED", "STOPPED"):
            say(f"submit: {submission} is there already ({status.lower()}), following it")
            return submission
        number += 1


def _status(client: JobSubmissionClient, submission: str) -> str | None:
    """Returns the job's status, or None if there is no such job."""
    try:
        return str(client.get_job_info(submission).status.value)
    except RuntimeError as error:
        if "404" in str(error):
            return None
        raise


async def _follow(client: JobSubmissionClient, submission: str) -> JobDetails:
    """Prints the log of a job until the job ends, and returns the job's details.

    The log stream may close while the job is running (proxies, ray#57002), and a new stream starts at the beginning of
    the log. The stream is therefore reopened until the job has ended, and text that was already printed is skipped.
    """
    import aiohttp

    printed, answered = 0, time.monotonic()
    while True:
        seen = 0
        # The status, which is requested next, tells whether the job has ended.
        with contextlib.suppress(aiohttp.ClientError, OSError, RuntimeError):
            async for text in client.tail_job_logs(submission):
                seen += len(text)
                printed = print_new_text(text, seen, printed)
        try:
            details = client.get_job_info(submission)
            answered = time.monotonic()
            if details.status.is_terminal():
                log = client.get_job_logs(submission)
                print_new_text(log, len(log), printed)
                return details
        except (OSError, RuntimeError) as error:
            if time.monotonic() - answered > _LOST_AFTER_S:
                raise PendingError(f"{submission}: no answer any more; the same command attaches again") from error
        await asyncio.sleep(_RECONNECT_S)


def print_new_text(text: str, end: int, printed: int) -> int:
    """Prints the part of `text` that is not yet printed, and returns the number of printed characters of the log.

    Args:
        text: part of the log.
        end: position in the log at which `text` ends, in characters.
        printed: number of characters of the log that are already printed.
    """
    if end > printed:
        sys.stdout.write(text[-min(end - printed, len(text)) :])
        sys.stdout.flush()
    return max(end, printed)


def _exit_status(submission: str, details: JobDetails) -> int:
    """Returns the exit status of the job's process, 0, 1 or 2; 1 if it did not return one."""
    status = str(details.status.value)
    if status == "SUCCEEDED":
        say(f"submit: {submission} succeeded")
        return 0
    if status == "FAILED" and details.driver_exit_code in (1, 2):
        say(f"submit: {submission} failed with exit status {details.driver_exit_code}")
        return int(details.driver_exit_code)
    say(f"submit: {submission} {status.lower()}: {details.message}")
    return 1
