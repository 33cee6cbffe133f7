"""GET /v1/balance_transactions/{id}."""

from ivy import balance_transactions
from ivy.balance_transactions import BalanceTransaction
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import BalanceTransactionId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/balance_transactions/{id}", scope=Scope.BALANCE_READ, uses=(Need.DATABASE,))
def handler(
    tx: Transaction,
    id: BalanceTransactionId,  # noqa: A002 - the path's own name
) -> BalanceTransaction:
    """Retrieve a balance transaction."""
    return balance_transactions.get(tx, id)
