"""GET /v1/bank_accounts/{id}."""

from ivy import bank_accounts
from ivy.bank_accounts import BankAccount
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import BankAccountId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/bank_accounts/{id}", scope=Scope.BANK_ACCOUNTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: BankAccountId) -> BankAccount:  # noqa: A002 - the path's name
    """Retrieve a bank account."""
    return bank_accounts.get(tx, id)
