"""Money that goes back is taken from, and returned to, where the charge's money would be now."""

from __future__ import annotations

from datetime import UTC, datetime, time

from tests.simulation.sandbox import Sandbox
from tests.simulation.shop import Shop

PENDING, AVAILABLE = 210, 220
RETURN_FEE = 400


def settle(here: Sandbox, charge: str) -> None:
    """Let the day come on which a charge's money becomes available, and no more."""
    (day,) = here.connection.execute(
        "SELECT available_on FROM charges WHERE id = %s", (charge.partition("_")[2],)
    ).fetchone() or (None,)
    assert day is not None
    if here.clock.at.date() < day:
        here.clock.set(datetime.combine(day, time(0, 30), UTC))
    here.settle()


def moved(here: Sandbox, source: str) -> dict[int, int]:
    """Return what an object's postings did to its merchant's accounts, money in positive."""
    rows = here.connection.execute(
        "SELECT account %% 1000, -sum(amount)::bigint FROM entries"
        " WHERE source = %s AND account %% 1000 IN (210, 220) GROUP BY 1",
        (source.partition("_")[2],),
    ).fetchall()
    return {code: amount for code, amount in rows if amount}


def test_a_refund_takes_from_pending_until_its_charge_is_settled(here: Sandbox) -> None:
    shop = Shop(here)
    charge = shop.charge()
    before = shop.refund(charge, amount=1_000).json()["id"]
    settle(here, charge)
    after = shop.refund(charge, amount=2_000).json()["id"]
    shop.work()
    assert moved(here, before) == {PENDING: -1_000}
    assert moved(here, after) == {AVAILABLE: -2_000}


def test_a_refund_that_fails_goes_to_where_the_money_would_be_by_then(here: Sandbox) -> None:
    shop = Shop(here)
    charge = shop.charge(payment_method="tok_refund_fails")
    refund = shop.refund(charge, amount=1_000).json()["id"]
    settle(here, charge)
    shop.work()
    assert shop.see(refund)["status"] == "failed"
    assert moved(here, refund) == {PENDING: -1_000, AVAILABLE: 1_000}


def test_a_bank_debit_that_comes_back_after_settlement_takes_from_available(here: Sandbox) -> None:
    shop = Shop(here)
    charge = shop.charge(payment_method="tok_ach_r01")
    shop.pass_time(days=5)
    shop.go_on()
    captured = moved(here, charge)
    settle(here, charge)
    shop.pass_time(days=5)
    shop.go_on()
    assert shop.see(charge)["failure_code"] == "bank_debit_returned"
    assert moved(here, charge) == captured | {AVAILABLE: -10_000 - RETURN_FEE}
