"""The report of an evaluation: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from framemill.eval.aggregate import Outcome

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
meter { width: 10rem }
"""


def render(name: str, outcome: Outcome, official: Mapping[str, list[Any]]) -> str:
    """The whole page. `official` is the result file's content: per dimension its score and its videos' records."""
    sections = [
        f"<h1>{escape(name)}: suite {escape(outcome.suite)}</h1>",
        f"<p>{outcome.videos} videos, {len(outcome.failed)} failed, {len(outcome.missing)} missing, "
        f"{len(outcome.unmatched)} more that belong to no prompt.</p>",
        _section("Totals", (_scored(key, value, "") for key, value in (outcome.totals or {}).items())),
        _section("Scores", (_scored(d, s.score, _basis(outcome, d)) for d, s in outcome.scores.items())),
        _section("Not measured", (_row(d, reason) for d, reason in outcome.not_measured.items())),
        _section("Failed", (_row(video, reason) for video, reason in outcome.failed.items())),
        _section("Missing", (_row(video) for video in outcome.missing)),
        _section("Unmatched", (_row(video) for video in outcome.unmatched)),
    ]
    for dimension, (_, rows) in official.items():
        lowest = sorted(rows, key=lambda row: row["video_results"])
        shown = (_scored(r["video_path"].rpartition("/")[2], r["video_results"], "") for r in lowest)
        sections.append(_section(f"{dimension} by video, lowest first", shown))
    body = "\n".join(section for section in sections if section)
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _basis(outcome: Outcome, dimension: str) -> str:
    score = outcome.scores[dimension]
    basis = f"{score.videos} videos, {score.failed} failed, {score.missing} missing"
    return f"{basis}; {outcome.notes[dimension]}" if dimension in outcome.notes else basis


def _section(title: str, rows: Iterable[str]) -> str:
    """A titled table; empty where it has no rows."""
    body = "\n".join(rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n{body}\n</table>" if body else ""


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _scored(name: str, score: float, remark: str) -> str:
    meter = f'<td><meter min="0" max="1" value="{score:.4f}"></meter></td>'
    return f'<tr><td>{escape(name)}</td><td class="number">{score:.4f}</td>{meter}<td>{escape(remark)}</td></tr>'
