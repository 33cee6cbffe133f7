"""Settlement: each day's charges become available in one batch, once, and in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.merchants import update as update_merchant
from functions.settlements import get
from ivy import proof, settlement_run
from tests.settlement.till import Till

FEE = 320
RETURN_FEE = 400


@pytest.fixture(autouse=True)
def _proven(till: Till) -> Iterator[None]:
    """Whatever a test did, the books keep every law."""
    yield
    for law in proof.LAWS:
        found = till.here.connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name


def test_a_day_moves_from_pending_to_available(till: Till) -> None:
    charge = till.charge()
    assert till.see(charge)["available_on"] == "2026-11-27"  # Thanksgiving is in between
    assert till.close("2026-11-26 23:59") == []
    assert till.balance() == (10_000 - FEE, 0, 0)

    (batch,) = till.close("2026-11-27 00:00")
    assert till.balance() == (0, 10_000 - FEE, 0)
    assert batch["settled_on"] == "2026-11-27"
    assert (batch["status"], batch["charge_count"]) == ("closed", 1)
    assert batch["totals"] == {
        "charges": 10_000, "fees": FEE, "refunds": 0, "returns": 0,
        "net": 9_680, "reserved": 0, "available": 9_680,
    }  # fmt: skip
    closed, ready = till.told("settlement")
    assert [closed["type"], ready["type"]] == ["settlement.closed", "settlement.report_ready"]
    assert closed["data"] == batch | {"report": None, "version": 1}
    assert ready["data"] == batch
    assert {each["account"]: each["amount"] for each in closed["balance_changes"]} == {
        "pending": -9_680, "available": 9_680,
    }  # fmt: skip


def test_a_second_run_finds_nothing_to_do(till: Till) -> None:
    till.charge()
    first = till.close("2026-11-27 00:05")
    assert till.close("2026-11-27 01:05") == first
    assert till.close("2026-12-24 01:05") == first
    assert len(till.told("settlement")) == 2  # closed, and its report is ready


def test_missed_days_are_caught_up_in_order(till: Till) -> None:
    for day in ("23", "24", "25", "30"):
        till.be(f"2026-11-{day} 12:00")
        till.charge()
    batches = till.close("2026-12-10 00:05")
    days = ["2026-11-25", "2026-11-27", "2026-11-30", "2026-12-02"]
    assert [each["settled_on"] for each in batches] == days
    closed = [each for each in till.told("settlement") if each["type"] == "settlement.closed"]
    assert [each["data"]["settled_on"] for each in closed] == days


def test_what_went_back_before_the_day_is_not_settled(till: Till) -> None:
    refunded, pending, failed = (
        till.charge(payment_method=token) for token in ("tok_visa", "tok_visa", "tok_refund_fails")
    )
    till.refund(refunded, amount=2_000)
    till.refund(failed, amount=500)
    till.work()
    till.refund(pending, amount=700)  # accepted, and not confirmed yet
    (batch,) = till.close("2026-11-27 00:05")
    assert batch["totals"]["refunds"] == 2_700
    assert batch["totals"]["net"] == 3 * (10_000 - FEE) - 2_700
    till.work()
    assert till.balance()[:2] == (0, batch["totals"]["net"])


def test_a_debit_that_came_back_leaves_its_fees(till: Till) -> None:
    charge = till.charge(payment_method="tok_ach_r01")
    till.be("2026-11-30 09:00")
    till.go_on()
    assert till.see(charge)["status"] == "succeeded"
    till.here.connection.execute("UPDATE charges SET available_on = '2026-12-20'")
    till.be("2026-12-08 09:00")
    till.go_on()
    assert till.see(charge)["status"] == "failed"
    (batch,) = till.close("2026-12-20 00:05")
    fee = till.see(charge)["fee"]
    assert batch["totals"]["returns"] == 10_000 + RETURN_FEE
    assert batch["totals"]["net"] == -fee - RETURN_FEE
    assert till.balance() == (0, -fee - RETURN_FEE, 0)


def test_a_batch_can_come_to_nothing(till: Till) -> None:
    till.refund(till.charge(), amount=10_000 - FEE)
    till.work()
    (batch,) = till.close("2026-11-27 00:05")
    assert (batch["totals"]["net"], batch["ledger_transaction"]) == (0, None)
    told = [each["type"] for each in till.told("settlement")]
    assert told == ["settlement.closed", "settlement.report_ready"]


def test_a_share_of_the_charges_is_held_and_released(till: Till) -> None:
    till.set(reserve_basis_points=1_000, reserve_days=30)
    till.charge()
    (batch,) = till.close("2026-11-27 00:05")
    assert (batch["totals"]["reserved"], batch["totals"]["available"]) == (1_000, 8_680)
    assert till.balance() == (0, 8_680, 1_000)
    till.close("2026-12-26 23:59")
    assert till.balance() == (0, 8_680, 1_000)
    till.close("2026-12-27 00:05")
    till.close("2026-12-27 01:05")
    assert till.balance() == (0, 9_680, 0)
    held, released = till.told("reserve")
    assert (held["type"], released["type"]) == ("reserve.held", "reserve.released")
    assert (held["data"]["amount"], held["data"]["release_on"]) == (1_000, "2026-12-27")


def test_a_reserve_is_never_more_than_there_is(till: Till) -> None:
    till.set(reserve_basis_points=10_000)
    charge = till.charge()
    till.refund(charge, amount=9_000)
    till.work()
    (batch,) = till.close("2026-11-27 00:05")
    assert batch["totals"]["reserved"] == batch["totals"]["net"] == 10_000 - FEE - 9_000
    assert till.balance() == (0, 0, 680)


def test_each_merchant_and_currency_has_batches_of_its_own(till: Till) -> None:
    other = Till(till.here, 1)
    till.charge()
    till.charge(currency="EUR")
    till.charge(currency="JPY", amount=1_500)
    other.charge()
    batches = till.close("2026-11-27 00:05")
    assert {(each["currency"], each["settled_on"]) for each in batches} == {
        ("USD", "2026-11-27"), ("EUR", "2026-11-26"), ("JPY", "2026-11-26"),
    }  # fmt: skip
    assert [each["currency"] for each in till.batches(currency="jpy")] == ["JPY"]
    (theirs,) = other.batches()
    assert till.here.get(get.handler, till.account, id=theirs["id"]).status == 404


def test_what_is_too_much_for_one_transaction_waits_for_the_next_run(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement_run, "STREAM_LIMIT", 2)
    for currency in ("USD", "EUR", "GBP"):
        till.charge(currency=currency)
    assert len(till.close("2026-11-27 00:05")) == 2
    assert len(till.close("2026-11-27 01:05")) == 3


def test_a_merchants_day_is_that_of_its_time_zone(till: Till) -> None:
    till.set(time_zone="Pacific/Auckland")  # UTC+13 in November
    till.be("2026-11-24 10:59")
    before = till.charge()
    till.be("2026-11-24 11:00")
    after = till.charge()
    assert till.see(before)["available_on"] == "2026-11-27"
    assert till.see(after)["available_on"] == "2026-11-30"  # it is the 25th there
    assert till.close("2026-11-26 10:59") == []
    assert len(till.close("2026-11-26 11:00")) == 1


@pytest.mark.parametrize(
    ("at", "available_on"), [("2026-12-02 21:59", "2026-12-04"), ("2026-12-02 22:00", "2026-12-07")]
)
def test_a_capture_after_the_cutoff_is_the_next_days(
    till: Till, at: str, available_on: str
) -> None:
    till.set(time_zone="America/New_York", cutoff="17:00")  # UTC-5
    till.be(at)
    seen = till.see(till.charge())
    assert seen["available_on"] == available_on


@pytest.mark.parametrize(
    ("changed", "later"),
    [
        ({"settlement_cutoff": "08:30"}, "2026-12-04"),
        ({"time_zone": "Pacific/Kiritimati"}, "2026-12-04"),  # UTC+14: it is the 2nd there
        ({"time_zone": "Pacific/Pago_Pago"}, "2026-12-03"),  # UTC-11: still the 1st
    ],
)
def test_changed_settings_are_for_later_captures_and_date_no_charge_anew(
    till: Till, changed: dict[str, str], later: str
) -> None:
    till.be("2026-12-01 11:00")
    before = till.charge()
    assert till.see(before)["available_on"] == "2026-12-03"
    changed_by = till.here.platform.request(
        update_merchant.handler, changed, bearer=till.account.secret_key
    )
    assert changed_by.status == 200, changed_by.body
    assert till.see(till.charge())["available_on"] == later
    assert till.see(before)["available_on"] == "2026-12-03"
    till.close("2026-12-04 12:00")
    assert till.see(before)["available_on"] == "2026-12-03"
    assert till.balance() == (0, 2 * (10_000 - FEE), 0)


def test_a_capture_that_is_too_late_gets_the_next_day(till: Till) -> None:
    """Its day was closed while it was on its way: it is in the next batch, and not lost."""
    till.charge()
    till.close("2026-11-27 00:05")
    till.be("2026-11-24 09:00")  # a clock that was wrong
    late = till.charge()
    assert till.see(late)["available_on"] == "2026-11-30"
    assert [each["charge_count"] for each in till.close("2026-11-30 00:05")] == [1, 1]
    assert till.balance() == (0, 2 * (10_000 - FEE), 0)
