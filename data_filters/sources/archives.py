"""Archives of videos, zips and WebDataset tars: listing their videos, and copying a video out.

A video in an archive has a URI of its own, `zip://<name>::<URI of the zip>` or `tar://<name>?<ranges>::<URI of the
tar>` (see `tar_archive`); names are percent-encoded.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from framemill.data_filters.sources import tar_archive, zip_archive
from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.file_names import is_tar, is_video
from framemill.data_filters.sources.sidecars import Provenance

_ZIP_SCHEME, _JOINT = "zip://", "::"


@dataclass(frozen=True)
class ArchiveListing:
    """The videos in an archive."""

    uris: dict[str, str]
    """URIs of the videos by name, sorted by name."""
    problem: str
    """Why the archive could not be read to its end; empty if it could."""


def list_archive(archive: str) -> ArchiveListing:
    """Returns the videos in an archive, except hidden videos.

    Raises:
        OSError: the archive cannot be reached.
    """
    if is_tar(archive):
        videos, problem = tar_archive.list_tar(archive)
        return ArchiveListing({video.name: video.uri for video in videos if _is_visible_video(video.name)}, problem)
    try:
        names = zip_archive.zip_member_names(archive)
    except ArchiveError as error:
        return ArchiveListing({}, str(error))
    return ArchiveListing({name: zip_member_uri(archive, name) for name in names if _is_visible_video(name)}, "")


def zip_member_uri(archive: str, name: str) -> str:
    """Returns the URI of a member of a zip."""
    return f"{_ZIP_SCHEME}{quote(name, safe='/')}{_JOINT}{archive}"


def split_zip_uri(uri: str) -> tuple[str, str]:
    """Returns the URI of the zip and the name of the member, from a URI of `zip_member_uri`."""
    name, _, archive = uri.removeprefix(_ZIP_SCHEME).partition(_JOINT)
    return archive, unquote(name)


def archive_uri(uri: str) -> str | None:
    """Returns the URI of the archive that contains a video; None for a video file."""
    if uri.startswith(tar_archive.TAR_SCHEME):
        return tar_archive.TarVideo.parse(uri).archive
    return split_zip_uri(uri)[0] if uri.startswith(_ZIP_SCHEME) else None


def copy_member(uri: str, folder: str) -> str:
    """Copies a video out of its archive into a local folder; returns the path of the copy.

    The copy has a fixed name, so that a name in an archive cannot lead out of the folder.

    Raises:
        ArchiveError: the video is damaged or encrypted, or its name leads out of the archive.
        OSError: the archive cannot be reached.
    """
    if uri.startswith(tar_archive.TAR_SCHEME):
        video = tar_archive.TarVideo.parse(uri)
        _refuse_unsafe(video.name)
        target = os.path.join(folder, "member" + os.path.splitext(video.name)[1].lower())
        tar_archive.copy_tar_member(video, target)
        return target
    archive, name = split_zip_uri(uri)
    _refuse_unsafe(name)
    target = os.path.join(folder, "member" + os.path.splitext(name)[1].lower())
    zip_archive.copy_zip_member(archive, name, target)
    return target


def read_member_sidecars(uri: str) -> tuple[str | None, Provenance]:
    """Returns the caption of a video in an archive and its provenance, from the sidecars in and next to the archive.

    Raises:
        SidecarError: a sidecar is not a JSON object.
        ArchiveError: the archive cannot be read, or the video's name leads out of the archive.
        OSError: the archive cannot be reached.
    """
    if uri.startswith(tar_archive.TAR_SCHEME):
        video = tar_archive.TarVideo.parse(uri)
        _refuse_unsafe(video.name)
        return tar_archive.read_tar_sidecars(video)
    archive, name = split_zip_uri(uri)
    _refuse_unsafe(name)
    return zip_archive.read_zip_sidecars(archive, name)


def _is_visible_video(name: str) -> bool:
    """Returns whether a member is a video, and neither hidden nor in a hidden folder of its archive."""
    *folders, file = name.replace("\\", "/").removeprefix("./").split("/")
    return is_video(file) and not any(part.startswith(".") and part != ".." for part in folders)


def _refuse_unsafe(name: str) -> None:
    parts = re.split(r"[\\/]", name)
    if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", name):
        raise ArchiveError("its name leads out of the archive")
