"""DELETE /v1/webhooks/{id}."""

from ivy import deliveries, webhook_secrets, webhooks
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import Endpoint


@endpoint(
    "DELETE /v1/webhooks/{id}",
    scope=Scope.WEBHOOKS_WRITE,
    uses=(Need.DATABASE, Need.WEBHOOK_SECRETS_WRITE),
)
def handler(
    database: Database,
    caller: Caller,
    id: WebhookEndpointId,  # noqa: A002 - the path's name
) -> Endpoint:
    """Remove a webhook endpoint for good, and its secrets.

    Nothing more is sent there, except what is on its way at this moment.
    """
    with database.transaction(caller.tenant) as tx:
        endpoint = webhooks.delete(tx, caller, id)
        deliveries.give_up(tx, endpoint.id, "endpoint_deleted")
    webhook_secrets.forget(endpoint.id)
    return endpoint
