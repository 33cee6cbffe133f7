"""Payouts of one merchant at the same moment never take more than there is.

``IVY_PAYOUT_RACES=5000 pytest tests/settlement/test_payout_races.py`` runs that many; ``IVY_SEED``
repeats the amounts, though not who wins.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from uuid import UUID

import psycopg
import pytest

from ivy import errors, ids, ledger, payout_requests
from ivy.database import Database, Tenant, Transaction
from ivy.laws import settling
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.payout_requests import Asked
from tests.bank_accounts import added, verified
from tests.driving import Account, Platform

EVERYDAY = 100
RACERS = 4
FUNDS = 10_000

Pay = Callable[[Transaction, Tenant, UUID, int], None]


class Arena:
    """A merchant with a bank account, and racers that each have a connection."""

    def __init__(self, platform: Platform, account: Account) -> None:
        self.tenant = Tenant(account.merchant_id, livemode=False)
        made = verified(platform, account, added(platform, account))
        self.bank_account = ids.Prefix("ba").read(made["id"])
        self.root = platform.store.superuser()
        self._databases = [Database(platform.store.url("ivy_app")) for _ in range(RACERS)]
        self._racers = ThreadPoolExecutor(RACERS)
        self._start = Barrier(RACERS)

    def fund(self, amount: int) -> None:
        """Make an amount available, as a settled day would."""
        numbers = [
            ledger.account_number(chart, "USD", self.tenant)
            for chart in (Chart.PENDING, Chart.AVAILABLE)
        ]
        self.root.execute(
            "INSERT INTO journal (id, source, owner, livemode, recorded_at, a1, v1, a2, v2,"
            " value_on, kind) VALUES (uuidv7(), uuidv7(), %s, false, now(), %s, %s, %s, %s,"
            " now(), 30)",
            (self.tenant.merchant_id, numbers[0], amount, numbers[1], -amount),
        )

    def available(self) -> int:
        row = self.root.execute(
            "SELECT -coalesce(sum(amount), 0)::bigint FROM entries WHERE account = %s",
            (ledger.account_number(Chart.AVAILABLE, "USD", self.tenant),),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def race(self, pay: Pay, amounts: list[int]) -> list[bool]:
        """Let all ask at once; returns who was paid."""
        running = self._racers.map(self._run, self._databases, [pay] * RACERS, amounts)
        return list(running)

    def _run(self, database: Database, pay: Pay, amount: int) -> bool:
        self._start.wait()
        try:
            with database.transaction(self.tenant) as tx:
                pay(tx, self.tenant, self.bank_account, amount)
        except errors.BalanceInsufficient:
            return False
        return True

    def close(self) -> None:
        self._racers.shutdown()
        for database in self._databases:
            database.close()
        self.root.close()


@pytest.fixture
def arena(platform: Platform) -> Iterator[Arena]:
    made = Arena(platform, platform.open_account())
    yield made
    made.close()


def product(tx: Transaction, tenant: Tenant, bank_account: UUID, amount: int) -> None:
    payout_requests.post(tx, Asked(tenant, amount, "USD", bank_account), amount, ids.now())


def naive(tx: Transaction, tenant: Tenant, _: UUID, amount: int) -> None:
    """Read the balance, and write if it is enough: what everybody writes first."""
    available = ledger.account_number(Chart.AVAILABLE, "USD", tenant)
    there = tx.value(
        "SELECT -coalesce(sum(amount), 0)::bigint FROM entries WHERE account = %(available)s",
        available=available,
    )
    if amount > there:
        raise errors.BalanceInsufficient
    at = ids.now()
    legs = (debit(Chart.AVAILABLE, amount), credit(Chart.PAYOUTS_IN_TRANSIT, amount))
    ledger.post(
        tx, tenant, Posting(ids.new(at), PostingKind.PAYOUT_CREATED, ids.new(at), "USD", legs,
                            at.date(), at),
    )  # fmt: skip


def test_races_of_payouts_never_overdraw(arena: Arena) -> None:
    wanted = int(os.environ.get("IVY_PAYOUT_RACES", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    outcomes: Counter[str] = Counter()
    for _ in range(wanted):
        arena.fund(FUNDS - arena.available())
        amounts = [chance.choice((1, 2_500, 4_000, 6_000, FUNDS)) for _ in range(RACERS)]
        paid = arena.race(product, amounts)
        spent = sum(amount for amount, done in zip(amounts, paid, strict=True) if done)
        assert arena.available() == FUNDS - spent >= 0
        refused = [amount for amount, done in zip(amounts, paid, strict=True) if not done]
        assert all(amount > FUNDS - spent for amount in refused)
        outcomes[f"{sum(paid)} of {RACERS}"] += 1
    assert broken(arena, settling.L8.query) == []
    assert [each for each in broken(arena, settling.L6.query) if each.startswith("po_")] == []
    print(f"\nIVY_SEED={seed}: {wanted} races, {dict(outcomes)}")  # noqa: T201 - the record


def test_the_naive_way_overdraws(arena: Arena) -> None:
    """The control: the same races find what they are looking for."""
    for _ in range(EVERYDAY):
        arena.fund(FUNDS - arena.available())
        arena.race(naive, [6_000] * RACERS)
        if arena.available() < 0:
            return
    pytest.fail("nobody overdrew: the races race too little")


def test_the_constraint_stands_behind_the_lock(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock the second of two is refused by the database, or has seen the first."""
    monkeypatch.setattr(ledger, "lock_funds", lambda *_: 0)
    for _ in range(20):
        arena.fund(FUNDS - arena.available())
        with suppress(psycopg.errors.UniqueViolation):  # of two that took the same entries
            arena.race(product, [6_000] * RACERS)
        assert arena.available() >= 0


def broken(arena: Arena, query: str) -> list[str]:
    return [str(w) for (w,) in arena.root.execute(query.encode()).fetchall() if w]
