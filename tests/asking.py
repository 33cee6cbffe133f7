"""One order at a time, for tests: the product asks about many at once, and never only looks up."""

from __future__ import annotations

from ivy.connectors import Asked, Order, Outcome
from ivy.connectors.remote import RemoteConnector
from ivy.connectors.simulated import SimulatedAcquirer
from tests.cloud import ACQUIRER
from tests.driving import Platform


def ask(connector: RemoteConnector, order: Order, *, asked_before: bool = False) -> Outcome:
    """Return what becomes of one order."""
    (outcome,) = connector.carry_out([Asked(order=order, asked_before=asked_before)])
    return outcome


def simulated(platform: Platform) -> SimulatedAcquirer:
    """Return the simulated acquirer itself, without a function before it."""
    table = platform.name + ACQUIRER
    return SimulatedAcquirer(table, dynamodb=platform.client("dynamodb"))
