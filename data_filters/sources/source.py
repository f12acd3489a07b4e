"""A source: a video to curate, as a file or in an archive, with its sidecars and a stamp that shows changes."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from framemill.data_filters.sources.archive_errors import ArchiveError
from framemill.data_filters.sources.archives import archive_uri, copy_member, list_archive, read_member_sidecars
from framemill.data_filters.sources.file_names import is_archive, is_tar
from framemill.data_filters.sources.sidecars import Provenance, provenance, read_file_sidecars, sidecar_names
from framemill.data_filters.sources.tar_archive import tar_stamp
from framemill.data_filters.sources.zip_archive import table_names
from framemill.platform import storage


@dataclass(frozen=True)
class Source:
    """A video to curate."""

    path: str
    """Path relative to the input, which is the source's key in the ledger. For a video in an archive: the path of the
    archive, a slash, and the name of the video."""
    uri: str
    """URI of the file, or of the video in its archive."""
    stamp: str
    """Sizes and dates (or tags) of the file and its sidecars: a source whose stamp has changed is measured again."""

    def to_json(self) -> str:
        """Returns the source as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Source:
        """Returns the source that `to_json` wrote."""
        return Source(**json.loads(text))


def source_stamp(uri: str) -> str:
    """Returns the current stamp of the source at a URI.

    Raises:
        StorageError: an object store did not answer.
    """
    whole = archive_uri(uri) or uri
    folder, _, name = whole.rpartition("/")
    # A local file in the root folder has nothing before its slash.
    base = folder or ("/" if whole.startswith("/") else ".")

    def stamp(file: str) -> str:
        return storage.change_stamp(whole if file == name else storage.join(base, file))

    if is_archive(name):
        return archive_stamp(whole, () if is_tar(name) else storage.list_dir(base), stamp)
    return file_stamp(name, stamp)


def file_stamp(name: str, stamp: Callable[[str], str]) -> str:
    """Returns the stamp of a video file.

    Args:
        name: name of the video.
        stamp: function that returns the stamp of a file in the same folder; "" if there is no such file.
    """
    return "|".join(stamp(file) for file in (name, *sidecar_names(name)))


def archive_stamp(uri: str, names: Iterable[str], stamp: Callable[[str], str]) -> str:
    """Returns the stamp of all videos in an archive.

    Args:
        uri: URI of the archive.
        names: names of the files in the archive's folder.
        stamp: function that returns the stamp of a file in this folder; "" if there is no such file.
    """
    name = uri.rpartition("/")[2]
    if is_tar(name):
        return tar_stamp(uri, stamp(name))
    return "|".join([stamp(name), *(f"{table}={stamp(table)}" for table in table_names(name, names))])


def is_gone(stamp: str) -> bool:
    """Returns whether a stamp shows that the video file is absent, even if it has sidecars."""
    return stamp.startswith("|") or not stamp


def read_sidecars(uri: str) -> tuple[str | None, Provenance]:
    """Returns the caption and the provenance of a source, from its sidecars.

    Raises:
        SidecarError: a sidecar is not a JSON object.
        ArchiveError: the archive that contains the source cannot be read.
        OSError: a file cannot be reached.
    """
    if archive_uri(uri):
        return read_member_sidecars(uri)
    return (None, provenance()) if is_archive(uri) else read_file_sidecars(uri)


@contextlib.contextmanager
def fetch_source(uri: str) -> Iterator[str]:
    """Yields a local path with the content of a source. A copy is removed at the end; a local file is not copied.

    Raises:
        ArchiveError: the source is an archive, or is in an archive that cannot be read.
        OSError: the file or the archive cannot be reached.
    """
    if archive_uri(uri):
        with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
            yield copy_member(uri, folder)
        return
    if is_archive(uri):
        raise ArchiveError(list_archive(uri).problem or "it is an archive, not a video")
    with storage.local_copy(uri) as path:
        yield path
