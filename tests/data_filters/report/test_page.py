"""report.html in a real Chromium: a click on a step shows the clips it rejected, and file names run no script."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framemill.data_filters.from_dataset import measured_dataset
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.parts import Part, read_thumbnails, write_part
from framemill.data_filters.ledger.reasons import Cause, Reason
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.pipeline import report_settings
from framemill.data_filters.report.drop_steps import KEPT, DropStep, drop_steps
from framemill.data_filters.report.figures import Figures, applied_limits, curation_figures
from framemill.data_filters.report.page import write_report
from framemill.data_filters.report.sheets import SHEET_CLIPS, THUMBNAIL_BYTES, contact_sheets
from framemill.data_filters.select.states import build_tables
from framemill.data_filters.sources.sidecars import provenance
from framemill.data_filters.sources.source import Source
from framemill.platform.dataset import read_ledger
from framemill.platform.frozen_config import freeze
from framemill.platform.mlflow_store import import_mlflow
from tests.support.attack_names import ATTACK_CAPTION, ATTACK_NAMES
from tests.support.browser import find_browser
from tests.support.curation_output import Configure

Row = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    pytest.importorskip("playwright", reason="it comes with the dev extra")
    installed, why = find_browser()
    if installed is None:
        pytest.skip(why)
    import os

    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        environment = {**os.environ, **installed.environment}
        chromium = play.chromium.launch(executable_path=installed.executable, env=environment)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, attacked: Path) -> Iterator[Any]:
    """The opened report; at the end nothing may have been logged to the console or fetched."""
    messages: list[str] = []
    fetched: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto((attacked / "report.html").as_uri())
    yield page
    page.close()
    assert messages == []
    assert [url for url in fetched if not url.startswith("data:")] == [(attacked / "report.html").as_uri()]


def clips_of(output: Path) -> list[Row]:
    return read_ledger(str(output), "clips").to_pylist()


def shown(page: Any) -> list[str]:
    cards = page.locator(".card:visible")
    return [cards.nth(i).get_attribute("data-key") for i in range(cards.count())]


def test_a_click_on_a_step_shows_exactly_what_it_dropped(page: Any, attacked: Path) -> None:
    clips = clips_of(attacked)
    assert shown(page) == [clip["key"] for clip in clips if clip["state"] == "kept"] != []
    steps = {
        "shorter than 2 s": "shorter than 2 s",
        "motion": "motion below 0.25",
        "saturation": "saturation above 248",
        "technical": "technical below 0.25",
    }
    names = page.locator("button.step").evaluate_all("all => all.map(it => it.dataset.show)")
    assert names == [*steps, "kept"]
    for name, reason in steps.items():
        page.locator(f'button.step[data-show="{name}"]').click()
        assert shown(page) == [clip["key"] for clip in clips if clip["reason"] == reason] != []
        assert page.locator('button.step[aria-pressed="true"]').get_attribute("data-show") == name
    page.locator("figure.chart", has_text="saturation").get_by_role("button").click()
    assert shown(page) == [clip["key"] for clip in clips if clip["reason"] == "saturation above 248"]


def test_a_click_on_a_clip_tells_its_scores(page: Any, attacked: Path) -> None:
    clip = next(clip for clip in clips_of(attacked) if (clip["reason"] or "").startswith("motion"))
    page.locator('button.step[data-show="motion"]').click()
    page.locator(f'.card[data-key="{clip["key"]}"]').click()
    dialog = page.locator("dialog").inner_text()
    assert clip["path"] in dialog and clip["reason"] in dialog and clip["key"] in dialog
    rows = page.locator("dialog tr").evaluate_all("rows => rows.map(r => [...r.cells].map(c => c.textContent))")
    values = {name: value for name, value, *_ in rows}
    for name in ("motion", "technical", "flicker"):
        assert float(values[name]) == pytest.approx(clip[name], rel=1e-5)
    assert [name for name, *_, outside in rows if outside] == ["motion"]
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()


def test_names_of_files_and_captions_do_nothing(page: Any, attacked: Path) -> None:
    for name in page.locator("button.step").evaluate_all("all => all.map(it => it.dataset.show)"):
        page.locator(f'button.step[data-show="{name}"]').click()
        for i in range(page.locator(".card:visible").count()):
            page.locator(".card:visible").nth(i).click()
            page.keyboard.press("Escape")
    assert page.evaluate("window.harm") is None
    assert page.locator("script").count() == 2
    assert page.locator("img:not([src^='data:image/jpeg'])").count() == 0
    assert page.locator("[onerror],[onfocus],[autofocus]").count() == 0
    text = page.locator("body").text_content()
    for name in ATTACK_NAMES:
        assert name.replace("\u202e", "\\u202e").replace("\x07", "\\u0007") in text
    page.locator('button.step[data-show="kept"]').click()
    assert ATTACK_CAPTION.replace(" \u2028 ", " ") in page.locator(".sheet:visible").text_content()


def test_pictures_are_those_of_the_decode_pass(page: Any, attacked: Path) -> None:
    images = page.locator(".card").evaluate_all("all => all.map(it => [it.dataset.key, it.querySelector('img').src])")
    thumbnails: dict[str, bytes] = {}
    for path in {clip["path"] for clip in clips_of(attacked)}:
        thumbnails |= read_thumbnails(str(attacked), Source(path, "", ""))
    assert len(images) == len(clips_of(attacked))
    for key, uri in images:
        assert base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")) == thumbnails[key]
    assert page.locator(".card img").evaluate_all("all => all.every(it => it.complete && it.naturalWidth === 160)")


def test_failed_sources_and_slow_ones_are_named(page: Any, attacked: Path) -> None:
    sources = read_ledger(str(attacked), "sources").to_pylist()
    failed = [source for source in sources if source["state"] == "failed"]
    rows = page.locator("#failed tbody tr")
    assert rows.count() == len(failed) == 3
    for i, source in enumerate(failed):
        assert source["reason"] in rows.nth(i).inner_text()
    assert page.locator("#without tbody tr").count() == 1, "the duplicate"
    seconds = [float(text) for text in page.locator("#slowest td:nth-child(2)").all_inner_texts()]
    assert seconds == sorted(seconds, reverse=True) and seconds[0] > 0


def test_it_follows_the_readers_colours(browser: Any, attacked: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto((attacked / "report.html").as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    light, dark = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert light > 600 and dark < 150


def test_the_record_holds_the_same_figures(attacked: Path, configure: Configure) -> None:
    client = import_mlflow().MlflowClient(configure(attacked, attacked).tracking.uri)
    run = client.get_run((attacked / "mlflow_run.txt").read_text().strip())
    reasons = [(clip["reason"] or "").split(" ")[0] for clip in clips_of(attacked)]
    for name in ("motion", "saturation", "technical"):
        assert run.data.metrics[f"dropped/{name}"] == reasons.count(name) > 0
    index = json.loads((attacked / "index.json").read_text())
    assert [one.dataset.digest for one in run.inputs.dataset_inputs] == [index["digest"]]
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "report.html").read_bytes() == (attacked / "report.html").read_bytes()
    histograms = json.loads((artifacts / "figures.json").read_text())["histograms"]
    assert {path.stem for path in (artifacts / "histograms").iterdir()} == {one["name"] for one in histograms}


def many(count: int) -> ClipTable:
    """Returns rows of a clips table of a thousand sources, with the longest names and all reasons different."""
    rng = np.random.default_rng(0)
    states = rng.choice(["kept", "filtered", "duplicate", "failed"], count, p=[0.5, 0.3, 0.1, 0.1])
    motion = rng.lognormal(1, 1, count).round(6)
    reasons = {
        "filtered": Reason(Cause.BELOW, "motion", 0.25),
        "failed": Reason(Cause.NOT_PACKED, detail="x" * 5000),
    }
    rows = []
    for i in range(count):
        reason = reasons.get(states[i]) or Reason(Cause.NEAR_DUPLICATE, other=f"{i:09d}", detail="distance 3")
        reason = None if states[i] == "kept" else reason
        facts = {"key": f"{i:09d}", "path": f"{i % 1000:04d}/" + "n" * 250, "state": states[i], "reason": reason}
        rows.append(
            {
                **facts,
                **{"start_s": 0.0, "end_s": 2.0, "frames": 32, "width": 320, "height": 180, "fps": 16.0},
                **{"caption": "c" * 2000, "description": "", "motion": float(motion[i]), "embedding": [0.5] * 4},
                **{"unheard": None if i % 3 else i / count, "saturation": None, "technical": None},
            }
        )
    return ClipTable.of(rows)


def figures(sources: list[SourceRow], clips: ClipTable, limits: dict[str, dict[str, float]] | None = None) -> Figures:
    """Returns the figures of three scores, each with a band."""
    scores = ["motion", "saturation", "technical"]
    return curation_figures(sources, clips, drop_steps(clips), scores=scores, bands=scores, limits=limits or {})


def test_a_large_dataset_makes_no_large_page(tmp_path: Path, configure: Configure) -> None:
    clips = many(50_000)
    parts = [Part(Source(path, "", ""), "0", None, {}) for path in sorted({clip.path for clip in clips})]
    error = Reason(Cause.UNREADABLE, detail="r" * 5000)
    sources = [SourceRow(part.source.path, None, "failed", error, 0, {}) for part in parts]
    # Noise: no picture of the size is larger.
    jpeg = np.random.default_rng(1).bytes(60_000)
    settings = report_settings(configure("-", tmp_path), [])
    steps = drop_steps(clips)
    sheets = contact_sheets(figures(sources, clips), clips, steps)
    on_sheets = [clip for sheet in sheets for clip in sheet.clips]
    (tmp_path / "work" / "parts").mkdir(parents=True)
    for part in parts:
        rows = [{"key": clip.key, "thumbnail": jpeg} for clip in on_sheets if clip.path == part.source.path]
        write_part(str(tmp_path), part, rows, [])
    pages = []
    for order in (1, -1):
        write_report(settings, parts[::order], sources, clips)
        pages.append((tmp_path / "report.html").read_bytes())
    assert pages[0] == pages[1]
    page = pages[0].decode()
    assert len(page) < THUMBNAIL_BYTES * 4 / 3 + (2 << 20)
    assert page.count('class="card"') == 4 * SHEET_CLIPS
    assert "60 of 24,9" in page and "near duplicate" in page and "At most 60 clips a sheet" in page
    assert 0 < page.count("data:image/jpeg") == THUMBNAIL_BYTES // len(jpeg)


def test_pictures_are_found_through_selections_of_selections(tmp_path: Path, configure: Configure) -> None:
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
    freeze(configure("-", first), first)
    freeze(configure("", second, f"from={first}"), second)
    assert measured_dataset(configure("", third, f"from={second}")) == first
    freeze(configure("", first, f"from={second}"), first)
    assert measured_dataset(configure("", third, f"from={second}")) == first, "a ring has an end"
    assert measured_dataset(configure("", third, f"from={tmp_path / 'gone'}")) == str(tmp_path / "gone")


def test_figures_add_up_and_skip_what_is_no_number(configure: Configure) -> None:
    clips = many(3000)
    clips[7]["motion"] = 1e9
    result = figures([], clips, {"motion": {"min": 0.25, "max": 200.0}})
    assert [histogram.name for histogram in result.histograms] == ["motion", "unheard"]
    motion, unheard = result.histograms
    assert motion.limits == {"min": 0.25, "max": 200.0} and motion.above > 0 and motion.missing == 0
    assert sum(motion.kept + motion.dropped + motion.others) == 3000 and motion.edges[-1] < 1000
    assert sum(motion.kept) == sum(clip["state"] == "kept" for clip in clips)
    assert motion.median == pytest.approx(np.median([clip["motion"] for clip in clips]), abs=1e-6)
    values = np.array([clip["unheard"] for clip in clips if clip["unheard"] is not None])
    assert unheard.missing == 2000 and sum(unheard.kept + unheard.dropped + unheard.others) == 1000
    totals = np.sum([unheard.kept, unheard.dropped, unheard.others], axis=0)
    assert list(totals) == list(np.histogram(values, unheard.edges)[0])
    dropped = {step.name: step.dropped for step in result.clips}
    assert list(dropped) == ["motion", "saturation", "technical", "near duplicate", "failed"]
    assert sum(dropped.values()) == 3000 - sum(motion.kept) and result.clips[-1].left == sum(motion.kept)


def test_the_bounds_drawn_are_those_that_clips_were_held_to(configure: Configure) -> None:
    """A quantile over the clips that are in no set, and the bound of a set."""
    rows = [{"key": f"{i:03d}", "path": f"{'ab'[i // 50]}.mp4", "motion": float(i)} for i in range(100)]
    rows = [{**row, "start_s": 0.0, "end_s": 3.0} for row in rows]
    parts = [Part(Source(path, "", ""), path, None, provenance()) for path in ("a.mp4", "b.mp4")]
    bands = ["select.bands.motion={min_quantile: 0.2}", "select.sets.b={paths: [b.mp4], bands: {motion: {max: 90}}}"]
    config = configure("-", "-", "select=all", *bands)
    stages = config.rules_by_stage(config.model_specs)
    clips = build_tables(MeasuredSources.of(parts, rows), config.clip.min_seconds, stages)[1]
    provenances = {part.source.path: part.provenance for part in parts}
    assert applied_limits(provenances, clips, config.clip.min_seconds, stages) == {
        "motion": {"min": 10.0, "max of b": 90.0}
    }


@pytest.mark.parametrize("name", ["near", "shorter", "semantic", "kept", "failed", "duplicate", "not"])
def test_a_score_with_the_name_of_a_cause_is_counted_apart(name: str) -> None:
    """`join.columns` accepts each of these names, with which the sentences of reasons begin."""
    rows = [
        (None, "kept"),
        (Reason(Cause.NEAR_DUPLICATE, other="k", detail="distance 3"), "duplicate"),
        (Reason(Cause.NEAR_DUPLICATE, other="j", detail="distance 4"), "duplicate"),
        (Reason(Cause.SEMANTIC_DUPLICATE, other="k", detail="similarity 0.97"), "duplicate"),
        (Reason(Cause.TOO_SHORT, bound=2.0), "filtered"),
        (Reason(Cause.NOT_BEST, "technical", 1.0), "filtered"),
        (Reason(Cause.NOT_PACKED, detail="damaged"), "failed"),
        (Reason(Cause.BELOW, name, 0.5), "filtered"),
    ]
    facts = {"path": "a", "start_s": 0.0, "end_s": 2.0, name: 0.25}
    clips = ClipTable.of(
        [{"key": str(i), "state": state, "reason": reason, **facts} for i, (reason, state) in enumerate(rows)]
    )
    steps = drop_steps(clips)
    assert steps.rows(DropStep(name, of_score=True)) == [7] and steps.rows(KEPT) == [0]
    result = curation_figures([], clips, steps, scores=[name], bands=[name], limits={name: {"min": 0.5}})
    assert {(step.name, step.of_score): step.dropped for step in result.clips} == {
        ("shorter than 2 s", False): 1,
        (name, True): 1,
        ("near duplicate", False): 2,
        ("semantic duplicate", False): 1,
        ("not among the best 1 by technical", False): 1,
        ("failed", False): 1,
    }
    (histogram,) = result.histograms
    assert (sum(histogram.kept), sum(histogram.dropped), sum(histogram.others)) == (1, 1, 6)
    assert len({sheet.id for sheet in contact_sheets(result, clips, steps)}) == 7
