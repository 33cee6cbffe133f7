"""Operators: show work that should have been done long ago."""

from ivy import stuck
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.stuck import StuckList, StuckQuery


@command(uses=(Need.DATABASE_JOBS,))
def handler(tx: Transaction, query: StuckQuery) -> StuckList:
    """Return what is stuck, most overdue first, with how often which connector was asked."""
    return stuck.find(tx, query)
