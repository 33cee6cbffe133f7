"""GET /v1/reports/{id}."""

from ivy import reports
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import ReportId
from ivy.needs import Need
from ivy.reports import Report
from ivy.serve import endpoint


@endpoint("GET /v1/reports/{id}", scope=Scope.REPORTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: ReportId) -> Report:  # noqa: A002 - the path's own name
    """Return a report. Its file is at `GET /v1/reports/{id}/content`."""
    return reports.get(tx, id)
