"""Stripe silent, slow, wrong or far away: nothing is raised, repeated, done twice or told."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from typing import Any

import pytest

from ivy.connectors import Approved, Declined, Missing, Operation, Unknown, carry_out, stripe_http
from ivy.connectors.stripe import TOTAL_SECONDS, StripeConnector
from tests.connectors.stripe_orders import KEYS, operate, order, paid
from tests.connectors.stripe_server import FAULTS, Fault, StripeServer

CREATE = "POST payment_intents"
DONE_ANYWAY = {"fail_after", "lose", "cut", "huge"}


# -- answers that say nothing


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_says_nothing_leaves_it_open_and_is_not_repeated(
    server: StripeServer, stripe: StripeConnector, fault: Fault
) -> None:
    server.misbehave(CREATE, fault)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert len(server.asked(CREATE)) == 1
    assert len(server.account.all("payment_intent")) == (fault in DONE_ANYWAY)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_left_open_is_done_exactly_once(
    server: StripeServer, stripe: StripeConnector, fault: Fault
) -> None:
    server.account.indexing = False
    server.misbehave(CREATE, fault)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert isinstance(carry_out(stripe, order(), asked_before=True), Approved)
    assert len(server.account.all("payment_intent")) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_that_cannot_be_looked_at_is_not_charged(
    server: StripeServer, stripe: StripeConnector, fault: Fault
) -> None:
    server.misbehave("GET payment_methods/.*", fault)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert server.asked("POST .*") == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", ["capture", "void", "refund", "contest", "concede"])
def test_every_other_operation_too(
    server: StripeServer, stripe: StripeConnector, operation: Operation, fault: Fault
) -> None:
    reference = paid(stripe, capture=operation not in ("capture", "void"))
    if operation in ("contest", "concede"):
        reference = server.account.dispute(reference)["id"]
    server.calls.clear()
    server.misbehave("POST .*", fault)
    wanted = order(operation, reference=reference, capture=False, evidence="x")
    assert isinstance(carry_out(stripe, wanted, asked_before=False), Unknown)
    assert len(server.calls) == 1
    if operation == "refund":
        assert len(server.account.all("refund")) == (fault in DONE_ANYWAY)
    assert isinstance(carry_out(stripe, wanted, asked_before=True), Approved)
    assert len(server.account.all("refund")) == (operation == "refund")


@pytest.mark.parametrize("fault", [*FAULTS, "tell"])
@pytest.mark.parametrize("operation", ["authorize", "capture", "refund", "contest"])
def test_a_look_up_without_an_answer_knows_nothing(
    server: StripeServer, stripe: StripeConnector, operation: Operation, fault: Fault
) -> None:
    reference = paid(stripe)
    if operation == "contest":
        reference = server.account.dispute(reference)["id"]
    server.misbehave("GET .*", fault)
    given = None if operation == "authorize" else reference
    assert isinstance(stripe.lookup(order(operation, reference=given)), Unknown)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_time_runs_out_however_slowly_bytes_arrive(server: StripeServer, fault: Fault) -> None:
    impatient = StripeConnector(secret=lambda: KEYS, base=server.base, seconds=0.4)
    server.misbehave(CREATE, fault)
    assert isinstance(impatient.authorize(order()), Unknown)


def test_a_slow_answer_that_arrives_in_time_is_good(server: StripeServer) -> None:
    patient = StripeConnector(secret=lambda: KEYS, base=server.base, seconds=30)
    server.misbehave(CREATE, "drip")
    assert isinstance(patient.authorize(order()), Approved)


def test_all_questions_of_one_operation_share_its_time(server: StripeServer) -> None:
    impatient = StripeConnector(secret=lambda: KEYS, base=server.base, seconds=0.4)
    server.misbehave("GET payment_methods/.*", "hang")
    assert isinstance(impatient.authorize(order()), Unknown)
    assert server.asked(CREATE) == []


def test_the_limits() -> None:
    assert stripe_http.CONNECT_SECONDS == 1
    assert TOTAL_SECONDS < 3.5
    with pytest.raises(TimeoutError):
        stripe_http.Clock(0).left()
    assert 0 < stripe_http.Clock(60).left() <= 60


def test_connecting_has_its_own_limit_for_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    class Unreachable(socket.socket):
        def connect(self, _address: Any) -> None:
            limits.append(self.gettimeout() or 0)
            raise TimeoutError

    monkeypatch.setattr(socket, "socket", Unreachable)
    stripe = StripeConnector(secret=lambda: KEYS, base="http://localhost:9", seconds=60)
    assert isinstance(stripe.authorize(order()), Unknown)
    assert limits
    assert all(0 < limit <= 1 for limit in limits)


def test_nobody_there() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{bound.getsockname()[1]}"
        alone = StripeConnector(secret=lambda: KEYS, base=base)
        assert isinstance(alone.authorize(order()), Unknown)
        assert isinstance(alone.lookup(order()), Unknown)
        assert alone.notices(datetime.now(UTC)) == []


def test_no_redirect_is_followed_with_the_key(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.misbehave(CREATE, "redirect")
    server.misbehave("GET payment_intents/search", "redirect")
    assert isinstance(stripe.authorize(order()), Unknown)
    assert isinstance(stripe.lookup(order()), Unknown)
    assert [call for call in server.calls if "elsewhere" in call.path] == []


# -- answers that are lost


def test_a_lost_answer_is_found_by_the_orders_key(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.misbehave(CREATE, "lose")
    assert isinstance(stripe.authorize(order()), Unknown)
    (intent,) = server.account.all("payment_intent")
    assert stripe.lookup(order()) == Approved(reference=intent["id"], cost_minor=320)
    assert len(server.asked(CREATE)) == 1


def test_before_the_search_knows_asking_again_makes_no_second_payment(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.account.indexing = False
    server.misbehave(CREATE, "lose")
    assert isinstance(stripe.authorize(order()), Unknown)
    assert stripe.lookup(order()) == Missing()
    again = carry_out(stripe, order(), asked_before=True)
    (intent,) = server.account.all("payment_intent")
    assert again == Approved(reference=intent["id"], cost_minor=320)


def test_after_a_day_the_search_knows_and_nothing_is_asked_again(
    server: StripeServer, stripe: StripeConnector
) -> None:
    server.account.indexing = False
    server.misbehave(CREATE, "lose")
    assert isinstance(stripe.authorize(order()), Unknown)
    server.account.forget_keys()
    server.account.index()
    assert isinstance(carry_out(stripe, order(), asked_before=True), Approved)
    assert len(server.account.all("payment_intent")) == 1


def test_a_decline_whose_answer_was_lost_is_found(
    server: StripeServer, stripe: StripeConnector
) -> None:
    wanted = order(payment_method="pm_card_chargeDeclined")
    server.misbehave(CREATE, "lose")
    assert isinstance(stripe.authorize(wanted), Unknown)
    assert stripe.lookup(wanted) == Declined(
        failure_code="card_declined", decline_code="generic_decline"
    )


def test_the_same_key_for_something_else_moves_nothing(
    server: StripeServer, stripe: StripeConnector
) -> None:
    assert isinstance(stripe.authorize(order()), Approved)
    assert isinstance(stripe.authorize(order(amount_minor=20_000)), Unknown)
    (intent,) = server.account.all("payment_intent")
    assert intent["amount"] == 10_000


def test_a_payment_of_another_amount_is_not_taken_for_it(stripe: StripeConnector) -> None:
    name = paid(stripe)
    for other in (order(amount_minor=1), order(currency="EUR")):
        assert isinstance(stripe.lookup(other), Unknown)
        assert isinstance(stripe.lookup(other.model_copy(update={"reference": name})), Unknown)
    assert isinstance(stripe.lookup(order()), Approved)


def test_two_payments_for_one_order_are_for_a_person(
    server: StripeServer, stripe: StripeConnector
) -> None:
    paid(stripe)
    server.account.forget_keys()
    paid(stripe)
    assert isinstance(stripe.lookup(order()), Unknown)


def test_a_key_with_quotes_is_searched_for_as_it_is(stripe: StripeConnector) -> None:
    name = paid(stripe, key="it's \\ 'odd'")
    found = stripe.lookup(order(key="it's \\ 'odd'"))
    assert found == Approved(reference=name, cost_minor=320)
    assert stripe.lookup(order(key="' OR amount>0 OR metadata['x']:'")) == Missing()


def test_a_payment_that_another_account_at_stripe_holds_is_not_missing(
    stripe: StripeConnector,
) -> None:
    assert isinstance(stripe.lookup(order(reference="pi_elsewhere")), Unknown)
    assert isinstance(operate(stripe, "capture", reference="pi_elsewhere"), Unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "requires_confirmation"},
        {"status": "from_the_future"},
        {"status": "requires_capture"},  # of one that takes the money at once
        {"status": "requires_payment_method", "last_payment_error": None},
        {"amount": "10000"},
        {"metadata": None},
        {"id": "pi_1/../../v1/customers"},
    ],
)
def test_a_payment_in_a_state_that_does_not_fit_is_for_a_person(
    server: StripeServer, stripe: StripeConnector, change: dict[str, Any]
) -> None:
    name = paid(stripe)
    server.account.objects[name].update(change)
    assert isinstance(stripe.lookup(order(reference=name)), Unknown)
