"""POST /v1/webhooks/{id}/test."""

from ivy import webhooks
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import EndpointNotEnabled
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import Tested


@endpoint(
    "POST /v1/webhooks/{id}/test",
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
) -> Tested:
    """Send a `webhook_endpoint.test` event to this endpoint alone.

    It is a real event, signed, logged and tried again like any other; `GET /v1/events/{event}`
    shows what came of it.
    """
    return Tested(endpoint=id, event=webhooks.test(tx, caller, id))
