"""Operators: say what a line in suspense is."""

from ivy import suspense
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.suspense import SuspenseResolution, SuspenseResolved


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, found: SuspenseResolution) -> SuspenseResolved:
    """Give an item to the payout that it is about, or write it off, with the operator's name."""
    return suspense.resolve(tx, found)
