"""GET /v1/webhooks/{id}/deliveries."""

from ivy import deliveries
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.deliveries import Delivery, DeliveryQuery
from ivy.ids import WebhookEndpointId
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/webhooks/{id}/deliveries", scope=Scope.WEBHOOKS_READ, uses=(Need.DATABASE,))
def handler(
    tx: Transaction,
    id: WebhookEndpointId,  # noqa: A002 - the path's name
    query: DeliveryQuery,
) -> Listing[Delivery]:
    """List the deliveries to an endpoint, newest first, each with its attempts.

    What the endpoint answered is in `GET /v1/deliveries/{id}`.
    """
    return deliveries.page(tx, id, query)
