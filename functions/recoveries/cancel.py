"""Operators: take back a debit that no bank has been told of."""

from ivy import debit_requests
from ivy.database import Transaction
from ivy.debit_requests import DebitCancellation
from ivy.needs import Need
from ivy.recovery_debits import RecoveryDebit
from ivy.serve import command


@command(uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(tx: Transaction, wanted: DebitCancellation) -> RecoveryDebit:
    """Cancel the open debit of a recovery, unless it is in a file for the bank already."""
    return debit_requests.cancel(tx, wanted)
