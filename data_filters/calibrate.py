"""`calibrate=true`: how many clips each bound would reject, as a table and a plot, before anything is packed."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from framemill.data_filters.config import CurateConfig
from framemill.data_filters.ledger.clip_table import ClipTable
from framemill.data_filters.ledger.measured import MeasuredSources
from framemill.data_filters.ledger.source_row import SourceRow
from framemill.data_filters.report.summary import CurateResult, summarise
from framemill.data_filters.select.bounds import Stage
from framemill.data_filters.select.checks import Check, all_checks
from framemill.platform import storage
from framemill.platform.progress import say

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
SHOWN = (0.05, 0.5, 0.95)
"""Quantiles that the table on the terminal shows."""
BINS = 48
"""Number of bins of the histograms in the plot."""
Row = dict[str, Any]


def calibrate(
    config: CurateConfig, measured: MeasuredSources, stages: list[Stage], sources: list[SourceRow], clips: ClipTable
) -> CurateResult:
    """Writes `calibrate.json` and `calibrate.png`, prints two tables, and returns the curation's counts.

    The files are in the output; there is no plot if no clip has a score. One table has a row per bound, the other a row
    per score.

    Args:
        config: config of the curation.
        measured: all sources and their clips.
        stages: the rules of selection.
        sources: all sources.
        clips: all clips, with their states.
    """
    provenances = {part.source.path: part.provenance for part in measured.parts}
    checks = list(all_checks(provenances, clips, config.clip.min_seconds, stages)) if len(clips) else []
    summary = summarise(config.output, "", sources, clips)
    quantiles = score_quantiles(config.scores, clips)
    drops = rejections_by_bound(checks, clips)
    result = {"totals": summary.totals(), "bounds": drops, "quantiles": quantiles}
    text = json.dumps(result, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(config.output, "calibrate.json"), text.encode())
    if quantiles:
        storage.write_atomic(storage.join(config.output, "calibrate.png"), plot(checks, clips, list(quantiles)))
    for line in table_lines(drops, quantiles):
        say(line)
    return summary


def rejections_by_bound(checks: list[Check], clips: ClipTable) -> list[Row]:
    """Returns, per bound, the clips and hours that it rejects (`alone`) and that no other bound rejects (`only`)."""
    hours = (clips.column("end_s") - clips.column("start_s")) / 3600 if checks else np.empty(0)
    times = np.sum([check.rejects for check in checks], axis=0) if checks else 0
    rows = []
    for check in checks:
        only = check.rejects & (times == 1)
        if check.reason.bound is None and not check.rejects.any():
            continue
        rows.append(
            {
                "score": check.reason.score,
                "reason": str(check.reason),
                "bound": check.reason.bound,
                "alone": {"clips": int(check.rejects.sum()), "hours": round(float(hours[check.rejects].sum()), 6)},
                "only": {"clips": int(only.sum()), "hours": round(float(hours[only].sum()), 6)},
            }
        )
    return rows


def score_quantiles(scores: Sequence[str], clips: ClipTable) -> dict[str, Row]:
    """Returns, per score, the interpolated quantiles and the number of clips that have the score."""
    result: dict[str, Row] = {}
    for score in scores if len(clips) else []:
        values = _finite(clips, score)
        if len(values):
            at = np.quantile(values, QUANTILES)
            rounded = {f"{q:g}": round(float(value), 6) for q, value in zip(QUANTILES, at, strict=True)}
            result[score] = {"clips": len(values), "quantiles": rounded}
    return result


def _finite(clips: ClipTable, score: str) -> np.ndarray:
    values = np.array(clips.column(score), float)
    return values[np.isfinite(values)]


def table_lines(drops: list[Row], quantiles: dict[str, Row]) -> list[str]:
    """Returns the lines of two tables for the terminal: one row per bound, then one row per score.

    An empty table has no lines.
    """
    import pandas as pd

    bounds = pd.DataFrame(
        {
            "alone": [row["alone"]["clips"] for row in drops],
            "alone, hours": [row["alone"]["hours"] for row in drops],
            "only": [row["only"]["clips"] for row in drops],
            "only, hours": [row["only"]["hours"] for row in drops],
        },
        index=pd.Index([row["reason"] for row in drops], dtype=str),
    )
    scores = pd.DataFrame.from_dict(
        {score: [row["clips"], *(row["quantiles"][f"{q:g}"] for q in SHOWN)] for score, row in quantiles.items()},
        orient="index",
        columns=["clips", *(f"{100 * q:g} %" for q in SHOWN)],
    )
    tables = [
        frame.rename_axis(title, axis="columns").to_string(float_format=number)
        for title, frame, number in (("bound", bounds, "{:.3f}".format), ("score", scores, "{:.4g}".format))
        if len(frame)
    ]
    return "\n\n".join(tables).splitlines()


def plot(checks: list[Check], clips: ClipTable, scores: list[str]) -> bytes:
    """Returns a PNG with one histogram per score, of all clips and of kept clips, with the score's bounds as lines."""
    from matplotlib.figure import Figure

    kept = np.array(clips.column("state"), str) == "kept"
    columns = 3
    rows = -(-len(scores) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.3 * rows), layout="constrained")
    for i, score in enumerate(scores):
        axes = figure.add_subplot(rows, columns, i + 1)
        values = np.array(clips.column(score), float)
        there = np.isfinite(values)
        edges = np.histogram_bin_edges(values[there], BINS).tolist()
        axes.hist(values[there], edges, color="#d8d3c8", label="all")
        axes.hist(values[there & kept], edges, color="#2a7f62", label="kept")
        for check in checks:
            if (
                check.reason.score == score
                and check.reason.bound is not None
                and edges[0] <= check.reason.bound <= edges[-1]
            ):
                axes.axvline(check.reason.bound, color="#b23a48", linestyle="--", linewidth=1)
        axes.set_title(score, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()
