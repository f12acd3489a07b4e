"""Detecting truncated MP4 and QuickTime files by the sizes of their boxes (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import os

MOV_FORMATS = "mov"
"""Prefix of FFmpeg's name of the demuxer for MP4 and QuickTime files ("mov,mp4,m4a,3gp,3g2,mj2")."""
_SHORT_HEADER, _LONG_HEADER = 8, 16
"""Bytes of a box header: size (4) and type (4), plus a 64-bit size (8) for boxes of 4 GiB and more."""
_SIZE_TO_END = 0
"""Size field of a box that extends to the end of the file."""
_MEDIA_BOXES = frozenset({b"moov", b"moof", b"mdat"})
"""Types of boxes with frames or their index; other types may be arbitrary bytes after the last box."""


def missing_bytes(path: str) -> int:
    """Returns the number of bytes missing at the end of the last top-level box; 0 if the file is complete.

    The check is needed because FFmpeg reads a truncated file without an error.
    """
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
