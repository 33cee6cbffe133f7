"""Whoever dies over a debt, and whoever acts on it at the same moment: it is done once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ivy import availability
from ivy.serve.commands import CommandError
from ivy.serve.schedules import JobError
from tests.faults import dying, points
from tests.recoveries.debtor import Debtor

ROUNDS = 8


def test_every_point_is_died_at() -> None:
    assert points.of(*points.OF_DEBTS) == sorted(
        ["balances.watch.before_crossing", "balances.watch.before_opening",
         "recovery.approve.before_commit"]
    )  # fmt: skip


@pytest.mark.parametrize("point", points.of(*points.OF_DEBTS))
def test_a_death_at_each_point(debtor: Debtor, point: str) -> None:
    debtor.owe()
    died: list[str] = []

    def twice(work: Callable[[], Any]) -> None:
        """Let it die on the first way, if the point is on it, and be done again."""
        with debtor.here.dying_at(point) as here:
            for _ in range(2):
                with suppress(JobError, CommandError):
                    work()
        died.extend(here)

    twice(debtor.watch)
    debtor.be("2026-11-30 00:05")
    debtor.here.settle()
    twice(debtor.watch)
    debtor.propose()
    twice(debtor.approve)
    debtor.watch()
    assert set(died) == {point}
    assert debtor.recoveries() == [("written_off", 1_820, 1_820)]
    assert [kind for kind, _ in debtor.crossings()] == ["balance.negative", "balance.available"]
    assert debtor.available() == 0


@pytest.fixture
def owing(debtor: Debtor) -> Debtor:
    debtor.owe()
    debtor.watch()
    debtor.later("2026-11-30 00:05")
    debtor.propose()
    return debtor


def at_once(*works: Callable[[], Any]) -> list[Any]:
    started = [dying.start(work) for work in works]
    return [each.wait().result for each in started]


def test_two_approvals_at_once_write_it_off_once(owing: Debtor) -> None:
    name = owing.recovery()
    answers = at_once(*(lambda who=who: owing.approve(by=who, recovery=name) for who in "abc"))
    found = Counter(each.get("code", each["status"]) for each in answers)
    assert found == {"written_off": 1, "resource_missing": 2}
    assert owing.available() == 0
    assert owing.recoveries() == [("written_off", 1_820, 1_820)]


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_an_approval_and_a_settlement_that_lifts_the_balance(owing: Debtor, turn: int) -> None:
    """What is pending pays its part, whether it is settled before or after."""
    assert turn < ROUNDS
    owing.charge(amount=1_000)
    owing.be("2026-12-02 00:05")
    name = owing.recovery()
    answer, _ = at_once(
        lambda: owing.approve(recovery=name), lambda: owing.here.settle() or "settled"
    )
    owing.here.settle()
    owing.watch()
    assert (answer["written_off"], owing.available()) == (1_820 - 941, 0)
    assert owing.recoveries() == [("written_off", 1_820, 1_820 - 941)]


@pytest.mark.parametrize("locked", [True, False])
def test_a_settlement_waits_for_an_approval(
    owing: Debtor, monkeypatch: pytest.MonkeyPatch, *, locked: bool
) -> None:
    """With the lock nothing is settled between the look and the posting; without it, it is."""
    if not locked:
        monkeypatch.setattr(availability, "hold", lambda *_: None)
    owing.charge(amount=1_000)
    owing.be("2026-12-02 00:05")
    name = owing.recovery()
    import multiprocessing  # noqa: PLC0415 - only here
    import time  # noqa: PLC0415 - same

    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()

    def stop(point: str) -> bool:
        if point == "recovery.approve.before_commit":
            arrived.release()
            assert go.wait(20)
        return False

    first = dying.start(lambda: owing.approve(recovery=name), stop)
    assert arrived.acquire(timeout=20)
    second = dying.start(lambda: owing.here.settle() or "settled")
    time.sleep(0.7)
    waits = owing.here.connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    ).fetchone()
    go.set()
    first.wait()
    second.wait()
    assert waits == (locked,)
    assert owing.available() == 0
