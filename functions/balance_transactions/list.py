"""GET /v1/balance_transactions."""

from ivy import balance_transactions
from ivy.balance_transactions import BalanceTransaction, BalanceTransactionQuery
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/balance_transactions", scope=Scope.BALANCE_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: BalanceTransactionQuery) -> Listing[BalanceTransaction]:
    """List everything that changed the balance, newest first."""
    return balance_transactions.page(tx, query)
