"""POST /v1/reports."""

from ivy import reports
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.reports import NewReport, Report
from ivy.serve import endpoint


@endpoint(
    "POST /v1/reports",
    status=201,
    scope=Scope.REPORTS_WRITE,
    idempotent=True,
    uses=(Need.DATABASE, Need.REPORTS_QUEUE, Need.EVENTS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, new: NewReport) -> Report:
    """Ask for a statement of a month that is over, in one currency.

    It has the opening and closing balances, everything that changed them, and what they were at the
    end of each day; as CSV, as JSON, or as a journal that beancount checks. It is `pending` until
    `report.ready`; then `GET /v1/reports/{id}/content` has it.
    """
    return reports.ask(tx, caller, new)
