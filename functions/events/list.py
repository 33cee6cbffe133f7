"""GET /v1/events."""

from ivy import events
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.events import Event, EventQuery
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/events", scope=Scope.EVENTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: EventQuery) -> Listing[Event]:
    """List events, newest first; or, with `after_sequence`, forward from there.

    Whoever reads forward from 0 sees every change of every object once: `sequence` has no gaps,
    and an event that is missing has not happened yet.
    """
    return events.page(tx, query)
