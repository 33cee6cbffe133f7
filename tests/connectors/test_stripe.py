"""What the Stripe connector asks, and how it reads the answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ivy.connectors import (
    Approved,
    Declined,
    Missing,
    Pending,
    RequiresAction,
    Unknown,
)
from ivy.connectors.stripe import OTHER_UNITS, StripeConnector
from ivy.money import currencies
from tests.connectors.stripe_account import CAPTURE_DAYS, DAY
from tests.connectors.stripe_orders import RETURN_URL, WRITTEN, invalid, order, paid
from tests.connectors.stripe_published import THREE_DECIMALS, ZERO_DECIMALS
from tests.connectors.stripe_server import StripeServer

CREATE = "POST payment_intents"


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
