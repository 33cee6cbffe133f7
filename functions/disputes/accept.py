"""POST /v1/disputes/{id}/accept."""

from ivy import disputes
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.disputes import Acceptance, Dispute
from ivy.errors import DisputeClosed, OperationInProgress
from ivy.ids import DisputeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/disputes/{id}/accept",
    scope=Scope.DISPUTES_WRITE,
    idempotent=True,
    errors=(DisputeClosed, OperationInProgress),
    uses=(Need.DATABASE, Need.DISPUTES_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: DisputeId,  # noqa: A002 - the path's own name
    accepted: Acceptance,  # noqa: ARG001 - a body with nothing in it is checked all the same
) -> Dispute:
    """Give a dispute up. It is `lost` at once."""
    return disputes.accept(tx, caller.tenant, id)
