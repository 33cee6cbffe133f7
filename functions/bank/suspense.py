"""Operators: show what is in suspense."""

from ivy import suspense
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.suspense import SuspenseList, SuspenseQuery


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: SuspenseQuery) -> SuspenseList:
    """Return lines of statements that nobody has explained yet, the oldest first."""
    return suspense.find(tx, query)
