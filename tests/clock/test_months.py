"""Weeks on a test clock are the weeks that the schedules would have made of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from functions.ledger import roll_up
from functions.recoveries import debit, watch
from ivy import proof
from tests.clock.era import BANKING, Era
from tests.driving import LambdaContext
from tests.invariants.promises import i14_the_undecided_is_promised, i15_streams_have_no_gap

BEGIN = datetime(2026, 11, 24, 9, tzinfo=UTC)


def open_for_business(era: Era, *, reserve_days: int = 20) -> None:
    """Do everything that leaves something for later, at one moment."""
    era.set(reserve_basis_points=1_000, reserve_days=reserve_days)
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


def agree_on_payouts(era: Era) -> None:
    """Pay out by schedule: daily, to accounts of which some give back what they get."""
    era.set(payout_schedule="daily")
    era.linked("000123456789")
    era.linked("DE73370400440000000201")
    era.linked("GB69NWBK60161300000101")
    era.unverified("000123000003")  # which does not exist: its two amounts come back
    era.charge(currency="GBP", amount=4_300)
    era.work()


def prove(era: Era) -> None:
    connection = era.here.connection
    for law in proof.LAWS:
        if law.name == "L11":
            continue  # what comes back after it was paid out may be more than our fees
        found = connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name
    for invariant in (i14_the_undecided_is_promised, i15_streams_have_no_gap):
        assert invariant(connection) == []


def test_the_books_and_payouts_are_those_that_the_schedules_make(ada: Era) -> None:
    here = ada.here
    here.reset(BEGIN)
    agree_on_payouts(ada)
    open_for_business(ada, reserve_days=7)
    ada.live_through(days=14)
    lived, ours, came = ada.books(), ada.books(ours=True), ada.received()
    told = sorted(type_ for type_, _ in ada.events())
    became = ada.payouts()
    assert {"paid", "returned", "failed"} <= {status for status, *_ in became}
    assert {(currency, how) for currency, _, _, how in came} == {
        (currency, "exact") for currency in ("EUR", "GBP", "USD")
    }
    prove(ada)

    here.reset(BEGIN)
    agree_on_payouts(ada)
    open_for_business(ada, reserve_days=7)
    ada.go(days=14)
    assert ada.payouts() == became
    assert (ada.books(), ada.books(ours=True), ada.received()) == (lived, ours, came)
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


@pytest.mark.parametrize(
    "point",
    [
        *("clock.bank.after_paid", "clock.bank.after_submit", "clock.bank.after_work"),
        "bank.receive.after_move",
    ],
)
def test_whoever_dies_with_files_in_hand_holds_up_nothing(ada: Era, point: str) -> None:
    here = ada.here
    here.reset(BEGIN)
    account = ada.linked("000123000002")
    ada.charge()
    ada.work()
    ada.go(days=3)
    ada.withdraw(account, 1_000)
    with here.dying_at(point) as died:
        ada.advance(days=6)
        ada.arrive(forgiving=True)
    assert died == [point]
    assert ada.payouts() == [("returned", "USD", 1_000, "2026-11-30")]
    assert ada.received() == [("USD", 9_820, "2026-11-27", "exact")]
    prove(ada)


@pytest.mark.parametrize(
    "point", ["bank.acquirer.after_commit", "bank.acquirer.after_told", "clock.bank.after_paid"]
)
def test_whoever_dies_while_the_acquirer_pays_holds_up_nothing(ada: Era, point: str) -> None:
    ada.here.reset(BEGIN)
    ada.charge()
    ada.work()
    with ada.here.dying_at(point) as died:
        ada.advance(days=6)
        ada.arrive(forgiving=True)
    assert died == [point]
    assert ada.received() == [("USD", 9_820, "2026-11-27", "exact")]
    prove(ada)


def test_the_bank_goes_by_each_merchants_clock(ada: Era, bob: Era) -> None:
    ada.here.reset(BEGIN)
    for era in (ada, bob):
        account = era.linked("000123456789")
        era.charge()
        era.work()
        era.go(days=3)
        era.withdraw(account, 1_000)
    for job in BANKING:  # the schedules find both, and send each a file of its own time
        ada.here.run(job)
        ada.arrive()
    assert ada.payouts() == bob.payouts() == [("in_transit", "USD", 1_000, "2026-11-30")]
    ada.go(days=3)
    for job in BANKING:  # and take in whatever has been put for anybody
        ada.here.run(job)
        ada.arrive()
    assert ada.payouts() == [("paid", "USD", 1_000, "2026-11-30")]
    assert bob.payouts() == [("in_transit", "USD", 1_000, "2026-11-30")]
    bob.go(days=3)
    assert bob.payouts() == ada.payouts()


def test_the_acquirer_pays_by_each_merchants_clock(ada: Era, bob: Era) -> None:
    ada.here.reset(BEGIN)
    for era in (ada, bob):
        era.charge()
        era.work()
    ada.go(days=3)
    for job in BANKING:
        ada.here.run(job)
        ada.arrive()
    paid = [("USD", 9_820, "2026-11-27", "exact")]
    assert (ada.received(), bob.received()) == (paid, [])
    bob.go(days=3)
    assert (ada.received(), bob.received()) == (paid, paid)
    prove(ada)


def test_an_account_hears_of_its_deposits_by_its_merchants_clock(ada: Era, bob: Era) -> None:
    ada.here.reset(BEGIN)
    mine, theirs = (era.unverified("000123000003") for era in (ada, bob))
    ada.go(days=1)
    sent = ada.bank_account(mine)
    assert sent["verification"]["deposits_arrive_on"] == "2026-11-25"
    ada.go(days=5)
    told = [type_ for type_, _ in ada.events() if type_.startswith("bank_account.")]
    assert told == [
        f"bank_account.{each}" for each in ("created", "deposits_sent", "verification_failed")
    ]
    assert bob.bank_account(theirs)["version"] == 1
    prove(ada)
    bob.go(days=6)
    assert bob.bank_account(theirs)["failure_code"] == "no_account"
    prove(bob)


def debited(era: Era, number: str) -> None:
    """Let a merchant owe, and ask for a debit of an account of its."""
    execute = era.here.connection.execute
    execute("UPDATE merchants SET debit_mandate = 'IVY-1', debit_mandate_signed_on = '2026-11-02'")
    era.set(recovery_days=0)
    era.linked(number)
    era.accept(era.disputed())
    era.work()
    for job in (roll_up.handler, watch.handler):
        era.here.run(job)
    ((recovery,),) = execute(
        "SELECT 'rcv_' || replace(id::text, '-', '') FROM recoveries WHERE merchant_id = %s",
        (era.account.merchant_id,),
    ).fetchall()
    era.here.platform.enter(debit.handler.needs)
    named = {"account": f"{era.account.merchant_id}-test", "recovery": recovery}
    made = debit.handler(named | {"by": "grace", "reason": "agreed"}, LambdaContext())
    assert made["status"] == "pending", made


def test_a_debit_goes_and_comes_back_by_its_merchants_clock(ada: Era, bob: Era) -> None:
    ada.here.reset(BEGIN)
    debited(ada, "000123000002")
    debited(bob, "000123456789")
    ada.go(days=1)
    told = [type_ for type_, _ in ada.events() if type_.startswith("recovery_debit.")]
    assert told == [f"recovery_debit.{each}" for each in ("created", "in_transit", "collected")]
    assert [t for t, _ in bob.events() if t.startswith("recovery_debit.")] == told[:1]
    ada.go(days=4)
    assert ("recovery_debit.returned", "2026-11-27") in [
        (type_, f"{at:%Y-%m-%d}") for type_, at in ada.events()
    ]
    prove(ada)
    bob.go(days=7)
    assert [t for t, _ in bob.events() if t.startswith("recovery_debit.")] == told
    prove(bob)
    for job in BANKING:
        ada.here.run(job)
        ada.arrive()
    assert ada.here.connection.execute(
        "SELECT count(*) FROM suspense_items WHERE resolved_at IS NULL"
    ).fetchone() == (0,)


@pytest.mark.parametrize("point", ["clock.bank.after_submit", "bank.receive.after_move"])
def test_whoever_dies_over_a_debit_holds_up_nothing(ada: Era, point: str) -> None:
    ada.here.reset(BEGIN)
    debited(ada, "000123000002")
    with ada.here.dying_at(point) as died:
        ada.advance(days=7)
        ada.arrive(forgiving=True)
    assert died == [point]
    assert ada.here.connection.execute("SELECT status FROM recovery_debits").fetchall() == [
        ("returned",)
    ]
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
