"""Duplicates: the best clip is kept, whatever the order of the clips; chains, mirrored copies, embeddings."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framemill.data_filters.dedup import duplicates
from framemill.data_filters.dedup.config import DedupConfig
from framemill.data_filters.dedup.near import MAX_BUCKET_COMPARISONS, distance
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.reasons import Reason
from framemill.data_filters.ledger.tables import check_conservation, read_sources
from framemill.data_filters.pipeline import curate
from framemill.platform.dataset import read_ledger
from framemill.platform.errors import RequestError
from framemill.platform.vision.reel import Scene, render_scene
from framemill.platform.vision.video import encode_mp4
from tests.support.curation_output import Configure, dataset_bytes, finished_entries
from tests.support.footage import shot
from tests.support.hashed_clips import clip, hashes, mirrored, turned, unit


def find_duplicates(config: DedupConfig, rows: list[dict]) -> dict[str, Reason]:
    return duplicates.find_duplicates(config, list(ClipTable.of(rows)))


def test_the_kept_one_has_the_most_pixels_then_the_best_score_then_the_first_key() -> None:
    bits = hashes(1)
    rows = [
        clip("d", bits, side=100, technical=0.9),
        clip("c", turned(bits, 4), side=200, technical=0.3),
        clip("b", turned(bits, 5), side=200, technical=0.8),
        clip("a", turned(bits, 6), side=200, technical=0.8),
        clip("barred", turned(bits, 3), side=220, technical=0.9, black_bars=0.25),
        clip("other", hashes(2)),
    ]
    reasons = find_duplicates(DedupConfig(), rows)
    assert {key: one.other for key, one in reasons.items()} == dict.fromkeys(("b", "c", "d", "barred"), "a")
    assert str(reasons["d"]) == "near duplicate of a, distance 6"


MOST = DedupConfig().near
drawn = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 40), st.booleans(), st.sampled_from((100, 200)), st.integers(0, 5)),
    max_size=12,
)


@settings(deadline=None)
@given(drawn, st.randoms(use_true_random=False))
def test_any_order_gives_the_same(table: list[tuple[int, int, bool, int, int]], random: Random) -> None:
    """Every duplicate names a kept clip of another source, at most the threshold away."""
    rows = []
    for number, (family, bits, flipped, side, source) in enumerate(table):
        frames = turned(hashes(family), bits, seed=number)
        rows.append(clip(f"k{number:02d}", mirrored(frames) if flipped else frames, side, source=f"s{source}"))
    reasons = find_duplicates(DedupConfig(), rows)
    random.shuffle(rows)
    assert find_duplicates(DedupConfig(), rows) == reasons
    by_key = {row["key"]: row for row in rows}
    for key, reason in reasons.items():
        kept = reason.other
        assert kept not in reasons and by_key[kept]["path"] != by_key[key]["path"]
        pair = (np.frombuffer(by_key[k]["phashes"], ">u8").astype(np.uint64).reshape(-1, 2) for k in (kept, key))
        far = distance(*pair)
        assert far <= MOST and str(reason) == f"near duplicate of {kept}, distance {far}"


def test_a_chain_keeps_the_ends_that_are_no_copies_of_each_other() -> None:
    """A to B and B to C are 20 bits apart, A to C 40 bits."""
    a = hashes(1)
    b, c = a.copy(), a.copy()
    b[:, 0:120:6] ^= True
    c[:, 0:120:3] ^= True
    best_first = find_duplicates(DedupConfig(), [clip("a", a), clip("b", b), clip("c", c)])
    assert {key: one.other for key, one in best_first.items()} == {"b": "a"}
    middle_best = find_duplicates(DedupConfig(), [clip("a", a), clip("b", b, side=200), clip("c", c)])
    assert {key: one.other for key, one in middle_best.items()} == {"a": "b", "c": "b"}


def test_clips_of_one_source_and_blank_ones_are_left_alone() -> None:
    a = hashes(1)
    rows = [clip("a-1", a, source="a"), clip("a-2", a, source="a"), clip("b", a[:0]), clip("c", a[:0])]
    assert find_duplicates(DedupConfig(), rows) == find_duplicates(DedupConfig(), []) == {}
    assert find_duplicates(DedupConfig(near=None), [clip("a", a), clip("b", a)]) == {}


def test_a_crowd_of_copies_leaves_one() -> None:
    crowd = [clip(f"k{n:04d}", turned(hashes(1), n % 5, seed=n)) for n in range(5 * MAX_BUCKET_COMPARISONS)]
    reasons = find_duplicates(DedupConfig(), crowd)
    assert len(reasons) == len(crowd) - 1 and {one.other for one in reasons.values()} == {"k0000"}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two takes, with a mirrored copy of the first take at half the size and a copy with the same bytes."""
    folder = tmp_path_factory.mktemp("copied")
    first = [np.ascontiguousarray(frame) for frame in render_scene(Scene("red", "yellow", pace="quickly"), 5)]
    whole = encode_mp4(first, 16)
    (folder / "take-1.mp4").write_bytes(whole)
    (folder / "same bytes.mp4").write_bytes(whole)
    small = [np.ascontiguousarray(frame[::2, ::-2]) for frame in first]
    (folder / "a-mirror.mp4").write_bytes(encode_mp4(small, 16, crf=28))
    (folder / "take-2.mp4").write_bytes(shot(Scene("blue", "green", "square", direction="up"), seed=6))
    return folder


