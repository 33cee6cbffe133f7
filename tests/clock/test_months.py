"""A month on a test clock is the month that the schedules would have made of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ivy import proof
from tests.clock.era import Era
from tests.invariants.promises import i14_the_undecided_is_promised, i15_streams_have_no_gap

BEGIN = datetime(2026, 11, 24, 9, tzinfo=UTC)


def open_for_business(era: Era) -> None:
    """Do everything that leaves something for later, at one moment."""
    era.set(reserve_basis_points=1_000, reserve_days=20)
    era.charge()
    era.charge(currency="EUR", amount=7_700)
    refunded = era.charge(amount=5_000)
    assert era.refund(refunded, amount=1_200).status == 201
    era.work()
    era.charge(payment_method="tok_ach", amount=30_000)
    era.charge(payment_method="tok_ach_r01", amount=20_000)
    era.charge(payment_method="tok_ach_declined", amount=400)
    era.charge(payment_method="tok_requires_action", amount=900)
    era.authorized(amount=6_000)
    kept = era.authorized(amount=8_000)
    assert era.capture(kept, amount=2_500).status == 200
    era.work()
    era.charge(payment_method="tok_dispute", amount=11_000)


def prove(era: Era) -> None:
    connection = era.here.connection
    for law in proof.LAWS:
        found = connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name
    for invariant in (i14_the_undecided_is_promised, i15_streams_have_no_gap):
        assert invariant(connection) == []


def test_the_books_are_those_that_the_schedules_make(ada: Era) -> None:
    here = ada.here
    here.reset(BEGIN)
    open_for_business(ada)
    ada.live_through(days=30)
    lived = ada.books()
    told = sorted(type_ for type_, _ in ada.events())
    prove(ada)

    here.reset(BEGIN)
    open_for_business(ada)
    ada.go(days=30)
    assert ada.books() == lived
    assert sorted(t for t, _ in ada.events() if not t.startswith("test_clock.")) == told
    assert here.clock.at == BEGIN
    prove(ada)


def test_everything_happens_in_its_order_and_others_do_not_notice(ada: Era, bob: Era) -> None:
    here = ada.here
    here.reset(BEGIN)
    for era in (ada, bob):
        open_for_business(era)
    before = bob.books()
    ada.go(days=30)

    told = ada.events()
    times = [at for _, at in told]
    assert times == sorted(times)
    later = [(type_, at - BEGIN) for type_, at in told if at > BEGIN]
    days = [(type_, gone.days) for type_, gone in later]
    for expected in (
        ("charge.succeeded", 3), ("charge.failed", 7), ("charge.expired", 7),
        ("settlement.closed", 2), ("reserve.held", 2), ("reserve.released", 22),
        ("test_clock.ready", 30),
    ):  # fmt: skip
        assert expected in days, days
    assert told[-1] == ("test_clock.ready", BEGIN + timedelta(days=30))
    assert bob.books() == before
    assert bob.clock()["now"] == "2026-11-24T09:00:00.000Z"
    assert {at for _, at in bob.events()} == {BEGIN}
    prove(ada)


@pytest.mark.parametrize("days", [1, 7])
def test_small_steps_lead_where_a_large_one_does(ada: Era, days: int) -> None:
    ada.here.reset(BEGIN)
    open_for_business(ada)
    ada.go(days=28)
    at_once = ada.books()
    ada.here.reset(BEGIN)
    open_for_business(ada)
    for _ in range(28 // days):
        ada.go(days=days)
    assert ada.books() == at_once
