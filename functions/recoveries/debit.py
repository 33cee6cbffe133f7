"""Operators: collect what a balance lacks from the merchant's bank account."""

from ivy import debit_requests
from ivy.database import Transaction
from ivy.debit_requests import NewDebit
from ivy.needs import Need
from ivy.recovery_debits import RecoveryDebit
from ivy.serve import command


@command(uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(tx: Transaction, new: NewDebit) -> RecoveryDebit:
    """Open a debit where the merchant has signed a mandate; it goes out with the next file."""
    return debit_requests.begin(tx, new)
