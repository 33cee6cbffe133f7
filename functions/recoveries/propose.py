"""Operators: propose to write off what a balance lacks."""

from ivy import write_offs
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import command
from ivy.write_offs import Proposal, WriteOff


@command(uses=(Need.DATABASE,))
def handler(tx: Transaction, proposal: Proposal) -> WriteOff:
    """Propose it; nothing is posted until somebody else approves."""
    return write_offs.propose(tx, proposal)
