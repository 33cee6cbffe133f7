"""Whoever dies over a recovery debit, and whoever acts on it at the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from functions.bank import receive, simulated
from functions.ledger import roll_up
from functions.outbox import relay
from functions.payouts import process, submit
from ivy import balance_watch, ids, ledger, recovery_debit_outcomes, recovery_debits
from ivy.database import Database, Tenant
from ivy.serve.commands import CommandError
from ivy.serve.schedules import JobError
from tests.faults import points
from tests.recoveries.collector import COLLECTED, EXECUTED, OWED, RETURNED, Collector, refusal
from tests.recoveries.test_deaths import at_once
from tests.webhooks.test_races import wait_for_lock


def test_every_point_is_died_at() -> None:
    assert points.of(*points.OF_DEBITS) == sorted(
        ["balances.watch.before_recovery", "recovery_debit.begin.before_commit",
         "recovery_debit.cancel.before_commit", "recovery_debit.came_back.before_commit",
         "recovery_debit.collected.before_commit", "recovery_debit.sent.before_commit"]
    )  # fmt: skip


@pytest.mark.parametrize("point", points.of(*points.OF_DEBITS))
def test_a_death_at_each_point(collector: Collector, point: str) -> None:
    collector.owe("000123000002")
    died: list[str] = []

    def again(work: Callable[[], Any]) -> None:
        """Let it die on the first way, if the point is on it, and be done again."""
        with collector.here.dying_at(point) as here:
            for _ in range(3):
                with suppress(JobError, CommandError):
                    work()
        died.extend(here)

    def carried_out() -> None:
        collector.here.run(receive.handler)
        collector.here.platform.make_overdue()
        collector.here.run(relay.handler)
        bodies = collector.here.pocket.take("payouts")
        collector.here.hand_over(process.handler, *bodies)

    again(collector.debit)
    again(collector.cancel)
    again(collector.debit)
    collector.here.run(submit.handler)
    again(carried_out)
    collector.debtor.watch()
    collector.till.be(EXECUTED)
    collector.here.run(simulated.handler)
    again(carried_out)
    again(collector.debtor.watch)
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    again(carried_out)
    collector.debtor.watch()
    assert set(died) == {point}
    states = [status for status, *_ in collector.debits()]
    assert states == ["canceled", "returned"]
    assert Counter(collector.told()) == Counter(["created", "canceled", *COLLECTED, "returned"])
    assert collector.debtor.available() == -OWED
    assert collector.recovery_states() == ["recovered", "open"]


def test_two_debits_at_once_open_one(collector: Collector) -> None:
    collector.owe()
    name = collector.debtor.recovery()
    answers = at_once(*(lambda who=who: collector.debit(by=who, recovery=name) for who in "abc"))
    found = Counter(refusal(each) if "code" in each else each["status"] for each in answers)
    assert found == {"pending": 1, "debit_open": 2}
    assert collector.debits() == [("pending", OWED, None)]


def test_without_the_lock_the_table_lets_one_be_opened(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: two that do not see each other meet at the index."""
    monkeypatch.setattr(ledger, "lock_funds", lambda *_: 0)
    monkeypatch.setattr(recovery_debits, "lock_open", lambda *_: None)
    collector.owe()
    collector.debit()
    with pytest.raises((CommandError, psycopg.errors.UniqueViolation)):
        collector.debit()
    assert collector.debits() == [("pending", OWED, None)]


@pytest.mark.parametrize("turn", range(6))
def test_a_debit_and_an_approval_at_once(collector: Collector, turn: int) -> None:
    """One of them takes the debt: it is written off, or collected."""
    assert turn < 6
    collector.owe()
    collector.debtor.propose()
    name = collector.debtor.recovery()
    written, opened = at_once(
        lambda: collector.debtor.approve(recovery=name), lambda: collector.debit(recovery=name)
    )
    assert sorted(("code" in written, "code" in opened)) == [False, True]
    collector.submit()
    assert collector.debtor.available() == 0


def test_a_debit_that_fails_as_its_recovery_would_end(collector: Collector) -> None:
    """Who waits for the failure has seen the balance that it lowers."""
    collector.owe()
    collector.debit()
    collector.submit()
    collector.here.run(roll_up.handler)
    ((debit,),) = collector.rows("SELECT id FROM recovery_debits")
    store = collector.here.platform.store
    failing = Database(store.url("ivy_app"))
    tenant = Tenant(collector.debtor.account.merchant_id, livemode=False)
    watching = Database(store.url("ivy_jobs"))
    with ThreadPoolExecutor(1) as pool:
        with failing.transaction(tenant) as tx:
            recovery_debit_outcomes.came_back(tx, tenant, debit, "account_closed")
            seen = pool.submit(balance_watch.look, watching, ids.now())
            wait_for_lock(collector.here.connection, seen)
        assert seen.result().crossed == 1
    failing.close()
    watching.close()
    collector.debtor.watch()
    assert collector.debits() == [("failed", OWED, "account_closed")]
    assert collector.recovery_states() == ["open"]
