"""framemill submit: run any job on a Ray cluster, follow its log, return its status."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, cast

from framemill.platform.compose import compose
from framemill.platform.errors import RequestError
from framemill.platform.submit import SubmitConfig

CONFIG = SubmitConfig


@dataclass(frozen=True)
class Submission:
    """A job to submit: the config of `submit` and the config of the job."""

    config: SubmitConfig
    """The config of `submit`."""
    job_config: Any
    """The config of the submitted job."""


def configure(words: list[str]) -> Submission:
    """Returns the validated configs of the words `JOB key=value ... cluster.address=http://...`.

    Raises:
        RequestError: there is no such job, or a key or value is wrong.
    """
    from framemill.jobs import cli

    if not words or words[0] not in cli.JOBS or words[0] == "submit":
        jobs = ", ".join(job for job in cli.JOBS if job != "submit")
        raise RequestError(f"submit {words[0] if words else ''}: the first word must be one of {jobs}")
    name, rest = words[0], words[1:]
    own = [word for word in rest if word.startswith("cluster.")]
    job = cast(cli.Job, importlib.import_module(f"framemill.jobs.{name}"))
    config = compose("submit", SubmitConfig, [f"job={name}", *own])
    return Submission(config, cli.configure(name, job, [word for word in rest if word not in own]))


def run(submission: Submission) -> int:
    """Submits the job, follows its log, and returns its exit status."""
    from framemill.platform.submit import submit

    return submit(submission.config, submission.job_config)
