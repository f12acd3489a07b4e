"""A dataset that grows and shrinks has the bytes of one made from nothing, and does nothing twice on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from framemill.data_filters.pipeline import curate
from framemill.jobs.status import status
from framemill.platform import storage
from framemill.platform.audit import audit
from framemill.platform.dataset import Dataset, read_ledger
from framemill.platform.dataset_commit import commit_dataset, finish_commit
from framemill.platform.dataset_format import read_index
from framemill.platform.errors import RequestError
from framemill.platform.shard_writer import Sample, write_shard
from tests.support.console import kill_job_when
from tests.support.curation_output import (
    PACK,
    Configure,
    clips_cut,
    dataset_bytes,
    finished_entries,
    read_journal,
    sources_measured,
)

SHOTS = ["shot 0 \u00e9.mp4", "shot 1 \u00e9.mp4", "shot 2 \u00e9.mp4", "shot 3 \u00e9.mp4", "deep/two-scenes.mp4"]


def put(footage: Path, folder: Path, *names: str) -> None:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        for file in (footage / name).parent.glob((footage / name).stem + ".*"):
            shutil.copy2(file, target.with_name(file.name))


def versions(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "versions.jsonl").read_text().splitlines()]


def test_it_grows_shrinks_and_changes_into_what_a_fresh_one_would_be(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"

    def run(fresh: str, *words: str) -> list[dict]:
        """Curates on; the result must be that of a fresh curation of that name, made where it is not there yet."""
        since = len(read_journal(output))
        curate(configure(source, output, *PACK, *words))
        assert audit(str(output)).problems == []
        if not (tmp_path / fresh).exists():
            curate(configure(source, tmp_path / fresh, *PACK, *words))
        assert dataset_bytes(output) == dataset_bytes(tmp_path / fresh)
        return finished_entries(output, since)

    put(footage, source, *SHOTS[1:4])
    curate(configure(source, output, *PACK))
    assert sources_measured(finished_entries(output)) == set(SHOTS[1:4]) and clips_cut(finished_entries(output)) == 3

    put(footage, source, SHOTS[0], SHOTS[4])
    entries = run("five")
    assert sources_measured(entries) == {SHOTS[0], SHOTS[4]}
    assert clips_cut(entries) == 3, "the clips that came; the others lie in the shards of before"

    (source / SHOTS[1]).unlink()
    (source / SHOTS[2]).write_bytes((footage / "static.mp4").read_bytes())
    entries = run("changed")
    assert sources_measured(entries) == {SHOTS[2]} and clips_cut(entries) == 0
    rows = {row["path"]: row["state"] for row in read_ledger(str(output), "sources").to_pylist()}
    assert rows == {SHOTS[0]: "ok", SHOTS[2]: "filtered", SHOTS[3]: "ok", SHOTS[4]: "ok"}

    entries = run("dropped", "drop.paths=[deep/*]")
    assert sources_measured(entries) == set() and clips_cut(entries) == 0
    entries = run("changed")
    assert sources_measured(entries) == set() and clips_cut(entries) == 2

    counts = [(one["clips"], one["clips_came"], one["clips_went"]) for one in versions(output)]
    assert counts == [(3, 3, 0), (6, 3, 0), (4, 0, 2), (2, 0, 2), (4, 2, 0)]
    assert [one["version"] for one in versions(output)] == [1, 2, 3, 4, 5]
    assert versions(output)[-1]["digest"] == json.loads((output / "index.json").read_bytes())["digest"]
    assert any("version 5" in line and "(+2 -0)" in line for line in status(str(output)))


def test_a_preview_of_three_then_all_measures_only_the_rest(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    put(footage, source, *SHOTS)
    curate(configure(source, output, *PACK, "limit=3"))
    assert sources_measured(finished_entries(output)) == {"deep/two-scenes.mp4", *SHOTS[:2]}
    since = len(read_journal(output))
    curate(configure(source, output, *PACK))
    entries = finished_entries(output, since)
    assert sources_measured(entries) == set(SHOTS[2:4]) and clips_cut(entries) == 2
    curate(configure(source, tmp_path / "fresh", *PACK))
    assert dataset_bytes(output) == dataset_bytes(tmp_path / "fresh")
    with pytest.raises(RequestError, match=r"pack\.crf was 18, is 20"):
        curate(configure(source, output, *PACK, "pack.crf=20"))
    shutil.rmtree(source)
    put(footage, source, "static.mp4")
    with pytest.raises(RequestError, match="other sources"):
        curate(configure(source, output, *PACK))


@pytest.mark.slow
def test_killed_while_it_grows_it_keeps_its_version_and_goes_on(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    put(footage, source, *SHOTS[1:3])
    curate(configure(source, output, *PACK))
    before = dataset_bytes(output)
    put(footage, source, *SHOTS)
    words = [f"input={source}", f"output={output}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", *PACK]
    since = len(read_journal(output))
    kill_job_when(["curate", *words], lambda: any("shard" in entry for entry in finished_entries(output, since)))
    half = finished_entries(output, since)
    if all((output / name).exists() and (output / name).read_bytes() == data for name, data in before.items()):
        assert audit(str(output)).problems == [], "the version before stands, whatever lies beside it"
        assert any("not yet committed" in line for line in status(str(output)))
    curate(configure(source, output, *PACK))
    rest = [entry for entry in finished_entries(output, since) if entry not in half]
    assert not sources_measured(half) & sources_measured(rest)
    assert sources_measured(half + rest) == {SHOTS[0], *SHOTS[3:]}
    assert clips_cut(half) + clips_cut(rest) == 4
    curate(configure(source, tmp_path / "fresh", *PACK))
    assert dataset_bytes(output) == dataset_bytes(tmp_path / "fresh")
    assert audit(str(output)).problems == []


STEPS = ("move", "write_atomic", "remove")


@pytest.mark.parametrize("step", range(12))
def test_a_commit_that_breaks_off_anywhere_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Storage fails at each step in turn, as a crash would leave it: the index never names what is not there."""
    output = tmp_path / "out"
    commit(output, 1, ["a", "b"])
    old = (output / "index.json").read_bytes()

    class Crash(Exception):
        pass

    count = 0

    def failing(name: str) -> Callable[..., Any]:
        real = getattr(storage, name)

        def call(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count > step:
                raise Crash
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(storage, name, failing(name))
        try:
            commit(output, 2, ["b", "c"], write=False)
        except Crash:
            pass
        else:
            assert count <= step, "it ended without a fault"
    named = [shard["name"] for shard in json.loads((output / "index.json").read_bytes())["shards"]]
    assert all((output / "shards" / name).exists() for name in named)
    finish_commit(str(output))
    if (output / "index.json").read_bytes() == old:
        assert Dataset.open(str(output)).samples["key"].to_pylist() == ["a", "b"]
        commit(output, 2, ["b", "c"], write=False)
    assert Dataset.open(str(output)).samples["key"].to_pylist() == ["b", "c"]
    assert audit(str(output)).problems == []
    assert sorted(os.listdir(output / "shards")) == [shard["name"] for shard in read_index(str(output))["shards"]]


def commit(output: Path, version: int, keys: list[str], write: bool = True) -> None:
    import pyarrow as pa

    digest8 = f"{version:08d}"
    infos = []
    for number, key in enumerate(keys):
        sample = Sample(key, {"mp4": key.encode() * 99})
        where = str(output / "shards") if write else str(output / "made")
        infos.append(write_shard(where, "train", number, [sample], digest8))
    if not write:
        (output / "made").rename(output / "made2")
        for file in (output / "made2").iterdir():
            os.replace(file, output / "shards" / file.name)
        (output / "made2").rmdir()
    commit_dataset(
        str(output),
        kind="curate",
        config_digest="c",
        shards=infos,
        samples=pa.table({"key": keys}),
        ledger={
            "sources": pa.table({"path": ["x.mp4"], "clips": [len(keys)]}),
            "clips": pa.table({"key": keys, "state": ["kept"] * len(keys)}),
        },
        totals={},
    )


def test_a_newer_format_is_refused_everywhere(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    from framemill.platform.audit import audit

    source, output = tmp_path / "in", tmp_path / "out"
    put(footage, source, "static.mp4")
    curate(configure(source, output, *PACK))
    index = json.loads((output / "index.json").read_bytes())
    (output / "index.json").write_text(json.dumps({**index, "format_version": 99}))
    for refused in (
        lambda: curate(configure(source, output, *PACK)),
        lambda: curate(configure("", tmp_path / "new", f"from={output}")),
        lambda: audit(str(output)).problems,
        lambda: status(str(output)),
        lambda: Dataset.open(str(output)),
    ):
        with pytest.raises(RequestError, match="format version 99; this Framemill reads 2"):
            refused()
    assert not (tmp_path / "new").exists()


def test_samples_say_their_bucket(footage: Path, configure: Configure, tmp_path: Path, ray_session: None) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    put(footage, source, SHOTS[0])
    curate(configure(source, output, *PACK))
    (row,) = pq.read_table(output / "samples.parquet").to_pylist()
    assert (row["width"], row["height"], row["duration"]) == (320, 180, 2.5)
    assert (row["bucket"], row["aspect_ratio"], row["seconds"]) == ("16:9/2s", "16:9", 2)
