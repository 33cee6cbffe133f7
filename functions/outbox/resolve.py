"""Operators: say what became of work that a connector cannot answer for."""

from ivy import stuck
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.stuck import Resolution, Resolved


@command(uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(tx: Transaction, found: Resolution) -> Resolved:
    """Post an outcome that a person found out, with their name, or have it asked again."""
    return stuck.resolve(tx, found)
