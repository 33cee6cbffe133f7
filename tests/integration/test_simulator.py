"""The payer's page of the simulated acquirer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.simulator import answer, challenge, script
from ivy import ids
from ivy.connectors import Approved, Declined, Order, RequiresAction, remote
from ivy.connectors.remote import RemoteConnector
from ivy.needs import Need
from tests.asking import ask
from tests.driving import Platform, Reply


@pytest.fixture
def connector(deployed: Platform) -> RemoteConnector:
    deployed.enter((Need.CONNECTORS,))
    return remote.connector("simulated")


def waiting(connector: RemoteConnector, **fields: Any) -> tuple[Order, str]:
    """An order that waits for its payer, and the acquirer's reference of it."""
    usual = {
        "key": uuid4().hex,
        "account": "1001-test",
        "charge": uuid4(),
        "amount_minor": 123_456,
        "currency": "USD",
        "payment_method": "tok_requires_action",
        "at": ids.now(),
    }
    asked = Order(operation="authorize", **usual | fields)
    said = ask(connector, asked)
    assert isinstance(said, RequiresAction)
    assert said.url == f"/v1/simulator/challenges/{said.reference}"
    return asked, said.reference


def page(deployed: Platform, reference: str) -> str:
    shown = deployed.request(challenge.handler, reference=reference)
    assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return shown.body.decode()


def say(deployed: Platform, reference: str, body: Any) -> Reply:
    return deployed.request(answer.handler, body, reference=reference)


@pytest.mark.parametrize(
    ("approve", "status", "shown", "outcome"),
    [
        (True, "approved", "You approved this payment.", Approved),
        (False, "declined", "You declined this payment.", Declined),
    ],
)
def test_the_payers_answer_decides(
    deployed: Platform,
    connector: RemoteConnector,
    approve: bool,
    status: str,
    shown: str,
    outcome: type[Approved | Declined],
) -> None:
    asked, reference = waiting(connector)
    before = page(deployed, reference)
    assert "1,234.56 USD" in before
    assert before.count("<button") == 2
    assert '<script src="../challenge.js"></script>' in before

    said = say(deployed, reference, {"approve": approve})

    assert said.status == answer.handler.status
    assert said.json() == {
        "object": "challenge",
        "reference": reference,
        "amount": 123_456,
        "currency": "USD",
        "status": status,
        "expires_at": said.json()["expires_at"],
    }
    after = page(deployed, reference)
    assert shown in after
    assert "<button" not in after
    deployed.enter((Need.CONNECTORS,))
    assert isinstance(ask(connector, asked, asked_before=True), outcome)


def test_the_first_answer_counts(deployed: Platform, connector: RemoteConnector) -> None:
    _, reference = waiting(connector)
    assert say(deployed, reference, {"approve": False}).json()["status"] == "declined"
    assert say(deployed, reference, {"approve": True}).json()["status"] == "declined"


def test_an_hour_later_it_is_too_late(deployed: Platform, connector: RemoteConnector) -> None:
    asked, reference = waiting(connector, at=ids.now() - timedelta(hours=1))
    assert "This payment has expired." in page(deployed, reference)
    assert say(deployed, reference, {"approve": True}).json()["status"] == "expired"
    deployed.enter((Need.CONNECTORS,))
    assert ask(connector, asked, asked_before=True) == Declined(
        failure_code="authentication_expired"
    )


def test_a_canceled_payment_can_not_be_approved(
    deployed: Platform, connector: RemoteConnector
) -> None:
    asked, reference = waiting(connector)
    ask(connector, asked.model_copy(update={"operation": "void", "key": "void"}))
    assert "This payment was canceled." in page(deployed, reference)
    assert say(deployed, reference, {"approve": True}).json()["status"] == "canceled"


@pytest.mark.parametrize(
    ("currency", "shown"), [("JPY", "123,456 JPY"), ("KWD", "123.456 KWD"), ("EUR", "1,234.56 EUR")]
)
def test_amounts_are_written_in_their_currency(
    deployed: Platform, connector: RemoteConnector, currency: str, shown: str
) -> None:
    _, reference = waiting(connector, currency=currency)
    assert f"<strong>{shown}</strong>" in page(deployed, reference)


def paid_without_asking(connector: RemoteConnector) -> str:
    usual = {"key": "k", "account": "a", "charge": uuid4(), "amount_minor": 100, "currency": "USD"}
    order = Order(operation="authorize", payment_method="tok_visa", at=ids.now(), **usual)
    ask(connector, order)
    return f"sim_{order.charge.hex}"


def test_what_waits_for_nobody_is_not_there(deployed: Platform, connector: RemoteConnector) -> None:
    unknown = f"sim_{UUID(int=7).hex}"
    references = ("sim_", "payment", f"{unknown}0", unknown, paid_without_asking(connector))
    for reference in references:
        for found in (
            deployed.request(challenge.handler, reference=reference),
            say(deployed, reference, {"approve": True}),
        ):
            assert (found.status, found.code) == (404, "resource_missing"), reference


@pytest.mark.parametrize(
    "body", [{}, {"approve": "yes"}, {"approve": 1}, {"approve": True, "amount": 1}, "[]"]
)
def test_an_answer_is_yes_or_no(deployed: Platform, connector: RemoteConnector, body: Any) -> None:
    _, reference = waiting(connector)
    assert say(deployed, reference, body).code == "request_invalid"
    assert "<button" in page(deployed, reference)


def test_an_acquirer_that_does_not_answer(deployed: Platform, connector: RemoteConnector) -> None:
    _, reference = waiting(connector)
    with deployed.cloud.failing("fail", "Invoke"):
        found = say(deployed, reference, {"approve": True})
    assert (found.status, found.code) == (503, "unavailable")
    assert found.headers["retry-after"] == "1"


def test_the_script_sends_what_the_button_says(deployed: Platform) -> None:
    found = deployed.request(script.handler)
    assert (found.status, found.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert b"approve: event.submitter.value" in found.body
