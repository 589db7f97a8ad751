"""The report: what a run came to, as one page that opens anywhere."""

from cotutor.report.page import write_report
from cotutor.report.verdict import verdict

__all__ = ["verdict", "write_report"]
