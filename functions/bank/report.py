"""Operators: compare a month of statements with the books."""

from ivy import reconciliation_report
from ivy.database import Transaction
from ivy.needs import Need
from ivy.reconciliation_report import ReconciliationReport, ReportQuery
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: ReportQuery) -> ReconciliationReport:
    """Return what banks state of a month, what the books say, and what is in suspense."""
    return reconciliation_report.report(tx, query)
