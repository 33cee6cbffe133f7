"""Operators: approve that what a balance lacks is written off."""

from ivy import write_offs
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.write_offs import Approval, WriteOff


@command(uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(tx: Transaction, approval: Approval) -> WriteOff:
    """Write off what somebody else has proposed, and no more than the balance lacks by now."""
    return write_offs.approve(tx, approval)
