"""Orders, and asking about one at a time: the product asks about many, and never only looks up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ivy.connectors import Asked, Operation, Order, Outcome
from ivy.connectors.remote import RemoteConnector
from ivy.connectors.simulated import SimulatedAcquirer
from tests.cloud import ACQUIRER
from tests.driving import Platform

AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
ACCOUNT = "1001-test"


def order(operation: Operation = "authorize", *, of: Order | None = None, **fields: Any) -> Order:
    """An order about a charge of its own, or about that of another order."""
    about = {
        "key": uuid4().hex,
        "account": of.account if of else ACCOUNT,
        "charge": of.charge if of else uuid4(),
        "amount_minor": 10_000,
        "currency": "USD",
        "payment_method": of.payment_method if of else "tok_visa",
        "at": AT,
    }
    return Order(operation=operation, **about | fields)


def message(*asked: Order, correlation: str = "") -> dict[str, Any]:
    orders = [Asked(order=each, correlation=correlation) for each in asked]
    return {"method": "carry_out", "orders": [each.model_dump(mode="json") for each in orders]}


def ask(connector: RemoteConnector, order: Order, *, asked_before: bool = False) -> Outcome:
    """Return what becomes of one order."""
    (outcome,) = connector.carry_out([Asked(order=order, asked_before=asked_before)])
    return outcome


def simulated(platform: Platform) -> SimulatedAcquirer:
    """Return the simulated acquirer itself, without a function before it."""
    table = platform.name + ACQUIRER
    return SimulatedAcquirer(table, dynamodb=platform.client("dynamodb"))
