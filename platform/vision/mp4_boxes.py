"""Whether an MP4 or QuickTime file is all there: its boxes say how long they are (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import os

MOV_FORMATS = "mov"
"""FFmpeg's name for the readers of such files begins with this."""
SHORT_HEADER, LONG_HEADER = 8, 16
"""Bytes: size (4) and kind (4), then for boxes of 4 GiB and more the size again (8)."""
TO_THE_END = 0
LENGTHY = frozenset({b"moov", b"moof", b"mdat"})
"""What pictures and their index lie in. What follows the last box may be anything."""


def missing_bytes(path: str) -> int:
    """How many bytes a top-level box promises beyond the end of the file; 0 where it is complete.

    FFmpeg reads a file without its last packets as if they had never been there.
    """
    end = os.path.getsize(path)
    at = 0
    with open(path, "rb") as file:
        while at + SHORT_HEADER <= end:
            file.seek(at)
            header = file.read(LONG_HEADER)
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size == TO_THE_END:
                return 0
            if size < SHORT_HEADER or (at + size > end and kind not in LENGTHY):
                return 0
            at += size
    return max(0, at - end)
