"""What the Stripe connector asks, and how it reads the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ivy.connectors import (
    Approved,
    Declined,
    Missing,
    Operation,
    Outcome,
    Pending,
    RequiresAction,
    Unknown,
    carry_out,
)
from ivy.connectors.stripe import OTHER_UNITS, StripeConnector
from ivy.money import currencies
from tests.connectors.stripe_account import CAPTURE_DAYS, DAY, LIVE_KEY, TEST_KEY
from tests.connectors.stripe_orders import KEYS, WRITTEN, order, paid
from tests.connectors.stripe_published import THREE_DECIMALS, ZERO_DECIMALS
from tests.connectors.stripe_server import StripeServer

RETURN_URL = "https://shop.example/back"
CREATE = "POST payment_intents"


@pytest.fixture
def present(server: StripeServer) -> StripeConnector:
    """A connector for payers who are there to confirm."""
    return StripeConnector(secret=lambda: {**KEYS, "return_url": RETURN_URL}, base=server.base)


def invalid(code: str) -> Declined:
    return Declined(failure_code="invalid_request", decline_code=code)


def operate(stripe: StripeConnector, operation: Operation, **fields: Any) -> Outcome:
    return carry_out(stripe, order(operation, **fields), asked_before=False)


# -- authorise


def test_a_payment_is_made_and_confirmed_by_one_request(
    server: StripeServer, stripe: StripeConnector
) -> None:
    outcome = stripe.authorize(order())
    (intent,) = server.account.all("payment_intent")
    assert outcome == Approved(reference=intent["id"], cost_minor=320)
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 10_000)
    (call,) = server.asked("POST .*")
    assert call.params == {
        "amount": "10000",
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "automatic_payment_methods": {"enabled": "true", "allow_redirects": "never"},
        "capture_method": "automatic",
        "confirm": "true",
        "error_on_requires_action": "true",
        "metadata": {"ivy_order": WRITTEN, "ivy_account": "1001-test", "ivy_charge": WRITTEN},
        "expand": ["latest_charge.balance_transaction"],
    }
    assert call.headers["Idempotency-Key"] == WRITTEN
    assert call.headers["Stripe-Version"] == "2026-10-28.endive"


def test_a_saved_token_is_charged_without_its_payer(
    server: StripeServer, stripe: StripeConnector
) -> None:
    assert isinstance(stripe.authorize(order(payment_method="pm_saved")), Approved)
    (call,) = server.asked(CREATE)
    assert (call.params["customer"], call.params["off_session"]) == ("cus_1", "true")
    assert "error_on_requires_action" not in call.params


def test_an_authorisation_lapses_when_stripe_says(
    server: StripeServer, stripe: StripeConnector
) -> None:
    outcome = stripe.authorize(order(capture=False))
    (charge,) = server.account.all("charge")
    lapses = datetime.fromtimestamp(charge["payment_method_details"]["card"]["capture_before"], UTC)
    (intent,) = server.account.all("payment_intent")
    assert outcome == Approved(reference=intent["id"], expires_at=lapses)
    assert intent["status"] == "requires_capture"


def test_on_a_test_clock_that_is_ahead_it_lapses_as_much_later(stripe: StripeConnector) -> None:
    at = datetime.now(UTC) + timedelta(days=400)
    outcome = stripe.authorize(order(capture=False, at=at))
    assert isinstance(outcome, Approved)
    assert outcome.expires_at is not None
    distance = outcome.expires_at - at - timedelta(days=CAPTURE_DAYS)
    assert abs(distance) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("token", "declined"),
    [
        (
            "pm_card_chargeDeclined",
            Declined(failure_code="card_declined", decline_code="generic_decline"),
        ),
        (
            "pm_card_chargeDeclinedInsufficientFunds",
            Declined(failure_code="card_declined", decline_code="insufficient_funds"),
        ),
        ("pm_card_chargeDeclinedExpiredCard", Declined(failure_code="expired_card")),
        ("pm_card_chargeDeclinedProcessingError", Declined(failure_code="processing_error")),
        (
            "pm_savedAuthenticationRequired",
            Declined(
                failure_code="authentication_required", decline_code="authentication_required"
            ),
        ),
        ("pm_nobodys", invalid("resource_missing")),
    ],
)
def test_a_decline_is_read_and_found_again(
    server: StripeServer, stripe: StripeConnector, token: str, declined: Declined
) -> None:
    wanted = order(payment_method=token)
    assert stripe.authorize(wanted) == declined
    assert all(each["amount_received"] == 0 for each in server.account.all("payment_intent"))
    found = stripe.lookup(wanted)
    assert found == (Missing() if token == "pm_nobodys" else declined)


def test_a_request_that_stripe_refuses_is_declined_with_its_code(stripe: StripeConnector) -> None:
    assert stripe.authorize(order(amount_minor=10)) == invalid("amount_too_small")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"payment_method": "tok_visa"}, "token_unknown"),
        ({"payment_method": "4242424242424242"}, "token_unknown"),
        ({"payment_method": "pm_a/../customers"}, "token_unknown"),
        ({"payment_method": "pm_"}, "token_unknown"),
        *(({"currency": currency}, "currency_not_supported") for currency in sorted(OTHER_UNITS)),
    ],
)
def test_what_is_not_a_token_or_counted_otherwise_is_not_sent(
    server: StripeServer, stripe: StripeConnector, fields: dict[str, Any], code: str
) -> None:
    assert stripe.authorize(order(**fields)) == invalid(code)
    assert server.calls == []


def test_every_other_currency_has_the_same_units_at_stripe() -> None:
    for currency in currencies().values():
        if currency.code not in OTHER_UNITS:
            assert (currency.exponent == 0) == (currency.code in ZERO_DECIMALS), currency
            assert (currency.exponent == 3) == (currency.code in THREE_DECIMALS), currency


def test_a_cost_in_another_currency_is_not_booked(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.account.settlement_currency = "eur"
    outcome = stripe.authorize(order())
    assert isinstance(outcome, Approved)
    assert outcome.cost_minor == 0


# -- payers who must confirm


def test_a_payer_who_is_there_is_sent_to_the_bank(
    server: StripeServer, present: StripeConnector
) -> None:
    wanted = order(payment_method="pm_card_authenticationRequired")
    outcome = present.authorize(wanted)
    (intent,) = server.account.all("payment_intent")
    assert isinstance(outcome, RequiresAction)
    assert outcome.url == f"https://hooks.stripe.test/3d_secure/{intent['id']}"
    assert outcome.until == datetime.fromtimestamp(intent["created"], UTC) + timedelta(days=1)
    assert server.asked(CREATE)[0].params["return_url"] == RETURN_URL
    known = wanted.model_copy(update={"reference": outcome.reference})
    assert present.lookup(known) == outcome
    server.account.confirm(intent["id"])
    assert present.lookup(known) == Approved(reference=intent["id"], cost_minor=320)


def test_without_a_page_to_come_back_to_nobody_is_asked(stripe: StripeConnector) -> None:
    declined = stripe.authorize(order(payment_method="pm_card_authenticationRequired"))
    assert declined == Declined(
        failure_code="authentication_required", decline_code="authentication_required"
    )


def test_a_payer_who_never_confirms_is_given_up_after_a_day(
    server: StripeServer, present: StripeConnector
) -> None:
    name = paid(present, payment_method="pm_card_authenticationRequired")
    server.account.objects[name]["created"] -= DAY
    wanted = order(payment_method="pm_card_authenticationRequired", reference=name)
    assert present.lookup(wanted) == Declined(failure_code="authentication_expired")
    assert server.account.objects[name]["status"] == "canceled"
    assert present.lookup(wanted) == Declined(failure_code="authentication_expired")


def test_a_payer_who_confirms_at_the_last_moment_has_paid(
    server: StripeServer, present: StripeConnector
) -> None:
    name = paid(present, payment_method="pm_card_authenticationRequired")
    server.account.objects[name]["created"] -= DAY
    wanted = order(payment_method="pm_card_authenticationRequired", reference=name)
    cancel = server.account._cancel

    def meanwhile(*arguments: Any) -> Any:
        server.account.confirm(name)
        return cancel(*arguments)

    server.account._cancel = meanwhile  # type: ignore[method-assign,assignment]  # between look and cancel
    assert isinstance(present.lookup(wanted), Unknown)
    assert isinstance(present.lookup(wanted), Approved)


def test_an_action_without_a_page_is_for_a_person(
    server: StripeServer, present: StripeConnector
) -> None:
    name = paid(present, payment_method="pm_card_authenticationRequired")
    server.account.objects[name]["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    assert isinstance(present.lookup(order(reference=name)), Unknown)


def test_a_page_that_is_not_encrypted_is_not_shown(
    server: StripeServer, present: StripeConnector
) -> None:
    name = paid(present, payment_method="pm_card_authenticationRequired")
    action = server.account.objects[name]["next_action"]
    action["redirect_to_url"]["url"] = "javascript:alert(1)"
    assert isinstance(present.lookup(order(reference=name)), Unknown)


# -- bank debits


def test_a_bank_debit_is_pending_until_the_bank_has_decided(
    server: StripeServer, stripe: StripeConnector
) -> None:
    wanted = order(payment_method="pm_usBankAccount_success")
    outcome = stripe.authorize(wanted)
    (intent,) = server.account.all("payment_intent")
    assert outcome == Pending(reference=intent["id"], until=wanted.at + timedelta(hours=12))
    known = wanted.model_copy(update={"reference": intent["id"]})
    assert stripe.lookup(known) == outcome
    server.account.clear(intent["id"])
    assert isinstance(stripe.lookup(known), Approved)


def test_a_bank_debit_that_fails_is_declined(server: StripeServer, stripe: StripeConnector) -> None:
    name = paid(stripe, payment_method="pm_usBankAccount_success")
    server.account.clear(name, failure="insufficient_funds")
    found = stripe.lookup(order(reference=name))
    assert found == Declined(failure_code="insufficient_funds")


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


# -- keys


@pytest.mark.parametrize(("account", "key"), [("1001-test", TEST_KEY), ("1001-live", LIVE_KEY)])
def test_each_mode_has_its_key(
    server: StripeServer, stripe: StripeConnector, account: str, key: str
) -> None:
    assert isinstance(stripe.authorize(order(account=account)), Approved)
    assert {call.headers["Authorization"] for call in server.calls} == {f"Bearer {key}"}


@pytest.mark.parametrize(
    ("account", "secret"),
    [
        ("1001-test", {"test_key": LIVE_KEY, "live_key": LIVE_KEY}),
        ("1001-live", {"test_key": TEST_KEY, "live_key": TEST_KEY}),
        ("1001-test", {"live_key": LIVE_KEY}),
        ("1001-live", {"test_key": TEST_KEY}),
        ("1001-live", {"live_key": "", "test_key": ""}),
        ("1001-live", {"live_key": "None"}),
        ("1001-live", {"live_key": "pk_live_12345678"}),
        ("1001-live", {"live_key": f"{LIVE_KEY}\r\nX: y"}),
        ("1001", KEYS),
        ("1001-moon", {"moon_key": TEST_KEY}),
    ],
)
def test_no_account_uses_the_key_of_the_other_mode(
    server: StripeServer, account: str, secret: dict[str, str]
) -> None:
    stripe = StripeConnector(secret=lambda: secret, base=server.base)
    wanted = order(account=account)
    assert stripe.authorize(wanted) == invalid("no_key_for_this_mode")
    assert isinstance(stripe.lookup(wanted), Unknown)
    for operation in ("capture", "void", "refund", "contest", "concede"):
        again = order(operation, account=account, reference="pi_1")
        assert isinstance(carry_out(stripe, again, asked_before=False), Unknown)
        assert isinstance(stripe.lookup(again), Unknown)
    assert stripe.notices(datetime.now(UTC), account) == []
    assert server.calls == []


def test_a_secret_that_cannot_be_read_leaves_everything_open(server: StripeServer) -> None:
    def unreadable() -> dict[str, str]:
        raise RuntimeError("no")

    stripe = StripeConnector(secret=unreadable, base=server.base)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert stripe.notices(datetime.now(UTC)) == []
    assert server.calls == []


@pytest.mark.parametrize("operation", ["capture", "void", "refund", "contest", "concede"])
def test_without_a_reference_nothing_is_asked(
    server: StripeServer, stripe: StripeConnector, operation: Operation
) -> None:
    assert isinstance(operate(stripe, operation), Unknown)
    assert isinstance(stripe.lookup(order(operation)), Unknown)
    assert server.calls == []
