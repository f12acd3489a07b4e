"""Logging the report and its figures to MLflow."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from framemill.data_filters.report.charts import STYLE, chart
from framemill.data_filters.report.figures import Figures
from framemill.platform import storage
from framemill.platform.tracking import Tracker


def record_report(tracker: Tracker, output: str, figures: Figures) -> None:
    """Logs the report of a dataset to an MLflow run.

    Metrics: clips rejected by each step, and the median of each score. Artifacts: the page, the histograms as SVG,
    and all figures as JSON.
    """
    tracker.log_metrics({f"dropped/{_safe_name(step.name)}": float(step.dropped) for step in figures.clips})
    tracker.log_metrics({f"median/{_safe_name(figure.name)}": figure.median for figure in figures.histograms})
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        page, numbers = Path(folder, "report.html"), Path(folder, "figures.json")
        page.write_bytes(storage.read_bytes(storage.join(output, "report.html")))
        numbers.write_text(json.dumps(asdict(figures), indent=1))
        tracker.log_artifact(str(page))
        tracker.log_artifact(str(numbers))
        for figure in figures.histograms:
            image = Path(folder, f"{_safe_name(figure.name)}.svg")
            image.write_text(chart(figure, STYLE))
            tracker.log_artifact(str(image), "histograms")


def _safe_name(text: str) -> str:
    """Returns a name that both MLflow and file systems accept."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)[:100]
