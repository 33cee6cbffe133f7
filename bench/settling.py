"""Figure 16: settling a day beside settling charge by charge, and captures meanwhile.

The subject is the product's own run, shard after shard in one process: lock, sum up, post,
announce, commit. The peer settles one charge in one transaction: read it locked, post it, mark it.
Both take turns: a few shards, a sample of the peer's, and the other way round. A second, smaller
day is settled while clients capture, in turn with their capturing alone.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg

from bench import cluster
from bench.books import VoidError
from bench.cluster import Cluster
from bench.rounds import TIMES, Figure, Run, Spread, cpu_ratio, interleave, rate_ratio, rates
from bench.settling_data import FIRST_DAY, FIRST_MERCHANT, MERCHANTS, NEXT_DAY, SECOND_DAY, prepare
from ivy import availability, ids, ledger, proof, settlement_run
from ivy.database import Database, Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.settlement_run import Shard

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

CHARGES = 1_000_000
"""Fewer for each merchant would be another figure: a batch costs what it costs, however few."""

SAMPLE = 500
"""Charges that the peer settles in a round."""

CLIENTS = 4
CAPTURED_LATER = datetime(2026, 11, 30, 12, tzinfo=UTC)
LAWS = ("L1", "L2", "L5", "L6", "L9")
BALANCES = 100
"""How many balances are held against the full sum."""

Connection = psycopg.Connection[Any]


@dataclass
class Day:
    """A day's shards, in as many groups as there are rounds; what was done to them."""

    at: datetime
    groups: list[list[Shard]]
    batches: int = 0
    longest_ms: float = 0.0

    @classmethod
    def of(cls, made: Cluster, at: datetime, rounds: int) -> Day:
        """Return a day nothing of which is settled yet."""
        database = _settler(made)
        with database.transaction() as tx:
            shards = settlement_run.shards(tx)
        database.close()
        return cls(at, [shards[number::rounds] for number in range(rounds)])

    def settle(self, made: Cluster, shards: list[Shard]) -> int:
        """Settle some shards, one after the other, as the queue's consumer does."""
        database, batches = _settler(made), 0
        for shard in shards:
            started = time.perf_counter()
            with database.transaction() as tx:
                batches += settlement_run.settle(tx, shard, self.at).batches
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - started) * 1e3)
        database.close()
        self.batches += batches
        return batches


def measure(rounds: int, charges: int = CHARGES) -> list[Figure]:
    """Return the figures; void unless the laws hold and a second run finds nothing to do."""
    with cluster.running() as made:
        prepare(made, charges, (rounds + 1) * SAMPLE)
        first, second = (Day.of(made, at, rounds) for at in (FIRST_DAY, NEXT_DAY))
        each = charges // MERCHANTS
        done = interleave(
            rounds,
            {
                "peer": partial(_timed, made, partial(_row_by_row, made)),
                "run": partial(_timed, made, lambda: each * first.settle(made, first.groups.pop())),
            },
        )
        captured = interleave(
            rounds,
            {
                "alone": partial(_capturing, made, partial(time.sleep, 1.0)),
                "beside": partial(
                    _capturing, made, lambda: second.settle(made, second.groups.pop())
                ),
            },
        )
        _verify(made, (first, second), charges)
    settled, peer = rates(done, "run"), rates(done, "peer")
    alone, beside = rates(captured, "alone"), rates(captured, "beside")
    return [
        Figure(
            "16a", "charges settled / settled one by one", TIMES,
            rate_ratio(done, "run", "peer"), "rate", gate=200, at_least=True, anchor=peer,
            note=f"{settled.median:,.0f} and {peer.median:,.0f} a second;"
            f" {charges:,} charges of {MERCHANTS:,} merchants",
        ),
        Figure(
            "16b", "CPU of one settled by itself / of one in the run", TIMES,
            cpu_ratio(done, "peer", "run"), "cpu", at_least=True,
        ),
        Figure(
            "16c", "longest that a settlement holds its locks", "ms",
            Spread(*[max(first.longest_ms, second.longest_ms)] * 3), "rate",
        ),
        Figure(
            "16d", "captures while a day is settled / before", TIMES,
            rate_ratio(captured, "beside", "alone"), "rate", at_least=True, anchor=alone,
            note=f"{beside.median:,.0f} and {alone.median:,.0f} a second, {CLIENTS} clients",
        ),
    ]  # fmt: skip


