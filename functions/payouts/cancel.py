"""POST /v1/payouts/{id}/cancel."""

from ivy import payout_requests
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import PayoutNotCancelable
from ivy.ids import PayoutId
from ivy.needs import Need
from ivy.payouts import Decision, Payout
from ivy.serve import endpoint


@endpoint(
    "POST /v1/payouts/{id}/cancel",
    scope=Scope.PAYOUTS_WRITE,
    idempotent=True,
    errors=(PayoutNotCancelable,),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: PayoutId,  # noqa: A002 - the path's own name
    decision: Decision,  # noqa: ARG001 - an empty object, so that a misspelt member is refused
) -> Payout:
    """Cancel a payout that is not on its way to the bank yet; its money is available again."""
    return payout_requests.cancel(tx, caller, id)
