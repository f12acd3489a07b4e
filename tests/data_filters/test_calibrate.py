"""Calibration reports what each bound rejects, measures only once, and packs nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from framemill.data_filters.calibrate import plot, rejections_by_bound, score_quantiles, table_lines
from framemill.data_filters.pipeline import curate
from framemill.data_filters.select.checks import all_checks
from framemill.data_filters.select.states import build_tables
from framemill.platform.dataset import read_ledger
from tests.conf.test_select_presets import footage as drawn
from tests.support.curation_output import (
    PACK,
    Configure,
    dataset_bytes,
    finished_entries,
    read_journal,
    sources_measured,
)


def test_the_counts_are_those_of_bands_tried_one_by_one(configure: Configure) -> None:
    measured = drawn(500)
    config = configure("-", "-", "select=stage_480p")
    stages = config.rules_by_stage([])
    clips = build_tables(measured, 2.0, stages)[1]
    provenances = {part.source.path: part.provenance for part in measured.parts}
    drops = rejections_by_bound(list(all_checks(provenances, clips, 2.0, stages)), clips)
    rows = list(clips)
    ways = {
        row["reason"]: {
            clip["key"]
            for clip in rows
            if (clip[row["score"]] < row["bound"] if " below " in row["reason"] else clip[row["score"]] > row["bound"])
        }
        for row in drops
        if row["score"]
    }
    assert len(ways) == 7 and {row["reason"] for row in drops if not row["score"]} == {"shorter than 2 s"}
    for row in drops[1:]:
        others = set().union(*(keys for reason, keys in ways.items() if reason != row["reason"]))
        assert row["alone"]["clips"] == len(ways[row["reason"]])
        assert row["only"]["clips"] == len(ways[row["reason"]] - others)
        assert row["alone"]["hours"] == round(row["alone"]["clips"] * 4 / 3600, 6)
    assert {clip["key"] for clip in rows if clip["state"] == "filtered"} == set().union(*ways.values())


def test_it_measures_once_and_packs_nothing(
    footage: Path, configure: Configure, tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    summary = curate(configure(footage, output, *PACK, "calibrate=true"))
    assert summary.digest == "" and "would keep" in summary.line()
    shown = capsys.readouterr().out
    assert "motion below 0.25" in shown and "technical" in shown
    assert not (output / "index.json").exists() and not (output / "shards").exists()
    assert (output / "calibrate.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((output / "calibrate.json").read_text())
    since = len(read_journal(output))
    assert len(sources_measured(finished_entries(output))) == 13
    curate(configure(footage, output, *PACK, "select=strict"))
    assert sources_measured(finished_entries(output, since)) == set(), (
        "all was measured before, and other bounds may be chosen"
    )
    curate(configure(footage, tmp_path / "fresh", *PACK, "select=strict"))
    assert dataset_bytes(output) == dataset_bytes(tmp_path / "fresh")
    scores = [row["motion"] for row in read_ledger(str(output), "clips").to_pylist()]
    assert report["quantiles"]["motion"]["clips"] == len(scores)
    assert report["quantiles"]["motion"]["quantiles"]["0.5"] == round(float(np.median(scores)), 6)
    curate(configure("", tmp_path / "again", f"from={output}", "calibrate=true"))
    assert json.loads((tmp_path / "again" / "calibrate.json").read_text()) == report, "from= tells the same"


def test_an_empty_set_of_clips_has_empty_tables(configure: Configure) -> None:
    measured = drawn(1)
    clips = build_tables(measured.__class__(measured.parts, measured.clips.slice(0, 0)), 2.0, [])[1]
    assert rejections_by_bound([], clips) == [] and score_quantiles(["motion"], clips) == {}
    assert table_lines([], {}) == []


def test_a_score_that_is_always_the_same_is_drawn(configure: Configure) -> None:
    measured = drawn(8)
    config = configure("-", "-", "select.bands.fps={min: 1}")
    table = measured.clips.append_column("fps", [[24.0] * 8])
    clips = build_tables(measured.__class__(measured.parts, table), 2.0, config.rules_by_stage([]))[1]
    assert plot([], clips, ["fps", "motion"]).startswith(b"\x89PNG")
