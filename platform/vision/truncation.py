"""Detecting truncated files by the sizes that their containers state; FFmpeg reads such files without an error.

The containers are MP4 and QuickTime (ISO/IEC 14496-12, 4.2), and Matroska and WebM (RFC 8794, RFC 9559)."""

from __future__ import annotations

import os
from typing import BinaryIO

MOV_FORMATS, MATROSKA_FORMATS = "mov", "matroska"
"""Prefixes of FFmpeg's names of the demuxers ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")."""
_SHORT_HEADER, _LONG_HEADER = 8, 16
"""Bytes of a box header: size (4) and type (4), plus a 64-bit size (8) for boxes of 4 GiB and more."""
_SIZE_TO_END = 0
"""Size field of a box that extends to the end of the file."""
_MEDIA_BOXES = frozenset({b"moov", b"moof", b"mdat"})
"""Types of boxes with frames or their index; other types may be arbitrary bytes after the last box."""
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
"""Identifiers of the two top-level elements of a Matroska file."""


def missing_bytes(path: str, format_name: str) -> int | None:
    """Returns the number of bytes missing at the end of a file; None if the container does not tell.

    In an MP4 file, 0 means that no box is truncated; whole fragments may still be missing, so None is returned unless
    bytes are missing.

    Args:
        path: local path of the file.
        format_name: FFmpeg's name of the demuxer.
    """
    if format_name.startswith(MOV_FORMATS):
        return _missing_box_bytes(path) or None
    if format_name.startswith(MATROSKA_FORMATS):
        return _missing_segment_bytes(path)
    return None


def _missing_box_bytes(path: str) -> int:
    """Returns the number of bytes missing at the end of the last top-level box; 0 if the box is complete."""
    end = os.path.getsize(path)
    at = 0
    with open(path, "rb") as file:
        while at + _SHORT_HEADER <= end:
            file.seek(at)
            header = file.read(_LONG_HEADER)
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size == _SIZE_TO_END:
                return 0
            if size < _SHORT_HEADER or (at + size > end and kind not in _MEDIA_BOXES):
                return 0
            at += size
    return max(0, at - end)


def _missing_segment_bytes(path: str) -> int | None:
    """Returns the number of bytes missing at the end of a Matroska file's segment; None if its size is unknown."""
    with open(path, "rb") as file:
        for element in (_EBML, _SEGMENT):
            if _read_number(file, keep_marker=True) != element:
                return None
            size = _read_number(file)
            if size is None:
                return None
            file.seek(size, os.SEEK_CUR)
        return max(0, file.tell() - os.path.getsize(path))


def _read_number(file: BinaryIO, keep_marker: bool = False) -> int | None:
    """Returns the next variable-size integer (RFC 8794, 4); None at the end of the file or for an unknown size.

    Args:
        file: file at the integer.
        keep_marker: whether the length marker is part of the value, as in an element's identifier.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    value = int.from_bytes(data, "big")
    unknown = (1 << 7 * length) - 1
    if keep_marker:
        return value
    return None if value & unknown == unknown else value & unknown
