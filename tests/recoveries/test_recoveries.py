"""Recoveries: opened after some banking days, ended by settlement or by two people."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from functions.merchants import configure
from ivy import proof, write_offs
from ivy.database import Database, Tenant, Transaction
from tests.recoveries.debtor import DISPUTED, NET, Debtor
from tests.simulation.sandbox import Sandbox


def test_one_is_opened_after_three_banking_days(debtor: Debtor) -> None:
    debtor.owe()  # on Tuesday the 24th; Thursday is Thanksgiving
    debtor.watch()
    assert debtor.later("2026-11-27 23:59")["opened"] == 0
    assert debtor.later("2026-11-30 00:00")["opened"] == 1
    assert debtor.later("2026-12-07 00:00")["opened"] == 0
    (told,) = debtor.told("recovery")
    assert (told["type"], told["data"]["status"]) == ("recovery.opened", "open")
    assert told["data"]["amount"] == DISPUTED - NET
    assert debtor.recoveries() == [("open", DISPUTED - NET, None)]


@pytest.mark.parametrize(("days", "at"), [(0, "2026-11-24 09:30"), (1, "2026-11-25 00:00")])
def test_operators_say_after_how_many(debtor: Debtor, days: int, at: str) -> None:
    name = debtor.command(configure.handler, **terms(debtor, recovery_days=days))["id"]
    assert name.startswith("mer_")
    debtor.owe()
    debtor.watch()
    assert len(debtor.recoveries()) == (days == 0)
    debtor.later(at)
    assert len(debtor.recoveries()) == 1


def terms(debtor: Debtor, **named: Any) -> dict[str, Any]:
    ((public,),) = debtor.here.connection.execute(
        "SELECT public_id FROM merchants WHERE id = %s", (debtor.account.merchant_id,)
    ).fetchall()
    return {"merchant": f"mer_{public.hex}", "by": "grace", "reason": "asked to"} | named


@pytest.fixture
def owing(debtor: Debtor) -> Debtor:
    """A merchant with a recovery: 1,820 below zero."""
    debtor.owe()
    debtor.watch()
    debtor.later("2026-11-30 00:05")
    assert debtor.recoveries() == [("open", 1_820, None)]
    return debtor


def test_settlement_ends_one(owing: Debtor) -> None:
    owing.charge()
    owing.later("2026-12-02 00:05")
    assert owing.recoveries() == [("recovered", 1_820, None)]
    assert [each["type"] for each in owing.told("recovery")] == [
        "recovery.opened", "recovery.recovered",
    ]  # fmt: skip
    owing.owe()
    owing.watch()
    owing.later("2026-12-09 00:05")
    assert [status for status, *_ in owing.recoveries()] == ["recovered"]  # netted again


def test_the_report_says_since_when_how_much_and_what_was_tried(owing: Debtor) -> None:
    (debt,) = owing.debts()
    assert (debt["currency"], debt["available"]) == ("USD", -1_820)
    assert (debt["status"], debt["opened_with"]) == ("open", 1_820)
    assert debt["negative_since"].startswith("2026-11-24")
    for at, days, bucket in (
        ("2026-12-01 08:00", 7, "0-7"),
        ("2026-12-02 12:00", 8, "8-30"),
        ("2026-12-25 12:00", 31, "31-90"),
        ("2027-02-23 12:00", 91, "91+"),
    ):
        owing.be(at)
        (debt,) = owing.debts()
        assert (debt["days"], debt["bucket"]) == (days, bucket)
    owing.propose()
    (debt,) = owing.debts()
    assert (debt["write_off_proposed"], debt["proposed_by"]) == (1_820, "grace")


def test_live_mode_alone_raises_the_alarm(owing: Debtor) -> None:
    assert owing.later("2027-03-01 00:00")["oldest_days"] == 0
    with psycopg.connect(owing.here.platform.store.url("postgres")) as root:
        root.execute("SET session_replication_role = replica")
        root.execute("SET search_path = ivy")
        root.execute("UPDATE balance_states SET livemode = true")
        assert write_offs.oldest_days(Transaction(root), owing.here.clock.at) == 97
        root.rollback()


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(0, "0-7"), (7, "0-7"), (8, "8-30"), (30, "8-30"), (31, "31-90"), (90, "31-90"), (91, "91+")],
)
def test_ages(days: int, bucket: str) -> None:
    assert write_offs.bucket(days) == bucket


# -- writing off


def test_two_people_write_it_off(owing: Debtor) -> None:
    proposed = owing.propose()
    assert (proposed["status"], proposed["proposed"], proposed["written_off"]) == (
        "open", 1_820, None,
    )  # fmt: skip
    assert owing.available() == -1_820
    missing = client_money(owing)
    done = owing.approve()
    assert client_money(owing) == missing  # no more is owed to anybody than before
    assert (done["status"], done["written_off"]) == ("written_off", 1_820)
    assert owing.available() == 0
    assert owing.recoveries() == [("written_off", 1_820, 1_820)]
    told = owing.told("recovery")[-1]
    assert told["type"] == "recovery.written_off"
    assert told["balance_changes"] == [{"account": "available", "currency": "USD", "amount": 1_820}]
    assert "grace" not in str(told)
    legs = owing.here.connection.execute(
        "SELECT account_name, amount FROM entries WHERE kind = 'recovery.writeoff'"
        " ORDER BY account_name"
    ).fetchall()
    assert legs == [("available", -1_820), ("loss:writeoff", 1_820)]
    assert owing.watch()["crossed"] == 1
    assert owing.crossings()[-1] == ("balance.available", 0)


def client_money(debtor: Debtor) -> list[Any]:
    """Return what L11 says: what is missing of what is owed to merchants."""
    (law,) = [law for law in proof.LAWS if law.name == "L11"]
    found = debtor.here.connection.execute(law.query).fetchall()
    return [witness and witness.partition(" are owed")[0] for (witness,) in found]


def test_one_person_does_not(owing: Debtor) -> None:
    assert owing.approve()["code"] == "resource_missing"
    owing.propose(by="grace")
    assert owing.approve(by="grace")["code"] == "self_approval"
    owing.propose(by="mary")
    assert owing.approve(by="mary")["code"] == "self_approval"
    assert owing.approve(by="grace")["written_off"] == 1_820


def test_it_is_written_off_once(owing: Debtor) -> None:
    owing.propose()
    name = owing.recovery()
    owing.approve()
    assert owing.approve(by="joan", recovery=name)["code"] == "resource_missing"
    assert owing.propose()["code"] == "resource_missing"
    assert owing.available() == 0


def test_no_more_than_it_lacks_by_then(owing: Debtor) -> None:
    owing.propose()
    owing.charge(amount=1_000)  # of which 59 is our fee
    owing.be("2026-12-02 00:05")
    owing.here.settle()
    assert owing.approve()["written_off"] == 1_820 - 941
    assert owing.available() == 0


def test_nothing_that_what_is_held_can_still_pay(owing: Debtor) -> None:
    """Pending money and disputes that are open may come back: they are not given away."""
    owing.charge(amount=1_000)
    assert owing.propose()["proposed"] == 1_820 - 941
    owing.disputed(amount=500)
    assert owing.propose()["proposed"] == 1_820 - 941 + 1_500 + 45 - 500
    owing.charge()
    assert owing.propose()["code"] == "resource_missing"


def test_no_more_than_was_proposed(owing: Debtor) -> None:
    owing.propose()
    owing.owe()
    assert owing.approve()["written_off"] == 1_820
    assert owing.available() == -DISPUTED


def test_nothing_when_settlement_has_lifted_it(owing: Debtor) -> None:
    owing.propose()
    owing.charge()
    owing.be("2026-12-02 00:05")
    owing.here.settle()
    assert owing.approve()["code"] == "resource_missing"
    assert owing.propose()["code"] == "resource_missing"
    owing.watch()
    assert owing.recoveries() == [("recovered", 1_820, None)]
    assert owing.approve()["code"] == "resource_missing"


def test_what_is_written_off_and_owed_again_is_another_recovery(owing: Debtor) -> None:
    owing.propose()
    owing.approve()
    owing.watch()
    owing.owe()
    owing.watch()
    owing.later("2026-12-21 00:05")
    assert owing.recoveries() == [("written_off", 1_820, 1_820), ("open", 1_820, None)]


def test_no_operator_reaches_into_another_account(here: Sandbox, owing: Debtor) -> None:
    other = Debtor(here, 1)
    owing.propose()
    assert owing.approve(account=other.name)["code"] == "resource_missing"
    assert owing.approve(account=owing.name.replace("test", "live"))["code"] == "resource_missing"
    assert owing.approve(account="1-all")["code"] == "request_invalid"
    assert owing.approve(by="")["code"] == "request_invalid"


OTHER = "written_off = proposed, ledger_transaction = gen_random_uuid(), version = version + 1"


@pytest.mark.parametrize(
    "change",
    [
        f"status = 'written_off', approved_by = 'grace', {OTHER}",
        f"status = 'written_off', approved_by = 'mary', {OTHER.replace('proposed', '9999')}",
        f"status = 'written_off', approved_by = 'mary', proposed_by = 'joan', {OTHER}",
        f"status = 'written_off', {OTHER}",
        "status = 'recovered'",
        "status = 'written_off', version = version + 1",
        "proposed = NULL",
    ],
)
def test_the_table_wants_two_people_too(owing: Debtor, change: str) -> None:
    owing.propose(by="grace")
    database = Database(owing.here.platform.store.url("ivy_app"))
    tenant = Tenant(owing.account.merchant_id, livemode=False)
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction(tenant) as tx:
        tx.run(f"UPDATE recoveries SET {change}")  # type: ignore[arg-type]  # of the list above
