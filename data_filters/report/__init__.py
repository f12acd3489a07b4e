"""The report of a curation: figures from the ledger and thumbnails of clips, on one self-contained page."""

from framemill.data_filters.report.mlflow_report import record_report
from framemill.data_filters.report.page import write_report

__all__ = ["record_report", "write_report"]
