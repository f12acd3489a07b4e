"""report.html: one self-contained file, which fetches nothing and runs no script but its own.

Text from files and captions is escaped by the template, or embedded as JSON in a text node.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framemill.data_filters.ledger.clip_table import ClipRow, ClipTable
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.report.charts import chart
from framemill.data_filters.report.drop_steps import drop_steps
from framemill.data_filters.report.figures import Figures, Step, applied_limits, band_limits, curation_figures
from framemill.data_filters.report.sheets import (
    MAX_SHEETS,
    SHEET_CLIPS,
    THUMBNAIL_BYTES,
    Sheet,
    contact_sheets,
    thumbnail_uris,
)
from framemill.data_filters.report.summary import summarise
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.config import Band
from framemill.platform import storage
from framemill.platform.text import display_text

_TEMPLATES = Path(__file__).parent
_SLOWEST = 12
"""Maximum number of rows in the table of slow sources."""
_MAX_ROWS = 200
"""Maximum number of rows in any other table of sources."""


@dataclass(frozen=True)
class ReportSettings:
    """The settings of a curation that the report needs besides the rows of the ledger."""

    output: str
    """Folder or URI of the dataset."""
    config_digest: str
    measured_in: str
    """The dataset whose decode pass made the thumbnails."""
    scores: Sequence[str]
    """Names of the score columns, in order."""
    bands: Mapping[str, Band]
    """The bands for all sources."""
    min_seconds: float
    """Least length of a clip."""
    stages: Sequence[Stage]
    """The rules by which clips were selected."""


def write_report(
    settings: ReportSettings, parts: Sequence[Part], sources: Sequence[SourceRow], clips: ClipTable
) -> Figures:
    """Writes `<output>/report.html` from the rows of both ledger tables, and returns the figures of the report.

    Equal datasets give equal pages, apart from the times in section `slowest`.
    """
    provenances = {part.source.path: part.provenance for part in parts}
    steps = drop_steps(clips)
    figures = curation_figures(
        sources,
        clips,
        steps,
        scores=settings.scores,
        bands=list(settings.bands),
        limits=applied_limits(provenances, clips, settings.min_seconds, settings.stages),
    )
    sheets = contact_sheets(figures, clips, steps)
    thumbnails = thumbnail_uris(settings.measured_in, (part.source for part in parts), sheets)
    page = _render(settings, figures, sheets, thumbnails, parts, sources, clips)
    storage.write_atomic(storage.join(settings.output, "report.html"), page.encode())
    return figures


def _render(
    settings: ReportSettings,
    figures: Figures,
    sheets: Sequence[Sheet],
    thumbnails: Mapping[str, str],
    parts: Sequence[Part],
    sources: Sequence[SourceRow],
    clips: ClipTable,
) -> str:
    """Returns the page as HTML."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": display_text, "duration": _duration}
    script = (_TEMPLATES / "report.js").read_text("utf-8")
    scores = [figure.name for figure in figures.histograms]
    shown = {clip.key: clip for sheet in sheets for clip in sheet.clips}
    score_steps = {step.name: step for step in figures.clips if step.of_score}
    without_clips = [source for source in sources if not source.clips]
    return environment.get_template("report.html").render(
        style=Markup((_TEMPLATES / "report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        summary=summarise(settings.output, "", sources, clips),
        config_digest=settings.config_digest,
        source_bars=_bars(len(sources), figures.sources),
        clip_bars=_bars(len(clips), figures.clips),
        charts=[(figure, Markup(chart(figure)), score_steps.get(figure.name)) for figure in figures.histograms],
        sheets=sheets,
        thumbnails=thumbnails,
        facts={
            "limits": {name: band_limits(settings.bands, name) for name in scores},
            "clips": {key: _details(clip, scores) for key, clip in shown.items()},
        },
        failed=[source for source in sources if source.state == "failed"],
        without_clips=[source for source in without_clips if source.state in ("duplicate", "filtered")],
        slowest=_slowest(parts),
        max_rows=_MAX_ROWS,
        caps={"clips": SHEET_CLIPS, "sheets": MAX_SHEETS, "megabytes": THUMBNAIL_BYTES >> 20},
        missing=sum(key not in thumbnails for key in shown),
    )


def _bars(total: int, steps: Sequence[Step]) -> list[tuple[Step, float, float]]:
    """Returns each step with the rows that it left and the rows that it rejected, in percent of the total."""
    return [(step, 100 * step.left / max(1, total), 100 * step.dropped / max(1, total)) for step in steps]


def _details(clip: ClipRow, scores: Sequence[str]) -> dict[str, Any]:
    """Returns the facts that the page shows about a clicked clip, as JSON values."""
    return {
        "path": display_text(clip.path),
        "time": f"{clip.start_s:.2f} to {clip.end_s:.2f} s",
        "picture": f"{clip.width}x{clip.height}, {clip.frames} frames, {clip.fps:g} a second",
        "state": clip.state,
        "reason": display_text(str(clip.reason or "")),
        "caption": display_text(clip.caption or clip.description or ""),
        "scores": [[name, clip.score(name)] for name in scores],
    }


def _slowest(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Returns the rows of the sources that took longest to fetch, decode and measure."""
    measured = [part for part in parts if part.seconds > 0]
    longest = max((part.seconds for part in measured), default=0.0)
    return [
        {
            "path": part.source.path,
            "seconds": part.seconds,
            "share": 100 * part.seconds / longest,
            "duration": part.facts.duration if part.facts else None,
            "picture": f"{part.facts.codec} {part.facts.width}x{part.facts.height}"
            if part.facts
            else "could not be read",
        }
        for part in sorted(measured, key=lambda part: (-part.seconds, part.source.path))[:_SLOWEST]
    ]


def _duration(hours: float) -> str:
    """Returns a duration for people, e.g. "42 s", "12.5 min" or "3.2 h"."""
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{hours:,.1f} h"
