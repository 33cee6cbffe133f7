"""GET /v1/payouts/{id}."""

from ivy import payouts
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import PayoutId
from ivy.needs import Need
from ivy.payouts import Payout
from ivy.serve import endpoint


@endpoint("GET /v1/payouts/{id}", scope=Scope.PAYOUTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: PayoutId) -> Payout:  # noqa: A002 - the path's own name
    """Return a payout. Its items are the balance transactions with `payout` set to it."""
    return payouts.get(tx, id)
