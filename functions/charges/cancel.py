"""POST /v1/charges/{id}/cancel."""

from ivy import charges
from ivy.callers import Caller, Scope
from ivy.charges import Cancellation, Charge
from ivy.database import Transaction
from ivy.errors import ChargeDeclined, ChargeNotCancelable, OperationInProgress
from ivy.ids import ChargeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/charges/{id}/cancel",
    scope=Scope.CHARGES_WRITE,
    idempotent=True,
    settled=charges.settled,
    errors=(ChargeDeclined, ChargeNotCancelable, OperationInProgress),
    uses=(Need.DATABASE, Need.CHARGES_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: ChargeId,  # noqa: A002 - the path's own name
    wanted: Cancellation,  # noqa: ARG001 - a body with nothing in it is checked all the same
) -> Charge:
    """Cancel a charge that is authorized or waits for its payer.

    Its hold is released, and it becomes `canceled` when the acquirer has confirmed.
    """
    return charges.cancel(tx, caller.tenant, id)
