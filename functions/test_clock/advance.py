"""POST /v1/test/clock/advance."""

from ivy import clocks
from ivy.callers import Caller, Scope
from ivy.clocks import Advance, Clock
from ivy.database import Transaction
from ivy.errors import ClockAdvancing, ClockNotForward, ClockTooFar, TestModeOnly
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "POST /v1/test/clock/advance",
    status=202,
    scope=Scope.CHARGES_WRITE,
    repeatable=True,
    errors=(TestModeOnly, ClockAdvancing, ClockNotForward, ClockTooFar),
    uses=(Need.DATABASE, Need.CLOCK_QUEUE, Need.EVENTS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, wanted: Advance) -> Clock:
    """Let days pass in test mode, and see what they bring.

    Whatever falls due happens in its order: bank debits arrive and return, authorisations expire,
    disputes lapse, days are settled, reserves released, payouts made, sent to the bank and returned
    by it, webhooks tried again. The clock is `advancing` until all of it has happened, and
    `test_clock.ready` says so. Other merchants and live mode are not touched.
    """
    return clocks.advance(tx, caller, wanted)
