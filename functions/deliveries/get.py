"""GET /v1/deliveries/{id}."""

from ivy import deliveries
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.deliveries import Delivery
from ivy.ids import DeliveryId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/deliveries/{id}", scope=Scope.WEBHOOKS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: DeliveryId) -> Delivery:  # noqa: A002 - the path's name
    """Retrieve a delivery, with the first 4 KB of each answer."""
    return deliveries.get(tx, id)
