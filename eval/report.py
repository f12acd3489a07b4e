"""Report of an evaluation: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from framemill.eval.summary import EvaluationSummary

_PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
meter { width: 10rem }
"""


def evaluation_page(name: str, summary: EvaluationSummary, video_scores: Mapping[str, Mapping[str, float]]) -> str:
    """Returns the report as HTML.

    Args:
        name: title of the page.
        summary: scores of the evaluation.
        video_scores: raw scores of single videos, as {dimension: {video: score}}.
    """
    sections = [
        f"<h1>{escape(name)}: suite {escape(summary.suite)}</h1>",
        f"<p>{summary.videos} videos, {len(summary.failed)} failed, {len(summary.missing)} missing, "
        f"{len(summary.unmatched)} more that belong to no prompt.</p>",
        _section("Totals", (_score_row(key, value, "") for key, value in (summary.totals or {}).items())),
        _section("Scores", (_score_row(d, s.score, _remark(summary, d)) for d, s in summary.scores.items())),
        _section("Not measured", (_row(dimension, reason) for dimension, reason in summary.not_measured.items())),
        _section("Failed", (_row(video, reason) for video, reason in summary.failed.items())),
        _section("Missing", (_row(video) for video in summary.missing)),
        _section("Unmatched", (_row(video) for video in summary.unmatched)),
    ]
    for dimension, scores in video_scores.items():
        ascending = sorted(scores.items(), key=lambda pair: pair[1])
        sections.append(
            _section(f"{dimension} by video, lowest first", (_score_row(*pair, remark="") for pair in ascending))
        )
    body = "\n".join(section for section in sections if section)
    head = f'<meta charset="utf-8"><title>{escape(name)}</title><style>{_PAGE_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _remark(summary: EvaluationSummary, dimension: str) -> str:
    """Returns the number of videos behind a score, and the note on it."""
    score = summary.scores[dimension]
    counts = f"{score.videos} videos, {score.failed} failed, {score.missing} missing"
    return f"{counts}; {summary.notes[dimension]}" if dimension in summary.notes else counts


def _section(title: str, rows: Iterable[str]) -> str:
    """Returns a titled table; empty if it has no rows."""
    body = "\n".join(rows)
    return f"<h2>{escape(title)}</h2>\n<table>\n{body}\n</table>" if body else ""


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _score_row(name: str, score: float, remark: str) -> str:
    meter = f'<td><meter min="0" max="1" value="{score:.4f}"></meter></td>'
    return f'<tr><td>{escape(name)}</td><td class="number">{score:.4f}</td>{meter}<td>{escape(remark)}</td></tr>'
