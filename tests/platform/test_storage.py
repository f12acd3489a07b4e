"""Files are committed whole, and an output has one writer."""

from __future__ import annotations

from pathlib import Path

import pytest

from framemill.platform import storage
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.writer_lock import WriterLock


def test_files_appear_whole_and_leave_nothing_beside(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.txt"
    storage.write_atomic(str(target), b"one")
    storage.write_atomic(str(target), b"two")
    assert target.read_bytes() == b"two" and [p.name for p in target.parent.iterdir()] == ["b.txt"]
    other = tmp_path / "made-elsewhere"
    other.write_bytes(b"three")
    storage.commit_file(str(other), str(target))
    assert target.read_bytes() == b"three" and not other.exists()


@pytest.mark.parametrize("base", ["local", "memory://bucket"])
def test_the_same_calls_serve_folders_and_object_stores(tmp_path: Path, base: str) -> None:
    root = str(tmp_path) if base == "local" else base
    target = storage.join(root, "deep", "er", "x.bin")
    storage.write_atomic(target, b"0123456789")
    assert storage.exists(target) and storage.size(target) == 10
    assert storage.read_bytes(target) == b"0123456789" and storage.read_range(target, 3, 4) == b"3456"
    assert storage.list_dir(storage.join(root, "deep", "er")) == ["x.bin"]
    assert storage.list_dir(storage.join(root, "nowhere")) == []
    with storage.local_copy(target) as path:
        assert Path(path).read_bytes() == b"0123456789"
    storage.remove(target)
    assert not storage.exists(target)


def test_one_writer_at_a_time_and_an_old_attempt_may_not_commit(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    with WriterLock(output) as first:
        token = first.token()
        token.check()
        with pytest.raises(RequestError, match="another process is writing"), WriterLock(output):
            pass
    with WriterLock(output) as second:
        assert second.attempt == token.attempt + 1
        second.token().check()
        with pytest.raises(FramemillError, match="replaced by a later one"):
            token.check()


def test_a_local_name_is_taken_as_it_stands(tmp_path: Path) -> None:
    """ "::" joins file systems in a URI of fsspec, and is plain text in a file's name."""
    for name in ("a::b.txt", "zip::c.txt", "[x]*.txt"):
        target = storage.join(str(tmp_path), name)
        storage.write_atomic(target, name.encode())
        assert storage.exists(target) and storage.read_bytes(target) == name.encode()
    assert storage.list_dir(str(tmp_path)) == sorted(["a::b.txt", "zip::c.txt", "[x]*.txt"])
