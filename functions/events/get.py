"""GET /v1/events/{id}."""

from ivy import deliveries, events
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.deliveries import EventWithDeliveries
from ivy.ids import EventId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/events/{id}", scope=Scope.EVENTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: EventId) -> EventWithDeliveries:  # noqa: A002 - the path's name
    """Retrieve an event, with its deliveries to each endpoint."""
    return deliveries.of_event(tx, events.get(tx, id))
