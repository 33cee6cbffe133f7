"""POST /v1/test/events/trigger."""

from ivy import triggers
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.errors import TestModeOnly
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.triggers import Trigger, Triggered


@endpoint(
    "POST /v1/test/events/trigger",
    status=202,
    scope=Scope.CHARGES_WRITE,
    errors=(TestModeOnly,),
    uses=(
        Need.DATABASE,
        Need.CONNECTORS,
        Need.CHARGES_QUEUE,
        Need.REFUNDS_QUEUE,
        Need.DISPUTES_QUEUE,
        Need.EVENTS_QUEUE,
    ),
)
def handler(database: Database, caller: Caller, wanted: Trigger) -> Triggered:
    """Make something happen in test mode, to see its events.

    A real charge, refund or dispute is made, as a merchant and its customers would. The event
    follows within seconds; `dispute.won` takes the acquirer a few minutes.
    """
    return triggers.trigger(database, caller, wanted)
