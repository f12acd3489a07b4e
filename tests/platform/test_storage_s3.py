"""Storage against a real server that speaks S3: what one process writes another sees, and errors are one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from framemill.jobs.status import status
from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset
from framemill.platform.dataset_commit import commit_dataset
from framemill.platform.errors import FramemillError, RequestError
from framemill.platform.shard_writer import Sample, write_shard
from framemill.platform.storage import StorageError
from framemill.platform.writer_lock import LockToken, WriterLock
from tests.support.console import START_S


def test_files(bucket: str, tmp_path: Path) -> None:
    uri = f"{bucket}/deep/x.bin"
    assert not storage.exists(uri) and storage.change_stamp(uri) == "" and storage.list_dir(f"{bucket}/deep") == []
    storage.write_atomic(uri, b"0123456789")
    assert storage.exists(uri) and storage.size(uri) == 10 and storage.read_range(uri, 3, 4) == b"3456"
    assert storage.list_tree(bucket) == {"deep/x.bin": storage.change_stamp(uri)}, "a listing says what asking does"
    (tmp_path / "y").write_bytes(b"y")
    storage.commit_file(str(tmp_path / "y"), f"{bucket}/deep/y.bin")
    assert not (tmp_path / "y").exists()
    assert storage.list_dir(f"{bucket}/deep") == ["x.bin", "y.bin"] and storage.walk(bucket) == [
        "deep/x.bin",
        "deep/y.bin",
    ]
    with storage.local_copy(uri) as path:
        assert Path(path).read_bytes() == b"0123456789"
    storage.remove(f"{bucket}/deep")
    storage.remove(f"{bucket}/deep")
    assert storage.walk(bucket) == []


def test_what_another_process_writes_is_seen_at_once(bucket: str) -> None:
    assert storage.list_dir(bucket) == []
    program = f"from framemill.platform import storage; storage.write_atomic('{bucket}/new', b'1')"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=START_S)
    assert storage.list_dir(bucket) == ["new"] and storage.exists(f"{bucket}/new")


def test_the_last_to_start_owns_the_output(bucket: str) -> None:
    with WriterLock(f"{bucket}/out") as first:
        first.token().check()
        with WriterLock(f"{bucket}/out") as second:
            second.token().check()
            with pytest.raises(FramemillError, match="replaced by a later one"):
                first.token().check()
    same_number = LockToken(f"{bucket}/out", second.attempt, "another")
    with pytest.raises(FramemillError, match="replaced"):
        same_number.check()


def test_a_dataset_is_written_read_by_range_and_audited(bucket: str, tmp_path: Path, s3: Path) -> None:
    infos = []
    for output in (f"{bucket}/set", str(tmp_path / "set")):
        samples = [Sample("a", {"mp4": b"A" * 5000, "txt": b"one"}), Sample("b", {"mp4": b"B" * 7000, "txt": b"two"})]
        shard = write_shard(f"{output}/shards", "train", 0, samples, "12345678")
        table = pa.table({"key": ["a", "b"]})
        infos.append(
            commit_dataset(
                output, kind="encode", config_digest="d", shards=[shard], samples=table, ledger={}, totals={}
            )
        )
        assert not list(Path(tmp_path).glob("**/.tmp-*"))
    assert infos[0] == infos[1]
    dataset = Dataset.open(f"{bucket}/set")
    before = len(s3.read_text().splitlines())
    assert dataset.read(1, "mp4") == b"B" * 7000 and dataset.read(0, "txt") == b"one"
    asked = [line for line in s3.read_text().splitlines()[before:] if "GET" in line]
    assert len(asked) == 2 and all(" 206 " in line for line in asked), "two ranges, and nothing else is fetched"
    assert "complete: 2 samples" in status(f"{bucket}/set")[0]
    name = f"{bucket}/set/shards/{shard.name}"
    storage.write_atomic(name, storage.read_bytes(name).replace(b"BB", b"Bb", 1))
    assert "its content changed" in audit(f"{bucket}/set").problems[0]


def test_failures_are_one_line_with_the_uri(bucket: str, tmp_path: Path) -> None:
    missing = "s3://no-such-bucket-of-ours/x"
    assert not storage.exists(missing) and storage.list_tree(missing) == {}
    with pytest.raises(RequestError, match=f"{missing}: there is no such bucket"):
        storage.write_atomic(missing, b"")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(RequestError, match="no such bucket"):
        storage.commit_file(str(tmp_path / "file"), missing)
    with pytest.raises(RequestError, match="nonsense"):
        storage.exists("nonsense://x")


@pytest.mark.parametrize("trouble", ["credentials", "connection"])
def test_what_may_succeed_later_says_so(
    bucket: str, trouble: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a process of its own: no traceback, exit status 1, and the URI in the line."""
    environment = dict(os.environ, AWS_EC2_METADATA_DISABLED="true", HOME=str(tmp_path))
    if trouble == "credentials":
        del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    else:
        environment["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    command = [sys.executable, "-m", "framemill.jobs.cli", "curate", f"input={bucket}/in", f"output={tmp_path}/out"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"framemill: {bucket}/in: ") and trouble[:7] in done.stderr
    assert issubclass(StorageError, OSError) and not (tmp_path / "out").exists()
