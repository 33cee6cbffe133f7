"""GET /v1/bank_accounts."""

from ivy import bank_accounts
from ivy.bank_accounts import BankAccount, BankAccountQuery
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/bank_accounts", scope=Scope.BANK_ACCOUNTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: BankAccountQuery) -> Listing[BankAccount]:
    """List bank accounts, newest first; of one currency or of all."""
    return bank_accounts.page(tx, query)
