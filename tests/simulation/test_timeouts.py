"""An acquirer that did it and never said so: the relay finds out, and nothing is done twice.

Some of the processes that ask are killed on the way, between the answer and its commit above all.
``IVY_TIMEOUTS=5000 pytest tests/simulation/test_timeouts.py`` asks about that many charges;
``IVY_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.faults import dying
from tests.simulation.racing import shared_acquirer
from tests.simulation.sandbox import Sandbox, sandbox
from tests.simulation.shop import Shop

EVERYDAY = 200
MAX_ROUNDS = 40
DEADLY_ROUNDS = 6
AMOUNT = 10_000
SILENT = ("tok_timeout", "tok_timeout", "tok_timeout", "tok_duplicate")

POINTS = {
    "charges": (
        "charge.process.after_connector", "charge.process.after_connector",
        "charge.process.before_connector", "charge.begin.before_commit",
        "charge.conclude.after_claim", "charge.conclude.before_commit",
        "charge.conclude.after_posting", "charge.process.after_commit",
    ),
    "refunds": (
        "refund.process.after_connector", "refund.process.after_connector",
        "refund.process.before_connector", "refund.begin.before_commit",
        "refund.conclude.after_claim", "refund.conclude.before_commit",
        "refund.process.after_commit",
    ),
}  # fmt: skip
"""Where a process that asks may be killed."""


@dataclass
class Case:
    """A charge, and what is to become of it."""

    charge: str
    then: str
    amount: int
    refund: str = ""


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox whose acquirer outlives the processes that ask it."""
    with shared_acquirer() as acquirer, sandbox(cloud, store, monkeypatch, acquirer) as made:
        yield made


class Silence:
    """Two hundred charges, and a relay that asks until it knows."""

    def __init__(self, here: Sandbox, chance: random.Random) -> None:
        self.here = here
        self.shop = Shop(here)
        self.chance = chance
        self.deaths: Counter[str] = Counter()

    def begin(self, number: int) -> list[Case]:
        """Make charges whose acquirer says nothing, and choose what follows."""
        cases = []
        for _ in range(number):
            then = self.chance.choice(("charge", "charge", "capture", "void", "refund"))
            token = self.chance.choice(SILENT)
            later = then in ("capture", "void")
            made = self.shop.pay(payment_method=token, capture=not later)
            amount = self.chance.choice((AMOUNT, AMOUNT, 1, 4_321))
            cases.append(Case(str(made.json()["id"]), then, amount))
        return cases

    def follow(self, cases: list[Case]) -> None:
        """Ask for what follows."""
        for case in cases:
            if case.then == "capture":
                assert self.shop.capture(case.charge, amount=case.amount).status == 200
            elif case.then == "void":
                assert self.shop.cancel(case.charge).status == 200
            elif case.then == "refund":
                made = self.shop.refund(case.charge, amount=case.amount)
                assert made.status == 201, made.body
                case.refund = str(made.json()["id"])

    def resolve(self) -> None:
        """Let the relay send what is owed until nothing is; at first, many who ask are killed."""
        for turn in range(MAX_ROUNDS):
            for queue in POINTS:
                for body in self.here.pocket.take(queue):
                    if turn < DEADLY_ROUNDS and self.chance.random() < 0.5:
                        self.be_killed(queue, body)
                    else:
                        assert self.shop.deliver(queue, body) == []
            if not self.owed():
                return
            self.shop.pass_time(hours=1)
            self.shop.run("relay")
        raise AssertionError(f"{self.owed()} promises are not kept after {MAX_ROUNDS} rounds")

    def be_killed(self, queue: str, body: str) -> None:
        """Deliver a message to a process that dies, if it gets as far as that."""
        point = self.chance.choice(POINTS[queue])
        end = dying.run(lambda: self.shop.deliver(queue, body), dying.at(point))
        if end.died:
            self.deaths[point] += 1
        else:
            assert end.result == []

    def owed(self) -> int:
        return self.count("SELECT count(*) FROM outbox")

    def count(self, question: str, *values: Any) -> int:
        row = self.here.connection.execute(question.encode(), values).fetchone()
        assert row is not None
        return int(row[0])


def test_the_relay_finds_out_what_a_silent_acquirer_did_and_nothing_is_done_twice(
    here: Sandbox,
) -> None:
    number = int(os.environ.get("IVY_TIMEOUTS", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    silence = Silence(here, random.Random(seed))  # noqa: S311 - repeatable on purpose
    cases = silence.begin(number)
    silence.resolve()
    silence.follow(cases)
    silence.resolve()
    print(  # noqa: T201 - the record of the run
        f"\nIVY_SEED={seed}: {number} silent charges, {silence.deaths.total()} killed on the way,"
        f" {silence.count('SELECT count(*) FROM attempts')} attempts: {dict(silence.deaths)}"
    )
    _each_is_as_wanted(silence, cases)
    _sums_agree(silence, cases)
    assert invariants.broken(here.connection) == {}
    assert here.left_over() == []


def _each_is_as_wanted(silence: Silence, cases: list[Case]) -> None:
    """Each charge at the acquirer, and as its merchant sees it; each asked more than once."""
    payments = silence.here.payments()
    assert set(payments) == {case.charge for case in cases}
    for case in cases:
        captured = {"void": 0, "capture": case.amount}.get(case.then, AMOUNT)
        refunded = case.amount if case.then == "refund" else 0
        payment, seen = payments[case.charge], silence.shop.see(case.charge)
        assert (payment["captured_minor"], payment["refunded_minor"]) == (captured, refunded)
        assert (seen["amount_captured"], seen["amount_refunded"]) == (captured, refunded)
        assert seen["status"] == ("canceled" if case.then == "void" else "succeeded")
        keys = {"capture": {f"{case.charge}.capture"}, "void": {f"{case.charge}.void"}}
        asked = {case.charge} | keys.get(case.then, {case.refund} - {""})
        assert set(payment["outcomes"]) == asked
        attempts = silence.count(
            "SELECT count(*) FROM attempts WHERE subject = %s", case.charge.partition("_")[2]
        )
        assert attempts >= 2 * len(asked - {case.refund})


def _sums_agree(silence: Silence, cases: list[Case]) -> None:
    """The ledger says that it owes what it captured less what it gave back, one posting each."""
    payments = silence.here.payments().values()
    captured = sum(payment["captured_minor"] for payment in payments)
    refunded = sum(payment["refunded_minor"] for payment in payments)
    taken = [case for case in cases if case.then != "void"]
    given = [case for case in cases if case.then == "refund"]
    posted = "SELECT count(*) FROM journal WHERE part = 0 AND kind = %s"
    assert silence.count(posted, 1) == len(taken)
    assert silence.count(posted, 11) == len(given)
    balance = "SELECT coalesce(sum(amount), 0) FROM entries WHERE account %% 1000 = %s"
    cost = silence.count(balance, 510)
    assert silence.count(balance, 110) == captured - refunded - cost
    assert silence.count(balance, 310) == 0
