"""GET /v1/disputes."""

from ivy import disputes
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.disputes import Dispute, DisputeQuery
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/disputes", scope=Scope.DISPUTES_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: DisputeQuery) -> Listing[Dispute]:
    """List disputes, newest first; of one charge or of all."""
    return disputes.page(tx, query)
