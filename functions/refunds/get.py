"""GET /v1/refunds/{id}."""

from ivy import refunds
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import RefundId
from ivy.needs import Need
from ivy.refunds import Refund
from ivy.serve import endpoint


@endpoint("GET /v1/refunds/{id}", scope=Scope.REFUNDS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: RefundId) -> Refund:  # noqa: A002 - the path's own name
    """Retrieve a refund."""
    return refunds.get(tx, id)
