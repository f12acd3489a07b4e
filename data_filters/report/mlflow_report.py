"""The report's figures in MLflow."""

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
    """Logs what each step dropped and each score's median as metrics; the page, the histograms as pictures and all
    figures as JSON as artifacts."""
    tracker.log_metrics({f"dropped/{name_of(step.name)}": float(step.dropped) for step in figures.clips})
    tracker.log_metrics({f"median/{name_of(figure.name)}": figure.median for figure in figures.histograms})
    with tempfile.TemporaryDirectory(prefix="framemill-") as folder:
        page, numbers = Path(folder, "report.html"), Path(folder, "figures.json")
        page.write_bytes(storage.read_bytes(storage.join(output, "report.html")))
        numbers.write_text(json.dumps(asdict(figures), indent=1))
        tracker.log_artifact(str(page))
        tracker.log_artifact(str(numbers))
        for figure in figures.histograms:
            picture = Path(folder, f"{name_of(figure.name)}.svg")
            picture.write_text(chart(figure, STYLE))
            tracker.log_artifact(str(picture), "histograms")


def name_of(words: str) -> str:
    """A name that MLflow and a file system take."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in words)[:100]
