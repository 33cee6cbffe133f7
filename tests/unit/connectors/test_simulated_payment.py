"""What the simulated acquirer makes of orders and of time, without its table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy.connectors import (
    Approved,
    Declined,
    DisputeClosed,
    DisputeOpened,
    Operation,
    Order,
    Outcome,
    PaymentReturned,
    Pending,
    RequiresAction,
)
from ivy.connectors.simulated_orders import MAX_ORDERS, obeyed, unknown
from ivy.connectors.simulated_payment import (
    PAYMENT,
    Payment,
    acknowledged,
    answered,
    business_days_after,
    happened,
    passed,
)
from ivy.connectors.tokens import TEST_TOKENS

CHARGE = UUID("019ab2c4d5e67f8091a2b3c4d5e6f708")
TUESDAY = datetime(2026, 11, 24, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DISPUTE = f"sim_dp_{CHARGE.hex}"


def order(operation: Operation, method: str = "tok_visa", **fields: Any) -> Order:
    usual = {
        "key": operation,
        "account": "1001-test",
        "charge": CHARGE,
        "amount_minor": 10_000,
        "currency": "USD",
        "payment_method": method,
        "at": TUESDAY,
    }
    return Order(operation=operation, **usual | fields)


def after(*orders: Order) -> Payment:
    payment = unknown(orders[0])
    for each in orders:
        payment = obeyed(payment, each)
    return payment


def outcome(*orders: Order) -> Outcome:
    """What the last of some orders was told."""
    return after(*orders).outcomes[orders[-1].key]


def code(*orders: Order) -> str:
    found = outcome(*orders)
    assert isinstance(found, Declined), found
    return found.failure_code


AUTHORIZE = order("authorize", capture=False)
CHARGE_AT_ONCE = order("authorize")
REFUND = order("refund", amount_minor=4_000)


# -- authorise, capture, void, refund


def test_charging_at_once_costs_the_acquirers_share() -> None:
    payment = after(CHARGE_AT_ONCE)
    assert payment.outcomes["authorize"] == Approved(reference=payment.reference, cost_minor=180)
    assert (payment.state, payment.captured_minor, payment.released_minor) == (
        "captured",
        10_000,
        0,
    )


@pytest.mark.parametrize(
    ("currency", "amount_minor", "cost_minor"),
    [
        ("USD", 10_000, 180),
        ("USD", 33, 30),
        ("USD", 34, 31),
        ("JPY", 10_000, 180),
        ("KWD", 10_000, 450),
    ],
)
def test_the_cost_is_rounded_half_up_in_the_currencys_units(
    currency: str, amount_minor: int, cost_minor: int
) -> None:
    found = outcome(order("authorize", currency=currency, amount_minor=amount_minor))
    assert isinstance(found, Approved)
    assert found.cost_minor == cost_minor


def test_an_authorisation_is_captured_in_part_and_the_rest_released() -> None:
    assert outcome(AUTHORIZE) == Approved(
        reference=f"sim_{CHARGE.hex}", expires_at=TUESDAY + 7 * DAY
    )
    payment = after(AUTHORIZE, order("capture", amount_minor=6_000))
    assert payment.outcomes["capture"] == Approved(reference=payment.reference, cost_minor=120)
    assert (payment.captured_minor, payment.released_minor) == (6_000, 4_000)


@pytest.mark.parametrize(
    ("orders", "refused"),
    [
        ((order("capture"),), "payment_not_authorized"),
        ((order("refund"),), "payment_not_captured"),
        ((AUTHORIZE, order("capture", amount_minor=10_001)), "capture_exceeds_authorization"),
        ((AUTHORIZE, order("capture", at=TUESDAY + 7 * DAY)), "authorization_expired"),
        ((AUTHORIZE, order("capture"), order("capture", key="again")), "already_captured"),
        ((AUTHORIZE, order("void"), order("capture")), "authorization_released"),
        ((AUTHORIZE, order("void"), order("void", key="again")), "authorization_released"),
        ((AUTHORIZE, order("authorize", key="again")), "already_authorized"),
        ((AUTHORIZE, order("capture", currency="EUR")), "currency_mismatch"),
        ((AUTHORIZE, order("capture", amount_minor=0)), "amount_invalid"),
        ((CHARGE_AT_ONCE, order("void")), "already_captured"),
        ((CHARGE_AT_ONCE, order("refund", amount_minor=10_001)), "refund_exceeds_payment"),
        ((CHARGE_AT_ONCE, order("contest")), "dispute_missing"),
        ((order("authorize", "tok_ach", capture=False),), "capture_required"),
        ((order("authorize", "tok_ach"), order("capture")), "payment_not_authorized"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    orders: tuple[Order, ...], refused: str
) -> None:
    before = after(*orders[:-1]) if orders[1:] else unknown(orders[0])
    assert code(*orders) == refused
    later = after(*orders)
    kept = ("state", "captured_minor", "released_minor", "refunded_minor", "ahead")
    assert [getattr(later, name) for name in kept] == [getattr(before, name) for name in kept]


def test_a_void_that_overtakes_its_authorisation_stops_it() -> None:
    assert isinstance(outcome(order("void")), Approved)
    assert code(order("void"), CHARGE_AT_ONCE) == "authorization_released"


def test_a_lapsed_authorisation_can_be_voided() -> None:
    assert isinstance(outcome(AUTHORIZE, order("void", at=TUESDAY + 8 * DAY)), Approved)


def test_refunds_up_to_what_was_captured() -> None:
    assert isinstance(outcome(CHARGE_AT_ONCE, REFUND), Approved)
    rest = order("refund", key="rest", amount_minor=6_000)
    payment = after(CHARGE_AT_ONCE, REFUND, rest)
    references = {payment.outcomes[key].reference for key in ("authorize", "refund", "rest")}  # type: ignore[union-attr]  # approved, as the next line shows
    assert len(references) == 3
    assert payment.refunded_minor == 10_000
    assert code(CHARGE_AT_ONCE, REFUND, rest, order("refund", key="x", amount_minor=1)) == (
        "refund_exceeds_payment"
    )


def test_the_same_key_is_done_once() -> None:
    assert after(CHARGE_AT_ONCE, REFUND, REFUND, CHARGE_AT_ONCE) == after(CHARGE_AT_ONCE, REFUND)


def test_a_payment_remembers_so_many_orders() -> None:
    payment = after(*(order("capture", key=str(number)) for number in range(MAX_ORDERS)))
    assert obeyed(payment, order("capture", key="one more")) == payment
    size = len(PAYMENT.dump_json(payment))
    assert size < 300_000  # an item of the store holds 400 KB


# -- tokens


@pytest.mark.parametrize(
    ("token", "failure_code", "decline_code"),
    [
        ("tok_declined", "card_declined", "generic_decline"),
        ("tok_insufficient_funds", "card_declined", "insufficient_funds"),
        ("tok_expired_card", "expired_card", "expired_card"),
        ("tok_processing_error", "processing_error", None),
        ("tok_capture_declined", "card_declined", "generic_decline"),
    ],
)
def test_tokens_that_are_declined(token: str, failure_code: str, decline_code: str | None) -> None:
    found = outcome(order("authorize", token))
    assert found == Declined(failure_code=failure_code, decline_code=decline_code)


def test_every_token_is_known() -> None:
    waiting = {"tok_requires_action", "tok_ach", "tok_ach_declined", "tok_ach_r01"}
    declined = {
        *("tok_declined", "tok_insufficient_funds", "tok_expired_card", "tok_processing_error"),
        "tok_capture_declined",
    }
    for token in TEST_TOKENS:
        state = after(order("authorize", token)).state
        expected = "waiting" if token in waiting else "new" if token in declined else "captured"
        assert state == expected, token


def test_a_capture_that_is_declined_leaves_the_authorisation() -> None:
    held = order("authorize", "tok_capture_declined", capture=False)
    capture = order("capture", "tok_capture_declined")
    assert code(held, capture) == "card_declined"
    assert after(held, capture).state == "authorized"


def test_refunds_that_fail() -> None:
    paid = order("authorize", "tok_refund_fails")
    assert code(paid, order("refund", "tok_refund_fails")) == "expired_or_canceled_card"
    assert after(paid, order("refund", "tok_refund_fails")).refunded_minor == 0


# -- the payer


CHALLENGED = order("authorize", "tok_requires_action")


def test_the_payer_is_asked_and_has_an_hour() -> None:
    payment = after(CHALLENGED)
    assert payment.outcomes["authorize"] == RequiresAction(
        reference=payment.reference,
        url=f"/v1/simulator/challenges/{payment.reference}",
        until=TUESDAY + HOUR,
    )
    waiting = passed(payment, TUESDAY + HOUR - MINUTE)
    assert waiting == payment
    late = passed(payment, TUESDAY + HOUR)
    assert late.outcomes["authorize"] == Declined(failure_code="authentication_expired")
    assert answered(payment, TUESDAY + HOUR, approve=True) == late


def test_the_payers_first_answer_counts() -> None:
    approved = answered(after(CHALLENGED), TUESDAY + MINUTE, approve=True)
    assert isinstance(approved.outcomes["authorize"], Approved)
    assert approved.captured_minor == 10_000
    assert answered(approved, TUESDAY + MINUTE, approve=False) == approved
    declined = answered(after(CHALLENGED), TUESDAY + MINUTE, approve=False)
    assert declined.outcomes["authorize"] == Declined(failure_code="authentication_failed")
    assert answered(declined, TUESDAY + MINUTE, approve=True) == declined


def test_a_confirmed_authorisation_is_held_for_seven_days() -> None:
    held = after(order("authorize", "tok_requires_action", capture=False))
    found = answered(held, TUESDAY + MINUTE, approve=True).outcomes["authorize"]
    assert found == Approved(reference=held.reference, expires_at=TUESDAY + 7 * DAY)


def test_what_waits_can_be_voided_for_good() -> None:
    payment = after(CHALLENGED, order("void"))
    assert payment.outcomes["authorize"] == Declined(failure_code="authorization_released")
    assert answered(payment, TUESDAY + MINUTE, approve=True) == payment


# -- bank debits


@pytest.mark.parametrize(
    ("start", "count", "end"),
    [
        (datetime(2026, 11, 24, 10, tzinfo=UTC), 3, datetime(2026, 11, 27, 10, tzinfo=UTC)),
        (datetime(2026, 11, 26, 10, tzinfo=UTC), 3, datetime(2026, 12, 1, 10, tzinfo=UTC)),
        (datetime(2026, 11, 28, 10, tzinfo=UTC), 1, datetime(2026, 11, 30, 10, tzinfo=UTC)),
    ],
)
def test_business_days(start: datetime, count: int, end: datetime) -> None:
    assert business_days_after(start, count) == end


def test_a_bank_debit_takes_three_business_days() -> None:
    payment = after(order("authorize", "tok_ach"))
    assert payment.outcomes["authorize"] == Pending(
        reference=payment.reference, until=TUESDAY + 3 * DAY
    )
    assert passed(payment, TUESDAY + 3 * DAY - MINUTE) == payment
    done = passed(payment, TUESDAY + 3 * DAY)
    assert done.outcomes["authorize"] == Approved(reference=payment.reference, cost_minor=180)


def test_a_bank_debit_is_refused_after_three_business_days() -> None:
    payment = passed(after(order("authorize", "tok_ach_declined")), TUESDAY + 3 * DAY)
    assert payment.outcomes["authorize"] == Declined(
        failure_code="bank_declined", decline_code="R03"
    )
    assert payment.captured_minor == 0


def test_a_bank_debit_comes_back_two_business_days_later() -> None:
    payment = after(order("authorize", "tok_ach_r01"))
    assert payment.due == datetime(2026, 12, 1, 10, tzinfo=UTC)  # Friday, then Tuesday
    assert happened(payment, payment.due - MINUTE).notices == ()
    returned = happened(payment, payment.due)
    assert isinstance(returned.outcomes["authorize"], Approved)
    (notice,) = returned.notices
    assert isinstance(notice, PaymentReturned)
    assert (notice.code, notice.account, notice.charge) == ("R01", "1001-test", CHARGE)
    refused = obeyed(returned, order("refund", "tok_ach_r01")).outcomes["refund"]
    assert refused == Declined(failure_code="payment_returned")


def test_a_voided_bank_debit_does_not_come_back() -> None:
    payment = after(order("authorize", "tok_ach_r01"), order("void", "tok_ach_r01"))
    assert happened(payment, TUESDAY + 30 * DAY).notices == ()


# -- disputes


def disputed(*orders: Order, method: str = "tok_dispute") -> Payment:
    return happened(after(order("authorize", method), *orders), TUESDAY + MINUTE)


def test_a_dispute_is_about_what_was_not_refunded() -> None:
    payment = disputed(order("refund", "tok_dispute", amount_minor=4_000))
    (opened,) = payment.notices
    assert isinstance(opened, DisputeOpened)
    assert (opened.amount_minor, opened.reason, opened.dispute) == (6_000, "fraudulent", DISPUTE)
    assert opened.evidence_due_by == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    again = order("refund", "tok_dispute", key="again", amount_minor=1)
    assert obeyed(payment, again).outcomes["again"] == Declined(failure_code="charge_disputed")


def test_what_is_refunded_in_full_is_not_disputed() -> None:
    payment = disputed(order("refund", "tok_dispute"))
    assert (payment.notices, payment.dispute, payment.due) == ((), None, None)


def test_a_dispute_opens_once_until_it_is_acknowledged() -> None:
    payment = disputed()
    assert happened(payment, TUESDAY + HOUR) == payment
    heard = acknowledged(payment, payment.notices[0].id)
    assert happened(heard, TUESDAY + HOUR).notices == ()


@pytest.mark.parametrize(
    ("evidence", "won"), [("… winning_evidence …", True), ("a receipt", False)]
)
def test_evidence_decides_a_minute_later(evidence: str, won: bool) -> None:
    at = TUESDAY + DAY
    payment = obeyed(disputed(), order("contest", evidence=evidence, reference=DISPUTE, at=at))
    assert payment.outcomes["contest"] == Approved(reference=DISPUTE)
    decided = happened(payment, at + MINUTE)
    closed = decided.notices[-1]
    assert isinstance(closed, DisputeClosed)
    assert (closed.won, closed.at) == (won, at + MINUTE)
    refund = obeyed(decided, order("refund", at=at + HOUR)).outcomes["refund"]
    assert isinstance(refund, Approved if won else Declined)
    assert happened(decided, TUESDAY + 30 * DAY) == decided


def test_silence_loses_at_the_deadline() -> None:
    due_by = datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    assert len(happened(disputed(), due_by - MINUTE).notices) == 1
    decided = happened(disputed(), due_by)
    closed = decided.notices[-1]
    assert isinstance(closed, DisputeClosed)
    assert (closed.won, closed.at) == (False, due_by)
    late = order("contest", evidence="winning_evidence", at=due_by + MINUTE)
    assert obeyed(decided, late).outcomes["contest"] == Declined(failure_code="dispute_not_open")


def test_evidence_after_the_deadline_is_refused_though_nobody_has_collected_the_loss() -> None:
    late = order("contest", evidence="winning_evidence", at=TUESDAY + 8 * DAY)
    assert obeyed(disputed(), late).outcomes["contest"] == Declined(failure_code="dispute_not_open")


def test_a_conceded_dispute_is_over_without_a_notice() -> None:
    payment = obeyed(disputed(), order("concede", reference=DISPUTE))
    assert payment.outcomes["concede"] == Approved(reference=DISPUTE)
    assert [type(n) for n in happened(payment, TUESDAY + 30 * DAY).notices] == [DisputeOpened]
    contest = obeyed(payment, order("contest")).outcomes["contest"]
    assert contest == Declined(failure_code="dispute_not_open")


def test_evidence_is_handed_in_once() -> None:
    contested = obeyed(disputed(), order("contest"))
    again = obeyed(contested, order("contest", key="again", evidence="winning_evidence"))
    assert again.outcomes["again"] == Declined(failure_code="dispute_not_open")
    concede = obeyed(contested, order("concede")).outcomes["concede"]
    assert concede == Declined(failure_code="dispute_not_open")


def test_another_dispute_of_the_same_charge_is_nobodys() -> None:
    wrong = order("contest", reference="sim_dp_other")
    assert obeyed(disputed(), wrong).outcomes["contest"] == Declined(failure_code="dispute_missing")


def test_the_same_dispute_told_twice() -> None:
    first, second = disputed(method="tok_dispute_twice").notices
    assert isinstance(first, DisputeOpened)
    assert first.id != second.id
    assert first.model_copy(update={"id": second.id}) == second


# -- any sequence at all

KEYS = "abcdefghijkl"
FOLLOWING: list[Operation] = ["capture", "refund", "contest", "concede", "void", "authorize"]
ORDERS = st.builds(
    order,
    st.sampled_from(["capture", "refund", "refund", *FOLLOWING]),
    key=st.sampled_from(KEYS),
    amount_minor=st.sampled_from([4_000, 6_000, 10_000, 1, 10_001, 0]),
    currency=st.sampled_from(["USD"] * 5 + ["EUR"]),
    capture=st.booleans(),
    evidence=st.sampled_from([None, "winning_evidence"]),
)
MOMENTS = st.integers(0, 40).map(lambda quarters: TUESDAY + 6 * quarters * HOUR)
STEPS = st.one_of(
    ORDERS, ORDERS, st.sampled_from(["happen", "heard", "pass", "approve", "decline"])
)
TOKENS = ["tok_visa", "tok_dispute", "tok_dispute_twice", *sorted(TEST_TOKENS)]
FINAL = (Approved, Declined)


def step(payment: Payment, what: Order | str, at: datetime, token: str) -> Payment:
    if isinstance(what, Order):
        return obeyed(payment, what.model_copy(update={"at": at, "payment_method": token}))
    if what == "happen":
        return happened(payment, at)
    if what == "heard":
        return acknowledged(payment, payment.notices[0].id) if payment.notices else payment
    if what == "pass":
        return passed(payment, at)
    return answered(payment, at, approve=what == "approve")


@settings(max_examples=500, deadline=None)
@given(
    token=st.sampled_from(TOKENS),
    takes=st.booleans(),
    steps=st.lists(st.tuples(STEPS, MOMENTS), min_size=2, max_size=25),
)
def test_no_sequence_of_orders_and_times_makes_or_loses_money(
    token: str, takes: bool, steps: list[tuple[Order | str, datetime]]
) -> None:
    payment = unknown(order("authorize", token))
    steps.insert(steps[0][1].hour % 2, (order("authorize", key="first", capture=takes), TUESDAY))
    asked: dict[str, Order] = {}
    told: set[str] = set()
    for what, at in steps:
        before, payment = payment, step(payment, what, at, token)
        if isinstance(what, Order):
            asked.setdefault(what.key, what)
        for key, was in before.outcomes.items():
            assert payment.outcomes[key] == was or not isinstance(was, FINAL), key
        new = [notice.id for notice in payment.notices if notice not in before.notices]
        assert not told & set(new), "a notice came back"
        told |= set(new)
        assert PAYMENT.validate_json(PAYMENT.dump_json(payment)) == payment
        balanced(payment, asked)


def balanced(payment: Payment, asked: dict[str, Order]) -> None:
    assert payment.captured_minor + payment.released_minor <= payment.amount_minor
    assert payment.released_minor >= 0
    assert payment.refunded_minor + payment.disputed_minor <= payment.captured_minor
    done = [asked[key] for key, was in payment.outcomes.items() if isinstance(was, Approved)]
    taken = [
        o for o in done if o.operation == "capture" or (o.operation == "authorize" and o.capture)
    ]
    assert len(taken) == (payment.captured_minor > 0)
    assert sum(o.amount_minor for o in taken) == payment.captured_minor
    refunds = sum(o.amount_minor for o in done if o.operation == "refund")
    assert refunds == payment.refunded_minor
    if payment.state == "released":
        assert payment.captured_minor == 0
