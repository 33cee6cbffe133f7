"""GET /v1/ledger/transactions/{id}."""

from ivy import ledger_transactions
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.ids import LedgerTransactionId
from ivy.ledger_transactions import LedgerTransaction
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/ledger/transactions/{id}", scope=Scope.LEDGER_READ, uses=(Need.DATABASE,))
def handler(
    tx: Transaction,
    caller: Caller,
    id: LedgerTransactionId,  # noqa: A002 - the path's own name
) -> LedgerTransaction:
    """Retrieve a ledger transaction with its entries, which sum to zero."""
    return ledger_transactions.transaction(tx, caller.tenant, id)
