"""Videos in WebDataset tars, as video2dataset and cosmos-curate write them.

video2dataset writes `00000.tar` with `<key>.mp4`, `<key>.txt` (caption) and `<key>.json` (facts); a sample that could
not be downloaded has no mp4. cosmos-curate's tars of video hold `<key>.mp4` alone (see `cosmos_curate`).

A tar has no table of contents, so listing one reads the header of every member. The URI of a video has the byte ranges
of the video and of its sidecars, so that a worker reads only these bytes and never the headers:
`tar://<name>?video=<offset>-<size>&txt=<offset>-<size>::<URI of the tar>`.
"""

from __future__ import annotations

import json
import os
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.cosmos_curate import METAS, metas_caption, metas_uri
from framemill.data_filters.sources.file_names import is_video
from framemill.data_filters.sources.sidecars import Provenance, parse_object, parse_sidecars
from framemill.platform import storage

TAR_SCHEME = "tar://"
_JOINT = "::"
_BROKEN = (tarfile.TarError, EOFError, ValueError, OverflowError, struct.error)
"""Exceptions that `tarfile` raises for a file that is not a tar, or is damaged."""
_HEADER_BLOCK = 1 << 14
"""Bytes of a range request while headers are read: a header has 512, and short sidecars follow at once."""
_COPY_BLOCK = 1 << 20
"""Bytes of a read or of a range request while a video is copied."""
_SIDECARS = ("txt", "json")


@dataclass(frozen=True)
class ByteRange:
    """The byte range of a member's content in its tar."""

    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.offset}-{self.size}"

    @staticmethod
    def parse(text: str) -> ByteRange:
        """Returns the byte range in a text that `str` wrote."""
        offset, _, size = text.partition("-")
        return ByteRange(int(offset), int(size))


@dataclass(frozen=True)
class TarHeaders:
    """The complete members of a tar."""

    members: dict[str, ByteRange]
    """Byte ranges by name. Of two members with the same name the last counts, as in the program `tar`."""
    problem: str
    """Why the tar could not be read to its end; empty if it could."""


@dataclass(frozen=True)
class TarVideo:
    """A video in a tar, with the byte ranges of its content and of its sidecars."""

    archive: str
    """URI of the tar."""
    name: str
    """Name of the member."""
    ranges: dict[str, ByteRange]
    """Byte ranges by name: `video`, then those of `txt`, `json` and `metas` that exist; `metas` is in another tar."""

    @property
    def uri(self) -> str:
        """The URI of the video."""
        query = urlencode({part: str(where) for part, where in self.ranges.items()})
        return f"{TAR_SCHEME}{quote(self.name, safe='/', errors='surrogateescape')}?{query}{_JOINT}{self.archive}"

    @staticmethod
    def parse(uri: str) -> TarVideo:
        """Returns the video that a tar URI names."""
        member, _, archive = uri.removeprefix(TAR_SCHEME).partition(_JOINT)
        name, _, query = member.partition("?")
        ranges = {part: ByteRange.parse(where) for part, where in parse_qsl(query)}
        return TarVideo(archive, unquote(name, errors="surrogateescape"), ranges)


def list_tar(archive: str) -> tuple[list[TarVideo], str]:
    """Returns the videos in a tar, sorted by name, and the reason why it could not be read to its end, or "".

    Raises:
        OSError: the tar cannot be reached.
    """
    headers = read_tar_headers(archive)
    if not any(is_video(name) for name in headers.members):
        return [], headers.problem
    metas = metas_uri(archive)
    metas_members = read_tar_headers(metas).members if metas and storage.exists(metas) else {}
    return list(_videos(archive, headers.members, metas_members)), headers.problem


def read_tar_headers(archive: str) -> TarHeaders:
    """Returns the complete members of a tar, up to a damaged header or the member that is cut off.

    Raises:
        OSError: the tar cannot be reached.
    """
    with (
        storage.open_filesystem(archive) as (filesystem, path),
        filesystem.open(path, "rb", block_size=_HEADER_BLOCK) as file,
    ):
        members: dict[str, ByteRange] = {}
        try:
            return TarHeaders(members, _read_headers(file, members))
        except _BROKEN as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            what = f"damaged after {len(members)} members" if members else "not a readable tar"
            return TarHeaders(members, f"{what} ({reason})")


