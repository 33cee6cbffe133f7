"""Balances that cross zero are announced once each time, by what is there when it is looked at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.ledger import roll_up
from ivy import balance_watch, ids
from ivy.database import Database, Tenant, Transaction
from tests.recoveries.debtor import DISPUTED, NET, Debtor
from tests.simulation.sandbox import Sandbox


def test_a_balance_below_zero_is_netted_against_the_next_settlements(debtor: Debtor) -> None:
    debtor.owe()
    assert debtor.balance() == (NET, -DISPUTED, 0)
    assert debtor.watch()["crossed"] == 1
    assert debtor.later("2026-11-27 00:05")["crossed"] == 0
    assert debtor.available() == NET - DISPUTED == -1_820
    debtor.charge()
    assert debtor.later("2026-12-01 00:05")["crossed"] == 1
    assert debtor.balance() == (0, 2 * NET - DISPUTED, 0)
    assert debtor.crossings() == [
        ("balance.negative", -DISPUTED), ("balance.available", 2 * NET - DISPUTED),
    ]  # fmt: skip
    assert debtor.watch()["crossed"] == 0


def test_what_never_was_below_zero_is_not_told(debtor: Debtor) -> None:
    debtor.charge()
    assert debtor.later("2026-11-27 00:05")["crossed"] == 0
    assert debtor.told("balance") == []


def test_each_crossing_is_told_with_its_version(debtor: Debtor) -> None:
    for disputes in (1, 3):
        for _ in range(disputes):
            debtor.owe()
        debtor.watch()
        for _ in range(2 * disputes):
            debtor.charge()
        debtor.later(f"{debtor.here.clock.at + timedelta(days=9):%Y-%m-%d} 00:05")
    told = debtor.told("balance")
    assert [each["type"].partition(".")[2] for each in told] == ["negative", "available"] * 2
    assert [each["data"]["version"] for each in told] == [1, 2, 3, 4]
    assert len({each["data"]["id"] for each in told}) == 1
    assert all(each["balance_changes"] == [] for each in told)


def test_since_is_when_the_entry_was_made_not_when_it_was_seen(debtor: Debtor) -> None:
    debtor.owe()
    made = debtor.here.clock.at
    debtor.pass_time(hours=20)
    debtor.watch()
    (told,) = debtor.told("balance")
    since = told["data"]["negative_since"]
    assert since <= f"{made:%Y-%m-%dT%H:%M:%S}.999Z"
    assert told["created_at"] > since


def test_currencies_and_merchants_are_told_apart(here: Sandbox, debtor: Debtor) -> None:
    other = Debtor(here, 1)
    debtor.disputed(currency="EUR")
    debtor.charge()
    other.charge()
    debtor.watch()
    (told,) = debtor.told("balance")
    assert (told["data"]["currency"], told["data"]["status"]) == ("EUR", "negative")
    assert other.told("balance") == []
    assert other.debts() == []


def test_one_that_cannot_be_looked_at_does_not_stop_the_others(
    here: Sandbox, debtor: Debtor, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Debtor(here, 1)
    debtor.owe()
    other.owe()
    exactly = balance_watch._exactly

    def fails(tx: Transaction, tenant: Tenant, currency: str) -> tuple[Any, int]:
        if tenant.merchant_id == debtor.account.merchant_id:
            raise psycopg.errors.LockNotAvailable
        return exactly(tx, tenant, currency)

    here.run(roll_up.handler)
    database = Database(here.platform.store.url("ivy_jobs"))
    monkeypatch.setattr(balance_watch, "_exactly", fails)
    with pytest.raises(balance_watch.NotLookedAtError):
        balance_watch.look(database, here.clock.at)
    monkeypatch.setattr(balance_watch, "_exactly", exactly)
    database.close()
    assert [each["type"] for each in other.told("balance")] == ["balance.negative"]
    assert debtor.told("balance") == []
    assert debtor.watch()["crossed"] == 1


def test_a_stored_balance_that_lags_tells_nothing_untrue(debtor: Debtor) -> None:
    """The roll-up saw it below zero; by now it is not, and nothing is said."""
    debtor.owe()
    debtor.here.run(debtor_roll_up())
    debtor.charge()
    debtor.be("2026-12-02 00:05")
    debtor.here.settle()
    assert debtor.available() > 0
    from functions.recoveries import watch  # noqa: PLC0415 - without the roll-up

    assert debtor.here.run(watch.handler)["crossed"] == 0
    assert debtor.told("balance") == []


def debtor_roll_up() -> Any:
    from functions.ledger import roll_up  # noqa: PLC0415 - alone, without the watch

    return roll_up.handler


def test_two_watches_at_once_tell_it_once(debtor: Debtor) -> None:
    debtor.owe()
    debtor.here.run(debtor_roll_up())
    barrier = Barrier(4)

    def look() -> int:
        database = Database(debtor.here.platform.store.url("ivy_jobs"))
        barrier.wait()
        return balance_watch.look(database, ids.now()).crossed

    with ThreadPoolExecutor(4) as pool:
        assert sorted(future.result() for future in [pool.submit(look) for _ in range(4)]) == [
            0, 0, 0, 1,
        ]  # fmt: skip
    assert debtor.crossings() == [("balance.negative", -DISPUTED)]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.sampled_from(["owe", "charge", "settle", "watch", "refund"]), max_size=9))
def test_what_was_told_last_is_what_there_is(debtor: Debtor, steps: list[str]) -> None:
    """Whatever happens in between: signs take turns, and after a look the last one is right."""
    debtor.here.reset(debtor.here.clock.at + timedelta(days=1))
    charges: list[str] = []
    for step in [*steps, "watch"]:
        match step:
            case "owe":
                debtor.owe()
            case "charge":
                charges.append(debtor.charge())
            case "refund" if charges:
                debtor.refund(charges.pop())
                debtor.work()
            case "settle":
                debtor.pass_time(days=6)
                debtor.here.settle()
            case "watch":
                debtor.watch()
    told = debtor.told("balance")
    signs = [each["type"].partition(".")[2] for each in told]
    assert signs == ["negative", "available"] * (len(signs) // 2) + ["negative"] * (len(signs) % 2)
    lines = debtor.here.connection.execute(
        "SELECT coalesce(-sum(amount), 0) FROM entries WHERE account_name = 'available'"
        " AND owner = %s",
        (debtor.account.merchant_id,),
    ).fetchone() or (0,)
    assert (lines[0] < 0) == (signs[-1:] == ["negative"])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE balance_states SET status = 'available', available = 0, negative_since = NULL",
        "UPDATE balance_states SET version = version + 1",
        "UPDATE balance_states SET available = 5, version = version + 1, status = 'available'",
    ],
)
def test_the_table_refuses_what_is_no_crossing(debtor: Debtor, statement: Any) -> None:
    debtor.owe()
    debtor.watch()
    url = debtor.here.platform.store.url("ivy_jobs")
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(statement)


def test_the_app_role_announces_no_crossing(debtor: Debtor) -> None:
    debtor.owe()
    debtor.watch()
    database = Database(debtor.here.platform.store.url("ivy_app"))
    tenant = Tenant(debtor.account.merchant_id, livemode=False)
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction(tenant) as tx,
    ):
        tx.run("UPDATE balance_states SET version = version + 1")
