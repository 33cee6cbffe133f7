"""GET /v1/test/clock."""

from ivy import clocks
from ivy.callers import Caller, Scope
from ivy.clocks import Clock
from ivy.database import Transaction
from ivy.errors import TestModeOnly
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "GET /v1/test/clock", scope=Scope.CHARGES_READ, errors=(TestModeOnly,), uses=(Need.DATABASE,)
)
def handler(tx: Transaction, caller: Caller) -> Clock:
    """Retrieve the test clock: what time it is in test mode, and whether it is advancing."""
    return clocks.get(tx, caller)
