"""GET /v1/merchant/balance."""

from ivy import balances
from ivy.balances import Balance
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/merchant/balance", scope=Scope.BALANCE_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, caller: Caller) -> Balance:
    """Retrieve the balance.

    Exact at the moment of the request: every charge that has succeeded is in it.
    """
    return balances.balance(tx, caller.tenant, tx.now())
