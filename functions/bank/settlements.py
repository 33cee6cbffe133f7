"""Operators: show what acquirers say that they pay."""

from ivy import acquirer_settlements
from ivy.acquirer_settlements import SettlementList, SettlementQuery
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: SettlementQuery) -> SettlementList:
    """Return settlements of acquirers: expected, overdue, received."""
    return acquirer_settlements.find(tx, query)
