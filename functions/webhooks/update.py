"""PATCH /v1/webhooks/{id}."""

from ivy import deliveries, webhooks
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import Endpoint, EndpointChange


@endpoint(
    "PATCH /v1/webhooks/{id}",
    scope=Scope.WEBHOOKS_WRITE,
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: WebhookEndpointId,  # noqa: A002 - the path's name
    change: EndpointChange,
) -> Endpoint:
    """Change a webhook endpoint, pause it, or enable it again.

    A paused endpoint gets its events once it is enabled. One that Ivy had disabled then also gets,
    oldest first, what failed and what it missed: up to 10,000 events of each.
    """
    before, after = webhooks.edit(tx, caller, id, change)
    deliveries.resume(tx, caller.tenant, before, after)
    return after
