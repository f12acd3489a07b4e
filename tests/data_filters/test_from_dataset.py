"""`from=`: the measurements of another dataset give the same result as curating the footage, without decoding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest

from framemill.data_filters.from_dataset import inherit_config, read_measured
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.pipeline import curate
from framemill.data_filters.report.summary import CurateResult
from framemill.platform.errors import PendingError, RequestError
from framemill.platform.frozen_config import load_frozen
from tests.support.curation_output import (
    PACK,
    Configure,
    clips_cut,
    dataset_bytes,
    finished_entries,
    sources_measured,
    without_times,
)

LOOSE = "select=all"


@pytest.fixture(scope="module")
def whole(footage: Path, configure: Configure, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """The dataset of all the footage, with bounds that keep every clip that can be kept."""
    output = tmp_path_factory.mktemp("whole") / "out"
    curate(configure(footage, output, *PACK, LOOSE, "clip.max_seconds=8"))
    return output


def reselect(configure: Configure, whole: Path, output: Path, *words: str) -> CurateResult:
    """Selects again from the dataset `whole`."""
    config = configure("", output, f"from={whole}", *PACK, *words)
    return curate(config)


@pytest.mark.parametrize(
    ("words", "cuts"),
    [
        ((), 0),
        pytest.param(("select=strict", "captions=[descriptor]"), 0, marks=pytest.mark.slow),
        pytest.param(("drop.paths=[deep/copy*]", "drop.tags=[disc]"), 0, marks=pytest.mark.slow),
        pytest.param(("limit=6", LOOSE), 0, marks=pytest.mark.slow),
        (
            (
                "select.bands.technical.min_quantile=0.3",
                "select.sets.deep={paths: ['deep/*'], bands: {technical: {min: 0.1}}}",
                "select.best.clips=3",
                "select.best.edges={motion: [5]}",
            ),
            0,
        ),
        (("pack.crf=30", "pack.mode=exact", "select.bands.motion.min=0.5"), 7),
    ],
)
def test_it_is_what_curating_directly_gives(
    footage: Path, configure: Configure, whole: Path, tmp_path: Path, words: tuple[str, ...], cuts: int
) -> None:
    summary = reselect(configure, whole, tmp_path / "new", *words)
    direct = curate(configure(footage, tmp_path / "direct", *PACK, "clip.max_seconds=8", *words))
    assert dataset_bytes(tmp_path / "new") == dataset_bytes(tmp_path / "direct")
    assert summary.digest == direct.digest and summary.line().split("->")[0] == direct.line().split("->")[0]
    pages = [without_times((tmp_path / name / "report.html").read_bytes()) for name in ("new", "direct")]
    assert pages[0] == pages[1]
    entries = finished_entries(tmp_path / "new")
    assert sources_measured(entries) == set() and clips_cut(entries) == cuts


def test_neither_the_footage_nor_the_work_folder_is_needed(
    footage: Path, configure: Configure, whole: Path, tmp_path: Path
) -> None:
    """Holds for clips that `from` has packed, also after the dataset was copied without work/."""
    moved = tmp_path / "moved"
    shutil.copytree(whole, moved, ignore=shutil.ignore_patterns("work"))
    config = (moved / "config.yaml").read_text().replace(str(footage), str(tmp_path / "gone"))
    (moved / "config.yaml").write_text(config)
    reselect(configure, moved, tmp_path / "new")
    curate(configure(footage, tmp_path / "direct", *PACK, "clip.max_seconds=8"))
    assert dataset_bytes(tmp_path / "new") == dataset_bytes(tmp_path / "direct")
    with pytest.raises(RequestError, match="no such folder"):
        reselect(configure, moved, tmp_path / "other", "pack.crf=30", "pack.mode=exact")
    with pytest.raises(RequestError, match="has the content of a dropped source"):
        reselect(configure, moved, tmp_path / "third", "drop.paths=[deep/copy*]")


def test_moved_footage_is_named_and_must_be_the_same(
    footage: Path, configure: Configure, whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(footage, tmp_path / "elsewhere")
    words = ("pack.crf=30", "pack.mode=exact", "limit=6")
    curate(configure(tmp_path / "elsewhere", tmp_path / "new", f"from={whole}", *PACK, *words))
    curate(configure(footage, tmp_path / "direct", *PACK, "clip.max_seconds=8", *words))
    assert dataset_bytes(tmp_path / "new") == dataset_bytes(tmp_path / "direct")
    shutil.copy(footage / "static.mp4", tmp_path / "elsewhere" / "dark.mp4")
    with pytest.raises(PendingError, match="not the file that was measured"):
        curate(configure(tmp_path / "elsewhere", tmp_path / "two", f"from={whole}", *PACK, *words, LOOSE))


def test_a_shard_that_decayed_is_not_taken_from(
    footage: Path, configure: Configure, whole: Path, tmp_path: Path
) -> None:
    decayed = tmp_path / "decayed"
    shutil.copytree(whole, decayed)
    for shard in (decayed / "shards").iterdir():
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    with pytest.raises(PendingError, match="damaged or gone"):
        reselect(configure, decayed, tmp_path / "new")
    assert not (tmp_path / "new" / "index.json").exists()


def test_what_was_measured_cannot_be_asked_anew(configure: Configure, whole: Path, tmp_path: Path) -> None:
    for word, line in (
        ("clip.max_seconds=5", "clip.max_seconds: must be left out"),
        ("filters=[motion]", "filters: must be left out"),
        ("from=" + str(tmp_path / "nowhere"), "no dataset here"),
        ("output=" + str(whole), "is the dataset of from="),
    ):
        with pytest.raises(RequestError, match=line):
            reselect(configure, whole, tmp_path / "new", word)
    with pytest.raises(RequestError, match=r"^input: curate needs input"):
        configure("", tmp_path / "new")
    few = configure("", tmp_path / "new", f"from={whole}")
    few.clip.max_seconds = 3.0
    with pytest.raises(RequestError, match=r"clip\.max_seconds was 8\.0, is 3\.0"):
        curate(few)
    assert not (tmp_path / "new").exists()


def test_sources_that_were_left_out_there_are_not_made_up(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None
) -> None:
    small = tmp_path / "small"
    curate(configure(footage, small, *PACK, "limit=4", "drop.paths=[dark*]"))
    reselect(configure, small, tmp_path / "same")
    assert dataset_bytes(tmp_path / "same") == dataset_bytes(small), "what is not said is as it was there"
    with pytest.raises(RequestError, match="must be at most 4"):
        reselect(configure, small, tmp_path / "more", "limit=5")
    with pytest.raises(RequestError, match=r"dark\.mp4 was dropped in from="):
        reselect(configure, small, tmp_path / "more", "drop.paths=[broken*]")


def test_the_ledger_gives_back_what_the_parts_hold(configure: Configure, whole: Path, tmp_path: Path) -> None:
    """Compared with the parts: the same sources, reasons and clips, except the clips of duplicates."""
    from framemill.data_filters.ledger.parts import read_any_part

    measured, dropped = read_measured(inherit_config(configure("", tmp_path / "new", f"from={whole}")))
    assert dropped == [] and len(measured.parts) == 13
    for part in measured.parts:
        true, clips = read_any_part(str(whole), part.source.path)
        assert part == Part(part.source, true.source_id, true.reason, true.provenance, true.facts)
        own = measured.clips.filter(pc.equal(measured.clips["path"], part.source.path))
        assert own.to_pylist() == ([] if part.source.path == "deep/two-scenes.mp4" else clips.to_pylist())


def test_python_and_the_frozen_file_know_from(configure: Configure, whole: Path, tmp_path: Path) -> None:
    from framemill.data_filters.config import CurateConfig

    tracking = {"uri": configure("-", "-").tracking.uri}
    keys = {"output": str(tmp_path / "a"), "tracking": tracking, "workers": 1, "pack": {"samples_per_shard": 2}}
    first = curate(**{"from": str(whole)}, **keys)
    second = curate(from_=str(whole), **{**keys, "output": str(tmp_path / "b")})
    assert first.digest == second.digest
    assert f"\nfrom: {whole}\n" in (tmp_path / "a" / "config.yaml").read_text()
    assert load_frozen(CurateConfig, tmp_path / "a" / "config.yaml").from_ == str(whole)
    assert json.loads((tmp_path / "a" / "versions.jsonl").read_text())["version"] == 1