def _settler(made: Cluster) -> Database:
    return Database(made.url("ivy_settle"))


def _timed(made: Cluster, work: Callable[[], int]) -> Run:
    """Do some work and return how often it was done, and what the server's CPU was."""
    made.quiet()
    before, started = made.cpu_seconds(), time.perf_counter()
    count = work()
    seconds = time.perf_counter() - started
    made.quiet()
    return Run(count, seconds, made.cpu_seconds() - before)


# -- the peer: one by one


@dataclass(frozen=True)
class _Row:
    merchant_id: int
    amount_captured: int
    fee: int
    currency: str


def _row_by_row(made: Cluster) -> int:
    """Settle a sample of charges, each in a transaction of its own; returns how many."""
    with made.superuser() as root:
        waiting = root.execute(
            "SELECT merchant_id, id FROM peer_charges WHERE NOT settled ORDER BY id LIMIT %s",
            (SAMPLE,),
        ).fetchall()
    database = Database(made.url())
    for merchant, charge in waiting:
        with database.transaction(Tenant(merchant, livemode=False)) as tx:
            _settle_one(tx, charge)
    database.close()
    return len(waiting)


def _settle_one(tx: Transaction, charge: Any) -> None:
    row = tx.row(_Row, _PEER_READ, id=charge)
    if row is None:
        raise VoidError("void: the peer was given a charge that is settled")
    tenant = Tenant(row.merchant_id, livemode=False)
    tx.run(
        _PEER_POST,
        id=ids.new(ids.now()),
        source=charge,
        owner=row.merchant_id,
        pending=ledger.account_number(Chart.PENDING, row.currency, tenant),
        available=ledger.account_number(Chart.AVAILABLE, row.currency, tenant),
        net=row.amount_captured - row.fee,
    )
    tx.run("UPDATE peer_charges SET settled = true WHERE id = %(id)s", id=charge)


# -- captures at the same time


def _capturing(made: Cluster, meanwhile: Callable[[], object]) -> Run:
    """Let all clients capture during some work; returns how often they did."""
    fork = multiprocessing.get_context("fork")
    over = fork.Event()
    pipes, clients = [], []
    for number in range(CLIENTS):
        here, there = fork.Pipe(duplex=False)
        client = fork.Process(target=_capture_on, args=(made, number, over, there))
        client.start()
        pipes.append(here)
        clients.append(client)
    for pipe in pipes:
        if pipe.recv() != "ready":
            raise VoidError("void: a client did not begin")
    started = time.perf_counter()
    meanwhile()
    over.set()
    seconds = time.perf_counter() - started
    taken = sum(pipe.recv() for pipe in pipes)
    for client in clients:
        client.join()
    return Run(taken, seconds, seconds)


def _capture_on(made: Cluster, number: int, over: Event, pipe: Any) -> None:
    database = Database(made.url())
    chance = random.Random(number)  # noqa: S311 - which merchant is no secret
    with database.transaction() as tx:
        tx.value("SELECT 1")
    pipe.send("ready")
    taken = 0
    while not over.is_set():
        tenant = Tenant(FIRST_MERCHANT + chance.randrange(MERCHANTS), livemode=False)
        with database.transaction(tenant) as tx:
            _capture_one(tx, tenant)
        taken += 1
    pipe.send(taken)
    os._exit(0)


