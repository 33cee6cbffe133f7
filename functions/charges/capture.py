"""POST /v1/charges/{id}/capture."""

from ivy import charges
from ivy.callers import Caller, Scope
from ivy.charges import Capture, Charge
from ivy.database import Transaction
from ivy.errors import (
    AmountExceedsAuthorized,
    ChargeAlreadyCaptured,
    ChargeDeclined,
    ChargeNotCapturable,
    CurrencyMismatch,
    OperationInProgress,
)
from ivy.ids import ChargeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/charges/{id}/capture",
    scope=Scope.CHARGES_WRITE,
    idempotent=True,
    settled=charges.settled,
    errors=(
        ChargeDeclined,
        ChargeAlreadyCaptured,
        ChargeNotCapturable,
        OperationInProgress,
        AmountExceedsAuthorized,
        CurrencyMismatch,
    ),
    uses=(Need.DATABASE, Need.CHARGES_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: ChargeId,  # noqa: A002 - the path's own name
    wanted: Capture,
) -> Charge:
    """Capture an authorized charge.

    All of it, or the `amount` given; what is not captured is released at once, and a charge is
    captured only once. It becomes `succeeded` when the acquirer has confirmed.
    """
    return charges.capture(tx, caller.tenant, id, wanted)
