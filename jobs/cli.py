"""The console command: `framemill JOB [key=value ...]`."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
from typing import Any, Protocol, cast

from framemill.platform.errors import FramemillError, RequestError

JOBS = {
    "doctor": "say what this machine has and lacks, and what to do about it",
    "curate": "video -> dataset",
    "encode": "dataset -> a dataset of latents and text embeddings",
    "train": "dataset -> run directory",
    "generate": "model + prompts -> mp4s",
    "evaluate": "mp4s -> VBench result",
    "score": "a VBench result file -> quality, semantic, total",
    "convert": "between run checkpoints and diffusers folders",
    "audit": "verify the hashes and counts of a dataset or a run; with key=, explain the state of a clip",
    "status": "progress of a job's output, and what is still to be done",
    "submit": "run any job on a Ray cluster, follow its log, return its status",
    "loop": "curate -> encode -> train -> generate -> evaluate in one go",
    "demo": "render a small sample reel, then run the loop on it",
}
LONGEST_DEFAULT = 28
"""Maximum width of the column of defaults in a job's help, characters; longer defaults move the text of their line."""
FLAGS = {"--debug": "show tracebacks", "--frozen": "FILE: run a frozen config.yaml instead of key=value words"}


def main(words: list[str] | None = None) -> int:
    """Runs the job that the words of a command line name, and returns the exit status.

    Args:
        words: the words after `framemill`; None takes them from sys.argv.

    Returns:
        0: the job is done; 1: the job failed or has pending items; 2: the request was wrong.
    """
    words = sys.argv[1:] if words is None else words
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _dispatch(words)
    except FramemillError as error:
        if debug:
            raise
        print(f"framemill: {error}", file=sys.stderr, flush=True)
        return error.exit_status
    except KeyboardInterrupt:
        print("framemill: stopped; the same command goes on from here", file=sys.stderr, flush=True)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        print(f"framemill: {_unexpected_error_line(words, error)}", file=sys.stderr, flush=True)
        return 1


def _unexpected_error_line(words: list[str], error: Exception) -> str:
    """Returns the line for an unexpected error: install advice for a missing package, else the type and the message."""
    from framemill.jobs.extras import install_advice, missing_package

    if isinstance(error, ImportError) and (package := missing_package(error)):
        return install_advice(words[0], package)
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[-1] if message else ''} (--debug shows where)"


def _dispatch(words: list[str]) -> int:
    """Runs the named job or prints help, and returns the exit status.

    Raises:
        RequestError: there is no such job, or a key or value is wrong.
    """
    if not words or words[0] in ("--help", "-h", "help"):
        _print_jobs()
        return 0
    name, words = words[0], words[1:]
    if name not in JOBS:
        near = difflib.get_close_matches(name, JOBS, n=1)
        advice = f"did you mean {near[0]}?" if near else f"must be one of {', '.join(JOBS)}"
        raise RequestError(f"{name}: there is no such job; {advice}")
    job = cast(Job, importlib.import_module(f"framemill.jobs.{name}"))
    if "--help" in words or "-h" in words:
        _print_keys(name, job)
        return 0
    return int(job.run(configure(name, job, words)))


class Job(Protocol):
    """Interface of a job's module in `framemill.jobs`: `CONFIG`, its config class, and `run`.

    A job whose words are not all `key=value` (`submit`) also defines `configure(words)`, which returns its config.
    """

    CONFIG: type

    def run(self, config: Any) -> int:
        """Runs the job and returns the exit status."""


def configure(name: str, job: Job, words: list[str]) -> object:
    """Returns the config of a job, loaded from a frozen file (`--frozen FILE`) or composed from `key=value` words.

    Raises:
        RequestError: a key or value is wrong.
    """
    from framemill.platform.compose import compose
    from framemill.platform.frozen_config import load_frozen

    own_syntax = getattr(job, "configure", None)
    if own_syntax is not None:
        return own_syntax(words)
    if words and words[0] == "--frozen":
        if len(words) != 2:
            raise RequestError("--frozen: write --frozen FILE and nothing else")
        return load_frozen(job.CONFIG, words[1])
    return compose(name, job.CONFIG, words)


def _print_jobs() -> None:
    """Prints the list of jobs and flags."""
    print("usage: framemill JOB [key=value ...]\n\njobs:")
    for name, line in JOBS.items():
        print(f"  {name:<10} {line}")
    print("\nframemill JOB --help lists a job's keys with their defaults.\n\nflags:")
    for flag, line in FLAGS.items():
        print(f"  {flag:<10} {line}")


def _print_keys(name: str, job: Job) -> None:
    """Prints the keys of a job with their defaults."""
    from framemill.platform.config_help import describe_keys

    print(f"usage: framemill {name} [key=value ...]\n\n{JOBS[name]}\n")
    lines = describe_keys(name, job.CONFIG)
    widths = [
        max((len(text) for text in column), default=0)
        for column in ([x.key for x in lines], [x.default for x in lines])
    ]
    for line in lines:
        print(f"  {line.key:<{widths[0]}}  {line.default:<{min(widths[1], 28)}}  {line.help}".rstrip())


def _interrupt(*_: object) -> None:
    """Handles SIGTERM like Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
