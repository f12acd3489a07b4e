"""Shards are plain tar files: the same samples give the same bytes, which tarfile reads back."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framemill.platform.shard_writer import Sample, write_shard

KEYS = st.text("abcdef0123456789-_", min_size=1, max_size=90)

MEMBERS = st.dictionaries(
    st.sampled_from(["mp4", "json", "txt", "17x64x112.latent.npy"]), st.binary(max_size=1500), min_size=1
)


@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(KEYS, MEMBERS, min_size=1, max_size=5))
def test_python_tarfile_reads_back_what_was_written(tmp_path: Path, content: dict[str, dict[str, bytes]]) -> None:
    info = write_shard(str(tmp_path), "train", 0, [Sample(k, m) for k, m in content.items()], "0" * 8)
    data = (tmp_path / info.name).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members_by_name = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert members_by_name == {f"{k}.{e}": b for k, members in content.items() for e, b in members.items()}
    for key, members in info.members.items():
        assert {e: data[o : o + n] for e, o, n in members} == content[key]


@pytest.mark.parametrize("key", ["a.b", "a/b", "", "twice"])
def test_keys_that_would_break_a_shard_are_refused_and_leave_nothing(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not fit"):
        write_shard(str(tmp_path), "train", 0, [Sample("twice", {}), Sample(key, {"txt": b""})], "0" * 8)
    assert list(tmp_path.iterdir()) == []
