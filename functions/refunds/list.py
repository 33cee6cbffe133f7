"""GET /v1/refunds."""

from ivy import refunds
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.refunds import Refund, RefundQuery
from ivy.serve import endpoint


@endpoint("GET /v1/refunds", scope=Scope.REFUNDS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: RefundQuery) -> Listing[Refund]:
    """List refunds, newest first; of one charge or of all."""
    return refunds.page(tx, query)
