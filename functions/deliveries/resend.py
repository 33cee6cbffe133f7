"""POST /v1/deliveries/{id}/resend."""

from ivy import deliveries
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.deliveries import Delivery
from ivy.errors import EndpointNotEnabled
from ivy.ids import DeliveryId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/deliveries/{id}/resend",
    status=202,
    scope=Scope.WEBHOOKS_WRITE,
    repeatable=True,
    errors=(EndpointNotEnabled,),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: DeliveryId,  # noqa: A002 - the path's name
) -> Delivery:
    """Send an event to its endpoint again.

    One that is waiting for its next attempt is attempted now; one that has ended begins again as
    a new delivery, which is the answer.
    """
    return deliveries.resend(tx, caller, id)
