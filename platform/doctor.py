"""Checking a machine for everything that Framemill needs, with advice for each missing part.

The check only reads versions and inspects folders; it starts and compiles nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framemill.platform import storage
from framemill.platform.config import key
from framemill.platform.progress import say

GIB = 1 << 30
LEAST_PYTHON = (3, 11)
LEAST_DISK = 5 * GIB
LEAST_MEMORY = 4 * GIB
LEAST_SHARED_MEMORY = GIB // 2
LIBRARIES = ("torch", "torchvision", "ray", "deepspeed", "diffusers", "transformers", "mlflow", "webdataset", "av")
ENCODER = "libx264"
"""FFmpeg's name of the video encoder that packing and generation require."""
DECODERS = ("h264", "hevc", "av1", "vp9", "prores")
"""FFmpeg's names of video decoders; sources in the format of a missing decoder fail."""
REMOTE = {"s3": "s3fs", "gs": "gcsfs"}
"""Python package with the fsspec driver of each URI scheme."""


@dataclass
class DoctorConfig:
    """The keys of `doctor`."""

    path: str = key(".", "output folder; the free space of its disk is checked", result=False)


@dataclass(frozen=True)
class Finding:
    """One fact about this machine. `advice` is set if something is missing; `required` if jobs fail without it."""

    subject: str
    fact: str
    advice: str = ""
    required: bool = False

    @property
    def mark(self) -> str:
        """Label of the finding: "ok"; "note" if something is missing; "LACKS" if something required is missing."""
        return ("LACKS" if self.required else "note") if self.advice else "ok"


def doctor(config: DoctorConfig) -> int:
    """Prints all findings and returns 0 if everything required is available, else 1."""
    findings = list(examine(config.path))
    for finding in findings:
        say(f"{finding.mark:<6}{finding.subject:<15}{finding.fact}")
        if finding.advice:
            say(f"{'':<21}-> {finding.advice}")
    lacks = [finding.subject for finding in findings if finding.advice and finding.required]
    say(f"doctor: lacks {', '.join(lacks)}" if lacks else "doctor: all that is required is here")
    return 1 if lacks else 0


def examine(path: str) -> Iterator[Finding]:
    """Yields all findings about this machine; `path` is the output folder whose disk is checked."""
    yield _python()
    yield Finding("framemill", f"{_version('framemill')} from {Path(__file__).parents[1]}")
    for library in LIBRARIES:
        yield _library(library)
    yield from _compute()
    yield _compiler()
    yield from _memory()
    yield _disk(path)
    yield from _codecs()
    yield Finding("tracking", f"MLflow on SQLite {sqlite3.sqlite_version} unless tracking.uri names a server")
    yield _ray_token()
    yield _remote_storage()


def _python() -> Finding:
    fact = f"{sys.version.split()[0]} at {sys.executable}"
    advice = f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer"
    return Finding("Python", fact, "" if sys.version_info >= LEAST_PYTHON else advice, True)


def _library(name: str) -> Finding:
    if importlib.util.find_spec(name) is None:
        return Finding(name, "not installed", "run `make setup`, or install framemill with its dependencies", True)
    return Finding(name, _version(name))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _compute() -> Iterator[Finding]:
    """Yields findings about the CPU cores and the GPUs that torch can use."""
    yield Finding("CPU", f"{len(os.sched_getaffinity(0))} cores for this process")
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield Finding("GPU", f"{facts.name}, {facts.total_memory / GIB:.0f} GiB")
    else:
        advice = "training runs on the CPU: enough for the tiny model; larger ones want a GPU and a torch built for it"
        yield Finding("GPU", "none that torch can use", advice)


def _compiler() -> Finding:
    """Returns the finding about the C++ compiler, which is optional: by default training compiles no DeepSpeed op."""
    compiler = next((c for c in (os.environ.get("CXX"), "c++", "g++", "clang++") if c and shutil.which(c)), None)
    if compiler:
        return Finding("C++ compiler", f"{compiler}, for DeepSpeed's own optimisers and torch.compile")
    advice = "the defaults need none; DeepSpeed's own optimisers and torch.compile do: g++ or clang++ from the system"
    return Finding("C++ compiler", "none", advice)


def _memory() -> Iterator[Finding]:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # The limit of a container, if it has one.
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and limit.read_text().strip().isdigit():
        total = min(total, int(limit.read_text()))
    enough = total >= LEAST_MEMORY
    advice = "" if enough else f"{LEAST_MEMORY / GIB:.0f} GiB are the least for two workers: lower workers="
    yield Finding("memory", f"{total / GIB:.1f} GiB", advice)
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free
        advice = "Ray falls back to the disk, which is slow: give the container more (--shm-size)"
        yield Finding("shared memory", f"{free / GIB:.1f} GiB free", "" if free >= LEAST_SHARED_MEMORY else advice)


def _disk(path: str) -> Finding:
    if not storage.is_local(path):
        return Finding("disk", f"{path} is not on this machine")
    folder = Path(storage.local_path(path)).resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("disk", f"{folder} cannot be written", "choose an output in a folder of yours", True)
    advice = "" if free >= LEAST_DISK else f"free some: below {LEAST_DISK / GIB:.0f} GiB a run may not end"
    return Finding("disk", f"{free / GIB:.1f} GiB free at {folder}", advice, free < LEAST_DISK / 5)


def _codecs() -> Iterator[Finding]:
    if importlib.util.find_spec("av") is None:
        return
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    def has(name: str, mode: str) -> bool:
        try:
            return bool(Codec(name, mode))  # type: ignore[arg-type]
        except UnknownCodecError:
            return False

    advice = "" if has(ENCODER, "w") else "install the av wheel of the package index instead of a build without x264"
    yield Finding("video encoder", f"{ENCODER} {'missing' if advice else 'in PyAV'}", advice, True)
    absent = [name for name in DECODERS if not has(name, "r")]
    advice = "files in these formats will be counted as failed" if absent else ""
    yield Finding("video decoders", f"missing: {', '.join(absent)}" if absent else ", ".join(DECODERS), advice)


def _ray_token() -> Finding:
    named = next((name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if os.environ.get(name)), None)
    default = Path.home() / ".ray" / "auth_token"
    if named or default.exists():
        return Finding("Ray token", f"in {named or default}")
    return Finding("Ray token", "none: Ray makes one for itself; submitting to a cluster needs that cluster's")


def _remote_storage() -> Finding:
    absent = [f"{scheme}:// ({name})" for scheme, name in REMOTE.items() if importlib.util.find_spec(name) is None]
    if not absent:
        return Finding("object stores", ", ".join(f"{scheme}://" for scheme in REMOTE))
    return Finding("object stores", f"no driver for {', '.join(absent)}", "install the driver to use one")
