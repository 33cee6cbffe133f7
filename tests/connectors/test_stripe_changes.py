"""What is done about payments and disputes that exist at Stripe."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ivy.connectors import Approved, Declined, Missing, Operation, Pending, Unknown
from ivy.connectors.stripe import StripeConnector
from tests.connectors.stripe_orders import WRITTEN, invalid, operate, order, paid
from tests.connectors.stripe_server import StripeServer

# -- capture


@pytest.mark.parametrize("amount", [10_000, 7_500])
def test_capture(server: StripeServer, stripe: StripeConnector, amount: int) -> None:
    name = paid(stripe, capture=False)
    wanted = order("capture", reference=name, amount_minor=amount, capture=False)
    assert stripe.lookup(wanted) == Missing()
    cost = amount * 29 // 1000 + 30
    assert stripe.capture(wanted) == Approved(reference=name, cost_minor=cost)
    assert server.account.objects[name]["amount_received"] == amount
    (call,) = server.asked("POST .*/capture")
    assert call.headers["Idempotency-Key"] == f"{WRITTEN}.capture"
    assert stripe.lookup(wanted) == Approved(reference=name, cost_minor=cost)


def test_capture_of_too_much_is_declined(server: StripeServer, stripe: StripeConnector) -> None:
    name = paid(stripe, capture=False)
    declined = operate(stripe, "capture", reference=name, amount_minor=10_001, capture=False)
    assert declined == invalid("amount_too_large")
    assert server.account.objects[name]["status"] == "requires_capture"


def test_capture_of_what_was_captured_already_is_what_it_became(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, capture=False)
    server.account._take(server.account.objects[name], 10_000)
    again = operate(stripe, "capture", reference=name, capture=False)
    assert again == Approved(reference=name, cost_minor=320)


def test_capture_of_what_somebody_captured_in_part_is_for_a_person(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, capture=False)
    server.account._take(server.account.objects[name], 5_000)
    assert isinstance(operate(stripe, "capture", reference=name, capture=False), Unknown)
    assert isinstance(stripe.lookup(order("capture", reference=name)), Unknown)


def test_capture_of_what_has_lapsed_is_declined(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, capture=False)
    server.account.objects[name] |= {"status": "canceled", "cancellation_reason": "expired"}
    lapsed = Declined(failure_code="payment_canceled", decline_code="expired")
    assert operate(stripe, "capture", reference=name, capture=False) == lapsed
    assert stripe.lookup(order("capture", reference=name)) == lapsed


# -- void


def test_void(server: StripeServer, stripe: StripeConnector) -> None:
    name = paid(stripe, capture=False)
    wanted = order("void", reference=name, capture=False)
    assert stripe.lookup(wanted) == Missing()
    assert stripe.void(wanted) == Approved(reference=name)
    assert server.account.objects[name]["status"] == "canceled"
    assert stripe.lookup(wanted) == Approved(reference=name)


def test_void_of_what_stripe_released_by_itself_is_done(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, capture=False)
    server.account.objects[name] |= {"status": "canceled", "cancellation_reason": "expired"}
    assert operate(stripe, "void", reference=name, capture=False) == Approved(reference=name)


def test_void_of_what_somebody_captured_is_for_a_person(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe, capture=False)
    server.account._take(server.account.objects[name], 10_000)
    assert isinstance(operate(stripe, "void", reference=name, capture=False), Unknown)


def test_void_of_what_its_payer_has_confirmed_meanwhile_is_declined(
    server: StripeServer, present: StripeConnector
) -> None:
    name = paid(present, payment_method="pm_card_authenticationRequired")
    server.account.confirm(name)
    assert operate(present, "void", reference=name) == invalid("already_captured")


# -- refund


def test_refund_and_its_look_up(server: StripeServer, stripe: StripeConnector) -> None:
    name = paid(stripe)
    wanted = order("refund", key="re_1", reference=name, amount_minor=4_000)
    assert stripe.lookup(wanted) == Missing()
    outcome = stripe.refund(wanted)
    (refund,) = server.account.all("refund")
    assert outcome == stripe.lookup(wanted) == Approved(reference=refund["id"])
    assert (refund["amount"], refund["payment_intent"]) == (4_000, name)
    assert refund["metadata"]["ivy_charge"] == WRITTEN
    second = order("refund", key="re_2", reference=name, amount_minor=6_000)
    assert stripe.lookup(second) == Missing()
    assert isinstance(stripe.refund(second), Approved)
    third = order("refund", key="re_3", reference=name, amount_minor=1)
    assert stripe.refund(third) == invalid("charge_already_refunded")


def test_a_refund_under_way_is_pending(server: StripeServer, stripe: StripeConnector) -> None:
    name = paid(stripe, payment_method="pm_card_pendingRefund")
    wanted = order("refund", reference=name)
    outcome = stripe.refund(wanted)
    (refund,) = server.account.all("refund")
    assert outcome == Pending(reference=refund["id"], until=wanted.at + timedelta(hours=12))
    refund["status"] = "succeeded"
    assert stripe.lookup(wanted) == Approved(reference=refund["id"])
    refund["status"] = "canceled"
    assert stripe.lookup(wanted) == Declined(failure_code="refund_canceled")
    refund["status"] = "from_the_future"
    assert isinstance(stripe.lookup(wanted), Unknown)


def test_a_refund_that_fails_says_why(stripe: StripeConnector) -> None:
    name = paid(stripe, payment_method="pm_card_refundFail")
    failed = Declined(failure_code="refund_failed", decline_code="expired_or_canceled_card")
    assert operate(stripe, "refund", reference=name) == failed
    assert stripe.lookup(order("refund", reference=name)) == failed


def test_a_refund_that_may_be_on_the_next_page_is_not_missing(
    server: StripeServer, stripe: StripeConnector
) -> None:
    name = paid(stripe)
    for number in range(101):
        server.account._add("refund", "re", payment_intent=name, metadata=None, status=f"{number}")
    assert isinstance(stripe.lookup(order("refund", reference=name)), Unknown)


# -- disputes


def test_evidence_is_handed_in_for_good(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    wanted = order("contest", reference=dispute["id"], evidence="They signed for it.")
    assert stripe.lookup(wanted) == Missing()
    assert stripe.contest(wanted) == Approved(reference=dispute["id"])
    assert dispute["status"] == "under_review"
    assert dispute["evidence"]["uncategorized_text"] == "They signed for it."
    assert server.asked("POST disputes/.*")[0].params["submit"] == "true"
    assert stripe.lookup(wanted) == Approved(reference=dispute["id"])


def test_a_dispute_is_given_up(server: StripeServer, stripe: StripeConnector) -> None:
    dispute = server.account.dispute(paid(stripe))
    wanted = order("concede", reference=dispute["id"])
    assert stripe.lookup(wanted) == Missing()
    assert stripe.concede(wanted) == Approved(reference=dispute["id"])
    assert dispute["status"] == "lost"
    assert stripe.lookup(wanted) == Approved(reference=dispute["id"])


@pytest.mark.parametrize(
    ("operation", "status", "outcome"),
    [
        ("contest", "lost", Declined(failure_code="dispute_not_open")),
        ("contest", "won", Declined(failure_code="dispute_not_open")),
        ("concede", "won", Declined(failure_code="dispute_not_open")),
        ("concede", "lost", "approved"),
        ("concede", "under_review", invalid("dispute_not_closable")),
    ],
)
def test_a_dispute_that_is_not_open(
    server: StripeServer,
    stripe: StripeConnector,
    operation: Operation,
    status: str,
    outcome: Declined | str,
) -> None:
    dispute = server.account.dispute(paid(stripe))
    dispute["status"] = status
    expected = Approved(reference=dispute["id"]) if outcome == "approved" else outcome
    assert operate(stripe, operation, reference=dispute["id"], evidence="x") == expected


@pytest.mark.parametrize("operation", ["capture", "void", "refund", "contest", "concede"])
def test_without_a_reference_nothing_is_asked(
    server: StripeServer, stripe: StripeConnector, operation: Operation
) -> None:
    assert isinstance(operate(stripe, operation), Unknown)
    assert isinstance(stripe.lookup(order(operation)), Unknown)
    assert server.calls == []
