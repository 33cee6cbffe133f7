"""Operators: show the balances that are below zero, by age."""

from ivy import ids, write_offs
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.write_offs import DebtList, RecoveryQuery


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: RecoveryQuery) -> DebtList:
    """Return every balance below zero, oldest first, with what has been tried."""
    return write_offs.find(tx, query, ids.now())
