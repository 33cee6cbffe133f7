"""GET /v1/disputes/{id}."""

from ivy import disputes
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.disputes import Dispute
from ivy.ids import DisputeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/disputes/{id}", scope=Scope.DISPUTES_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: DisputeId) -> Dispute:  # noqa: A002 - the path's own name
    """Retrieve a dispute."""
    return disputes.get(tx, id)
