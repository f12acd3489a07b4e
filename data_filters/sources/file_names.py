"""File names: which are videos, and which are archives of videos."""

from __future__ import annotations

import os

_FORMATS = """
3g2 3gp apng asf avi divx dv f4v flv gif m4p m4v mkv mk3d mov mp4 mxf nut ogg ogm ogv qt rm rmvb webm wmv wtv y4m
m1v m2p m2t m2ts m2v mod mpe mpeg mpg mts tod ts vob
264 265 h264 h265 hevc ivf mjpeg mjpg obu
"""
VIDEO_SUFFIXES = tuple(f".{name}" for name in _FORMATS.split())
"""Suffixes of the file formats that FFmpeg reads as video. A file without video, such as music in .ogg, fails."""
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
