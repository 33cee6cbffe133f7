"""GET /v1/webhooks/{id}."""

from ivy import webhooks
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import Endpoint


@endpoint("GET /v1/webhooks/{id}", scope=Scope.WEBHOOKS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: WebhookEndpointId) -> Endpoint:  # noqa: A002 - the path's name
    """Retrieve a webhook endpoint, with how it has been answering."""
    return webhooks.get(tx, id)
