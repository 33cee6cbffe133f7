"""GET /v1/reports."""

from ivy import reports
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.reports import Report, ReportQuery
from ivy.serve import endpoint


@endpoint("GET /v1/reports", scope=Scope.REPORTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: ReportQuery) -> Listing[Report]:
    """List reports, newest first; of one currency or of all."""
    return reports.page(tx, query)
