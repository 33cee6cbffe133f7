"""The function that speaks to Stripe: messages in and out, as it is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.connectors import stripe as function
from ivy import settings, vault
from ivy.connectors import NOTICES, OUTCOME, Approved, Asked, Declined, DisputeOpened
from ivy.connectors.stripe import API_BASE
from tests.connectors.stripe_orders import KEYS, order
from tests.connectors.stripe_server import StripeServer


class SecretsManager:
    def get_secret_value(self, **wanted: str) -> dict[str, str]:
        assert wanted == {"SecretId": "arn:stripe"}
        return {"SecretString": json.dumps(KEYS)}


@pytest.fixture(autouse=True)
def _deployed(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(vault, "client", lambda _service: SecretsManager())
    monkeypatch.setenv("IVY_STRIPE_SECRET", "arn:stripe")
    monkeypatch.setenv("IVY_STRIPE_API_BASE", server.base)
    forget()
    yield
    forget()


def forget() -> None:
    settings.settings.cache_clear()
    vault.forget()
    function.acquirer.cache_clear()


def invoke(method: str, **message: Any) -> Any:
    """Send what travels as JSON, and return what comes back as JSON."""
    answer = function.handler(json.loads(json.dumps({"method": method, **message})), None)
    return json.loads(json.dumps(answer))


def ask(*, asked_before: bool = False, **fields: Any) -> Any:
    asked = Asked(order=order(**fields), asked_before=asked_before)
    (said,) = invoke("carry_out", orders=[asked.model_dump(mode="json")])
    return OUTCOME.validate_python(said)


def test_an_order_and_its_look_up() -> None:
    outcome = ask()
    assert isinstance(outcome, Approved)
    assert ask(asked_before=True) == outcome
    another = ask(key="another", asked_before=True)  # never heard of, so carried out
    assert isinstance(another, Approved)
    assert another != outcome
    declined = ask(key="third", payment_method="pm_card_chargeDeclinedExpiredCard")
    assert declined == Declined(failure_code="expired_card")


def test_notices_are_told_and_acknowledged(server: StripeServer) -> None:
    server.account.dispute(ask().reference)
    at = datetime.now(UTC).isoformat()
    for _ in range(2):
        (notice,) = NOTICES.validate_python(invoke("notices", at=at, account=None))
        assert isinstance(notice, DisputeOpened)
    assert invoke("acknowledge", account=notice.account, notice=notice.id) is None
    assert len(server.asked("GET payment_intents/.*")) == 1  # remembered between invocations


def test_without_another_address_it_is_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IVY_STRIPE_API_BASE")
    forget()
    assert function.acquirer().base == API_BASE == "https://api.stripe.com"
