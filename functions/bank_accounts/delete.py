"""DELETE /v1/bank_accounts/{id}."""

from ivy import bank_accounts
from ivy.bank_accounts import BankAccount
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.ids import BankAccountId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "DELETE /v1/bank_accounts/{id}",
    scope=Scope.BANK_ACCOUNTS_WRITE,
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: BankAccountId,  # noqa: A002 - the path's name
) -> BankAccount:
    """Remove a bank account for good.

    No payout is made to it any more; one that is in a file for the bank already still goes there.
    Added anew it is to be verified anew, and is payable 24 hours after.
    """
    return bank_accounts.delete(tx, caller, id)
