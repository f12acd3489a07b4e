"""File names: which are videos, and which are archives of videos."""

from __future__ import annotations

import os

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".m2ts",
    ".mts",
    ".wmv",
    ".flv",
    ".ogv",
    ".3gp",
    ".mxf",
    ".gif",
)
ZIP_SUFFIX, TAR_SUFFIX = ".zip", ".tar"


def is_video(name: str) -> bool:
    """Returns whether a file is a video, by the suffix of its name or path. Hidden files are not videos."""
    name = os.path.basename(name)
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def is_zip(name: str) -> bool:
    """Returns whether a file is a zip, by its suffix."""
    return name.lower().endswith(ZIP_SUFFIX)


def is_tar(name: str) -> bool:
    """Returns whether a file is an uncompressed tar, by its suffix."""
    return name.lower().endswith(TAR_SUFFIX)


def is_archive(name: str) -> bool:
    """Returns whether a file is an archive of videos, by its suffix."""
    return is_zip(name) or is_tar(name)


def printable_path(path: str) -> str:
    """Returns a path as valid Unicode, which any table can store: bytes that are not UTF-8 become `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
