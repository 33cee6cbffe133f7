"""POST /v1/payouts/{id}/reject."""

from ivy import payout_requests
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import ApproverNotAPerson, PayoutNotApprovable
from ivy.ids import PayoutId
from ivy.needs import Need
from ivy.payouts import Decision, Payout
from ivy.serve import endpoint


@endpoint(
    "POST /v1/payouts/{id}/reject",
    scope=Scope.PAYOUTS_WRITE,
    idempotent=True,
    errors=(ApproverNotAPerson, PayoutNotApprovable),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: PayoutId,  # noqa: A002 - the path's own name
    decision: Decision,  # noqa: ARG001 - an empty object, so that a misspelt member is refused
) -> Payout:
    """Reject a payout that waits for approval; nothing has moved."""
    return payout_requests.reject(tx, caller, id)