def _capture_one(tx: Transaction, tenant: Tenant) -> None:
    """Write a captured charge, as far as it concerns settlement: its day, its row, its posting."""
    at = CAPTURED_LATER
    day = availability.available_on(tx, tenant, "USD", at)
    posting = Posting(
        id=ids.new(at),
        kind=PostingKind.CHARGE_CAPTURED,
        source=ids.new(at),
        currency="USD",
        legs=(
            debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, 9_820),
            debit(Chart.EXPENSE_PROCESSOR, 180),
            credit(Chart.INCOME_PROCESSING, 320),
            credit(Chart.PENDING, 9_680),
        ),
        value_on=at.date(),
        recorded_at=at,
    )
    tx.run(_ACCEPTED, merchant_id=tenant.merchant_id, id=posting.source, created_at=at)
    tx.run(_CAPTURED, id=posting.source, ledger_transaction=posting.id, day=day)
    ledger.post(tx, tenant, posting)


# -- the verdict


def _verify(made: Cluster, days: tuple[Day, Day], charges: int) -> None:
    """Void the figures unless every law holds and the batches are all that there was."""
    for day in days:
        again = Day.of(made, day.at, 1)
        if day.batches != MERCHANTS or again.settle(made, again.groups[0]):
            raise VoidError(f"void: {day.batches} batches, and a second run found more")
    with made.superuser() as root:
        for law in proof.LAWS:
            found = root.execute(law.query.encode()).fetchall() if law.name in LAWS else []
            if any(witness for (witness,) in found):
                raise VoidError(f"void: {law.name}: {found[:3]}")
        row = root.execute(_SUMS, {"days": [day.at.date() for day in days]}).fetchone()
        if row is None or row[0] or row[1] != row[2]:
            raise VoidError(f"void: legs, captured, settled: {row}")
        if row[3:] != (2 * MERCHANTS, charges + charges // SECOND_DAY):
            raise VoidError(f"void: batches, charges: {row[3:]}")
        _balances(made, root)


def _balances(made: Cluster, root: Connection) -> None:
    """Hold some merchants' balances, as the product reads them, against the sum of all legs."""
    database = Database(made.url())
    chosen: Iterable[int] = random.Random(1).sample(range(MERCHANTS), BALANCES)  # noqa: S311 - repeatable
    for number in chosen:
        tenant = Tenant(FIRST_MERCHANT + number, livemode=False)
        with database.transaction(tenant) as tx:
            funds = ledger.lock_funds(tx, tenant, "USD")
        accounts = [
            ledger.account_number(chart, "USD", tenant)
            for chart in (Chart.PENDING, Chart.AVAILABLE)
        ]
        row = root.execute(
            "SELECT -sum(amount) FROM entries WHERE account = ANY (%s)", (accounts,)
        ).fetchone()
        if row != (funds,):
            raise VoidError(f"void: {tenant} has {row}, the product says {funds}")
    database.close()


_PEER_READ = """
    SELECT merchant_id, amount_captured, fee, currency FROM peer_charges
    WHERE id = %(id)s AND NOT settled FOR UPDATE
"""

_PEER_POST = """
    INSERT INTO peer_journal (id, source, owner, livemode, kind, value_on, recorded_at,
                              a1, v1, a2, v2)
    VALUES (%(id)s, %(source)s, %(owner)s, false, 30, '2026-11-27', now(),
            %(pending)s, %(net)s, %(available)s, -%(net)s)
"""

_ACCEPTED = """
    INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency, capture,
                         method, payment_method, connector, fee_plan, fee_plan_version)
    VALUES (%(merchant_id)s, false, %(id)s, 10000, %(created_at)s, 'USD', true, 'card', 'tok_visa',
            'simulated', 'standard', 1)
"""

_CAPTURED = """
    UPDATE charges
    SET status = 'succeeded', version = 2, amount_captured = 10000, fee = 320, cost = 180,
        available_on = %(day)s, ledger_transaction = %(ledger_transaction)s
    WHERE id = %(id)s
"""

_SUMS = """
    SELECT (SELECT sum(amount) FROM entries),
           (SELECT sum(amount_captured - fee - amount_refunded) FROM charges
            WHERE available_on = ANY (%(days)s)),
           (SELECT sum(net) FROM settlements),
           (SELECT count(*) FROM settlements),
           (SELECT sum(charge_count) FROM settlements)
"""
