"""Operators: expect what an acquirer of live mode says that it pays."""

from ivy import acquirer_settlements
from ivy.acquirer_settlements import ExpectedSettlement, SettlementExpected
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, said: ExpectedSettlement) -> SettlementExpected:
    """Write down what an acquirer's report says; a line of a statement will be it."""
    return acquirer_settlements.expect(tx, said)
