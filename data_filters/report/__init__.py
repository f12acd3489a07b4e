"""The report of a curation: figures from the ledger, pictures of clips, one page that needs nothing else."""

from framemill.data_filters.report.page import write_report
from framemill.data_filters.report.record import record_report

__all__ = ["record_report", "write_report"]