def copy_tar_member(video: TarVideo, target: str) -> None:
    """Copies a video out of its tar into the local file `target`.

    Raises:
        ArchiveError: the tar ends before the video does.
        OSError: the tar cannot be reached.
    """
    where = video.ranges["video"]
    left = where.size
    with (
        storage.open_filesystem(video.archive) as (filesystem, path),
        filesystem.open(path, "rb", block_size=_COPY_BLOCK) as file,
        open(target, "wb") as copy,
    ):
        file.seek(where.offset)
        while left and (block := file.read(min(left, _COPY_BLOCK))):
            copy.write(block)
            left -= len(block)
    if left:
        raise ArchiveError(f"the tar breaks off inside {video.name}")


def read_tar_sidecars(video: TarVideo) -> tuple[str | None, Provenance]:
    """Returns the caption of a video in a tar and its provenance.

    The caption is from the sidecars in the same tar, or else the first caption in cosmos-curate's metadata, which are
    stored in the provenance as `external`: {"metas": ...}.

    Raises:
        SidecarError: a sidecar is not a JSON object.
        OSError: a tar cannot be reached.
    """
    text, facts = (
        storage.read_range(video.archive, where.offset, where.size) if (where := video.ranges.get(part)) else None
        for part in _SIDECARS
    )
    caption, values = parse_sidecars(video.name, text, facts)
    where = video.ranges.get(METAS)
    if where:
        data = storage.read_range(metas_uri(video.archive) or "", where.offset, where.size)
        metas = parse_object(f"{METAS} of {video.name}", data)
        values["external"] = json.dumps({METAS: metas}, sort_keys=True, ensure_ascii=False)
        caption = caption or metas_caption(metas)
    return caption, values


def tar_stamp(archive: str, stamp: str) -> str:
    """Returns the stamp of a tar's videos: the stamps of the tar and of the tar with cosmos-curate's metadata."""
    metas = metas_uri(archive)
    return f"{stamp}|{METAS}={storage.change_stamp(metas)}" if metas else stamp


def _read_headers(file: IO[bytes], members: dict[str, ByteRange]) -> str:
    """Adds the complete members of an open tar to `members`; returns why the tar breaks off, or ""."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (info := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every header: 1 kB a member
            if info.offset_data + info.size > end:
                return f"breaks off inside {info.name}"
            if info.isreg() and not info.issparse():
                members[info.name] = ByteRange(info.offset_data, info.size)
        # tarfile takes a damaged header behind the first member for the end. The end is a block of zeros, or nothing.
        file.seek(tar.offset)
        return f"damaged after {len(members)} members" if any(file.read(tarfile.BLOCKSIZE)) else ""


def _videos(archive: str, members: dict[str, ByteRange], metas: dict[str, ByteRange]) -> Iterator[TarVideo]:
    """Yields the videos among the members of a tar, each with the sidecars of its sample."""
    from webdataset.tariterators import group_by_keys

    # A WebDataset sample is a run of members with the same key. Sorting joins the members that a writer has scattered.
    files = [
        {"fname": name, "data": (name, members[name]), "__url__": archive}
        for name in sorted(members)
        if is_video(name) or name.endswith(tuple(f".{part}" for part in _SIDECARS))
    ]
    for sample in group_by_keys(files, lcase=False):
        for extension in sorted(sample.keys() - {"__key__", "__url__"}):
            name, where = sample[extension]
            if is_video(name):
                yield TarVideo(archive, name, {"video": where, **_sidecar_ranges(sample, extension, metas)})


def _sidecar_ranges(sample: dict[str, Any], extension: str, metas: dict[str, ByteRange]) -> dict[str, ByteRange]:
    """Returns the ranges of a video's sidecars: for `<key>.left.mp4` those of `<key>.left.txt`, else of `<key>.txt`."""
    stem = os.path.splitext(extension)[0]
    prefix = f"{stem}." if stem != extension else ""
    ranges: dict[str, ByteRange] = {}
    for part in _SIDECARS:
        entry = sample.get(prefix + part) or sample.get(part)
        if entry:
            ranges[part] = entry[1]
    if entry := metas.get(f"{sample['__key__']}.json"):
        ranges[METAS] = entry
    return ranges