def test_a_real_run_and_a_new_selection(copied: Path, configure: Configure, tmp_path: Path, ray_session: None) -> None:
    words = ("select=all", "pack.samples_per_shard=2")
    summary = curate(configure(copied, tmp_path / "one", *words, "workers=1", "dedup.near=26"))
    curate(configure(copied, tmp_path / "two", *words, "workers=2", "dedup.near=26"))
    assert dataset_bytes(tmp_path / "one") == dataset_bytes(tmp_path / "two")
    sources = {row["path"]: row for row in read_ledger(str(tmp_path / "one"), "sources").to_pylist()}
    clips = {row["path"]: row for row in read_ledger(str(tmp_path / "one"), "clips").to_pylist()}
    assert {path: row["state"] for path, row in clips.items()} == {
        "a-mirror.mp4": "duplicate",
        "same bytes.mp4": "kept",
        "take-2.mp4": "kept",
    }
    mirror, kept_key = clips["a-mirror.mp4"], clips["same bytes.mp4"]["key"]
    assert mirror["reason"].startswith(f"near duplicate of {kept_key}, distance ")
    assert (mirror["cause"], mirror["duplicate_of"]) == ("near_duplicate", kept_key)
    assert sources["take-1.mp4"]["duplicate_of"] == "same bytes.mp4"
    assert (sources["a-mirror.mp4"]["state"], sources["a-mirror.mp4"]["reason"]) == ("filtered", "near duplicate")
    assert sources["take-1.mp4"]["state"] == "duplicate"
    assert summary.clips == {"duplicate": 1, "kept": 2} and summary.reasons["near duplicate"] == 1
    check_conservation(
        read_sources(str(tmp_path / "one")), ClipTable.of_ledger(read_ledger(str(tmp_path / "one"), "clips"))
    )

    curate(configure("", tmp_path / "all", f"from={tmp_path / 'one'}", *words, "dedup.near=null"))
    curate(configure(copied, tmp_path / "direct", *words, "dedup.near=null"))
    assert dataset_bytes(tmp_path / "all") == dataset_bytes(tmp_path / "direct")
    curate(configure("", tmp_path / "again", f"from={tmp_path / 'all'}", *words, "dedup.near=26"))
    assert dataset_bytes(tmp_path / "again") == dataset_bytes(tmp_path / "one")
    assert sum(entry.get("cut", 0) for entry in finished_entries(tmp_path / "again")) == 0


def test_the_better_of_two_alike_is_kept_after_the_copies_are_gone() -> None:
    like = unit(np.array([[1, 0, 0], [0.99, 0.1, 0], [0, 1, 0]]))
    rows = [
        clip("a", hashes(1), embedding=like[0].tolist()),
        clip("b", hashes(2), side=200, embedding=like[1].tolist()),
        clip("c", turned(hashes(2), 4), side=300, embedding=None),
        clip("d", hashes(4), embedding=like[2].tolist()),
        clip("e", hashes(5), embedding=like[1].tolist()),
    ]
    for order in itertools.permutations(rows):
        reasons = find_duplicates(DedupConfig(semantic=0.9), list(order))
        assert {key: one.other for key, one in reasons.items()} == {"b": "c", "e": "a"}
    assert str(reasons["e"]) == f"semantic duplicate of a, similarity {np.round(like[0] @ like[1], 6):g}"
    with pytest.raises(RequestError, match=r"^dedup\.semantic=0\.9: no clip has an embedding"):
        find_duplicates(DedupConfig(semantic=0.9), [clip("a", hashes(1))])


def test_keys_and_lazy_imports(configure: Configure) -> None:
    for word, line in (("dedup.near=65", "from 0 to 64"), ("dedup.semantic=0", "more than 0")):
        with pytest.raises(RequestError, match=line):
            configure("in", "out", word)
    assert configure("in", "out", "dedup.near=null", "dedup.semantic=0.9").dedup == DedupConfig(None, 0.9)
    code = "import sys, json, framemill.data_filters.dedup; print(json.dumps('faiss' in sys.modules))"
    assert json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) is False
