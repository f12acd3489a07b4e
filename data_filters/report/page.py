"""report.html: one file that fetches nothing and runs nothing but its own script.

Every word in it that comes from outside goes through the template's escaping, or as JSON into a text node.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.parts import Part
from framemill.data_filters.report.charts import chart
from framemill.data_filters.report.figures import Figures, Step, drop_steps, figures_of, limits_of, limits_taken
from framemill.data_filters.report.sheets import PICTURE_BYTES, SHEET, SHEETS, Sheet, pictures_of, sheets_of
from framemill.data_filters.report.summary import summarise
from framemill.platform import storage
from framemill.platform.frozen_config import digest
from framemill.platform.text import display_text

HOME = Path(__file__).parent
SLOWEST = 12
LISTED = 200
"""Rows of a table of sources."""
Row = dict[str, Any]


def write_report(config: CurateConfig, parts: list[Part], sources: list[Row], clips: ClipTable) -> Figures:
    """Writes `<output>/report.html` from the rows of both ledger tables and gives its figures.

    The same dataset gives the same page, but for the times in its section `slowest`.
    """
    ends = drop_steps(config, clips)
    figures = figures_of(config, sources, clips, ends, limits_taken(config, parts, clips))
    sheets = sheets_of(figures, clips, ends)
    pictures = pictures_of(config, (part.source for part in parts), sheets)
    page = render(config, figures, sheets, pictures, parts, sources, clips)
    storage.write_atomic(storage.join(config.output, "report.html"), page.encode())
    return figures


def render(
    config: CurateConfig,
    figures: Figures,
    sheets: list[Sheet],
    pictures: dict[str, str],
    parts: list[Part],
    sources: list[Row],
    clips: ClipTable,
) -> str:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HOME),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": display_text, "minutes": minutes}
    script = (HOME / "report.js").read_text("utf-8")
    scores = [figure.name for figure in figures.histograms]
    shown = {clip["key"]: clip for sheet in sheets for clip in sheet.clips}
    without = [source for source in sources if not source["clips"] or source["reason"]]
    return environment.get_template("report.html").render(
        style=Markup((HOME / "report.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        summary=summarise(config.output, "", sources, clips),
        config_digest=digest(config),
        source_bars=bars(len(sources), figures.sources),
        clip_bars=bars(len(clips), figures.clips),
        charts=[
            (figure, Markup(chart(figure)), next((s.dropped for s in figures.clips if s.name == figure.name), 0))
            for figure in figures.histograms
        ],
        sheets=sheets,
        pictures=pictures,
        facts={
            "limits": {name: limits_of(config, name) for name in scores},
            "clips": {key: details(clip, scores) for key, clip in shown.items()},
        },
        failed=[source for source in without if source["state"] == "failed" or is_broken(source)],
        others=[source for source in without if source["state"] in ("duplicate", "filtered") and not source["clips"]],
        slowest=slowest(parts),
        listed=LISTED,
        caps={"sheet": SHEET, "sheets": SHEETS, "megabytes": PICTURE_BYTES >> 20},
        missing=sum(key not in pictures for key in shown),
    )


def is_broken(source: Row) -> bool:
    """Whether a source ended early, though clips of it stand."""
    return bool(source["state"] == "ok" and source["reason"])


def bars(whole: int, steps: list[Step]) -> list[tuple[Step, float, float]]:
    """Each step with what it left and what it dropped, in percent of the whole."""
    return [(step, 100 * step.left / max(1, whole), 100 * step.dropped / max(1, whole)) for step in steps]


def details(clip: Mapping[str, Any], scores: list[str]) -> Row:
    """What the page's script tells of a clip that is clicked."""
    return {
        "path": display_text(clip["path"]),
        "time": f"{clip['start_s']:.2f} to {clip['end_s']:.2f} s",
        "picture": f"{clip['width']}x{clip['height']}, {clip['frames']} frames, {clip['fps']:g} a second",
        "state": clip["state"],
        "reason": display_text(clip["reason"] or ""),
        "caption": display_text(clip["caption"] or clip["description"] or ""),
        "scores": [[name, clip.get(name)] for name in scores],
    }


def slowest(parts: list[Part]) -> list[Row]:
    """The sources that took longest to fetch, decode and measure."""
    measured = [part for part in parts if part.seconds > 0]
    return [
        {
            "path": part.source.path,
            "seconds": part.seconds,
            "share": 100 * part.seconds / max(one.seconds for one in measured),
            "duration": part.facts.get("duration"),
            "picture": "{codec} {width}x{height}".format(**part.facts) if part.facts else "could not be read",
        }
        for part in sorted(measured, key=lambda part: (-part.seconds, part.source.path))[:SLOWEST]
    ]


def minutes(hours: float) -> str:
    """A length for people: "42 s", "12.5 min", "3.2 h"."""
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{hours:,.1f} h"
