"""Orders as Ivy gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ivy import ids
from ivy.connectors import (
    Approved,
    Declined,
    Operation,
    Order,
    Outcome,
    Pending,
    RequiresAction,
    carry_out,
)
from ivy.connectors.stripe import StripeConnector
from tests.connectors.stripe_account import LIVE_KEY, TEST_KEY

KEYS = {"test_key": TEST_KEY, "live_key": LIVE_KEY}
RETURN_URL = "https://shop.example/back"
CHARGE = UUID("019ab2c4-d5e6-7f80-91a2-b3c4d5e6f708")
WRITTEN = ids.Prefix("ch").write(CHARGE)


def order(operation: Operation = "authorize", **fields: Any) -> Order:
    """An order about one charge of 100.00 dollars."""
    return Order(
        **{
            "operation": operation,
            "key": WRITTEN if operation == "authorize" else f"{WRITTEN}.{operation}",
            "account": "1001-test",
            "charge": CHARGE,
            "amount_minor": 10_000,
            "currency": "USD",
            "payment_method": "pm_card_visa",
            "at": datetime.now(UTC),
            **fields,
        }
    )


def paid(stripe: StripeConnector, **fields: Any) -> str:
    """Authorise a payment and return Stripe's name of it."""
    outcome = stripe.authorize(order(**fields))
    assert isinstance(outcome, Approved | Pending | RequiresAction), outcome
    return outcome.reference


def invalid(code: str) -> Declined:
    return Declined(failure_code="invalid_request", decline_code=code)


def operate(stripe: StripeConnector, operation: Operation, **fields: Any) -> Outcome:
    return carry_out(stripe, order(operation, **fields), asked_before=False)
