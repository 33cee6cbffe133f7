"""POST /v1/webhooks/{id}/replay."""

from ivy import deliveries
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.deliveries import Replay, Replayed
from ivy.errors import EndpointNotEnabled
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/webhooks/{id}/replay",
    status=202,
    scope=Scope.WEBHOOKS_WRITE,
    repeatable=True,
    errors=(EndpointNotEnabled,),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: WebhookEndpointId,  # noqa: A002 - the path's name
    wanted: Replay,
) -> Replayed:
    """Send past events again, oldest first: all of a time, or those that failed.

    Receivers see the ids that they may have seen before. At most 10,000 events at once: with
    `has_more`, ask again from `next_since`. What is still on its way is not sent twice.
    """
    return deliveries.replay(tx, caller, id, wanted)
