"""framemill submit: run any job on a Ray cluster, follow its log, return its status."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from framemill.platform.compose import compose
from framemill.platform.errors import RequestError
from framemill.platform.submit import SubmitConfig

CONFIG = SubmitConfig


@dataclass(frozen=True)
class Submission:
    """Where to, and the whole config of the job that is to run there."""

    config: SubmitConfig
    job_config: Any


def configure(words: list[str]) -> Submission:
    """`JOB key=value ... cluster.address=http://...`: both configs are composed and validated here, not over there."""
    from framemill.jobs import cli

    if not words or words[0] not in cli.JOBS or words[0] == "submit":
        said, jobs = words[0] if words else "nothing", ", ".join(job for job in cli.JOBS if job != "submit")
        raise RequestError(f"submit: the first word is {said}; must be one of {jobs}")
    name, rest = words[0], words[1:]
    own = [word for word in rest if word.startswith("cluster.")]
    job = importlib.import_module(f"framemill.jobs.{name}")
    config = compose("submit", SubmitConfig, [f"job={name}", *own])
    return Submission(config, cli.configure(name, job, [word for word in rest if word not in own]))


def run(submission: Submission) -> int:
    from framemill.platform.submit import submit

    return submit(submission.config, submission.job_config)
