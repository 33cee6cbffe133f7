"""Figure 17: recording the events of one hot merchant, and publishing them afterwards.

The anchor is one bare INSERT of a small row in a transaction of its own. CPU is the server's and
the client's together. Commits of the rates are slow, as a quorum far away makes them: there a twin
that takes its event's number from a counter, in the transaction of the money, makes every charge of
a merchant wait for the one before. That is why numbers are given afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import psutil  # type: ignore[import-untyped]  # it has no types

from bench import cluster
from bench.books import VoidError
from bench.cluster import Cluster
from bench.rounds import TIMES, Figure, Run, cpu_ratio, interleave, rate_ratio, rates
from bench.rounds import costs as costs_of
from ivy import dispatch, events, ids, publishing
from ivy.charges import Charge
from ivy.database import Database, Tenant, Transaction

ROWS = 1000
"""Events of a round, which one pass of the publisher takes at once."""

CLIENTS = 16
HOT = Tenant(5001, livemode=False)

Writing = Callable[[Transaction], None]


def measure(rounds: int, seconds: float) -> list[Figure]:
    """Return the figures; void unless every event has its number and its delivery, without a gap.

    Args:
        rounds: How often the works take turns.
        seconds: How long clients write in a round with slow commits.
    """
    with (
        cluster.running() as made,
        mock.patch.object(dispatch, "send", lambda claimed: sum(1 for _ in claimed)),
    ):
        _prepare(made)
        app, jobs = Database(made.url()), Database(made.url("ivy_jobs"))
        costs = interleave(
            rounds,
            {
                "bare": partial(_written, app, _bare),
                "record": partial(_recorded, made, app, jobs),
                "record and publish": partial(_recorded_and_published, made, app, jobs),
            },
        )
        app.close()
        jobs.close()
        with made.slow_commits():
            hot = interleave(
                rounds,
                {
                    "bare": partial(_together, made, _bare, seconds),
                    "record": partial(_together, made, _record, seconds),
                    "counted": partial(_together, made, _record_with_counter, seconds),
                },
            )
        _verify(made)
    bare, recorded = costs_of(costs, "bare"), costs_of(costs, "record")
    return [
        Figure(
            "17a", "CPU of recording an event / bare INSERT", TIMES,
            cpu_ratio(costs, "record", "bare"), "cpu", anchor=bare,
            note=f"{recorded.median:.0f} µs and {bare.median:.0f} µs, server and client",
        ),
        Figure(
            "17b", "CPU of recording and publishing it / bare INSERT", TIMES,
            cpu_ratio(costs, "record and publish", "bare"), "cpu", anchor=bare,
        ),
        Figure(
            "17c", "events recorded for a hot merchant / bare INSERTs, slow", TIMES,
            rate_ratio(hot, "record", "bare"), "rate", at_least=True, anchor=rates(hot, "bare"),
            note=f"{rates(hot, 'record').median:,.0f} and {rates(hot, 'bare').median:,.0f}"
            f" a second, {CLIENTS} clients",
        ),
        Figure(
            "17d", "the same, numbered by a counter in the transaction", TIMES,
            rate_ratio(hot, "counted", "bare"), "rate", at_least=True, anchor=rates(hot, "bare"),
        ),
    ]  # fmt: skip


def _prepare(made: Cluster) -> None:
    """Make the merchant's endpoint, and what only the benchmark has."""
    with made.superuser() as root:
        root.execute("CREATE TABLE anchor (id uuid PRIMARY KEY, value bigint)")
        root.execute("CREATE TABLE counter (merchant_id bigint PRIMARY KEY, last bigint)")
        root.execute("INSERT INTO counter VALUES (%s, 0)", (HOT.merchant_id,))
        root.execute("GRANT ALL ON anchor, counter TO ivy_app")
        root.execute(
            "INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at, url, events,"
            " api_version, allowance) VALUES (%s, false, gen_random_uuid(), now(),"
            " 'https://example.com/', '{charge.*}', '2026-12-01', 1000000)",
            (HOT.merchant_id,),
        )


# -- what is written


def _bare(tx: Transaction) -> None:
    tx.run("INSERT INTO anchor VALUES (%(id)s, 1)", id=ids.new(ids.now()))


def _record(tx: Transaction) -> None:
    """Record an event as a charge does."""
    at = ids.now()
    charge = Charge(
        id=ids.new(at),
        livemode=False,
        created_at=at,
        amount=10_000,
        currency="USD",
        status="pending",
        capture=True,
        method="card",
        payment_method="tok_visa",
        description=None,
        statement_descriptor=None,
        metadata={},
        fee_plan="standard/1",
    )
    events.record(tx, HOT, event="charge.pending", subject=charge.id, version=1, data=charge, at=at)


def _record_with_counter(tx: Transaction) -> None:
    """Record the same, with its number taken from a counter at once: the twin."""
    tx.run("UPDATE counter SET last = last + 1 WHERE merchant_id = %(m)s", m=HOT.merchant_id)
    _record(tx)


# -- what it costs


def _written(app: Database, writing: Writing) -> Run:
    """Write again and again, each time in a transaction of its own."""

    def write() -> None:
        for _ in range(ROWS):
            with app.transaction(HOT) as tx:
                writing(tx)

    return _measured(write, app)


def _recorded(made: Cluster, app: Database, jobs: Database) -> Run:
    """Record, and let what was recorded be published and arrive, so that each round is alike."""
    recorded = _written(app, _record)
    publishing.publish(jobs)
    _arrive(made)
    return recorded


def _arrive(made: Cluster) -> None:
    with made.superuser() as root:
        root.execute("UPDATE deliveries SET status = 'succeeded', next_attempt_at = NULL")


def _recorded_and_published(made: Cluster, app: Database, jobs: Database) -> Run:
    recorded = _written(app, _record)
    published = _measured(lambda: publishing.publish(jobs), jobs)
    _arrive(made)
    return Run(
        ROWS,
        recorded.seconds + published.seconds,
        recorded.cpu_seconds + published.cpu_seconds,
    )


def _measured(work: Callable[[], object], database: Database) -> Run:
    """Return the CPU that some work costs here and in the database's own process."""
    with database.transaction() as tx:
        backend = psutil.Process(tx.value("SELECT pg_backend_pid()"))

    def spent() -> float:
        there = backend.cpu_times()
        return float(there.user + there.system) + time.process_time()

    before, started = spent(), time.perf_counter()
    work()
    return Run(ROWS, time.perf_counter() - started, spent() - before)


def _together(made: Cluster, writing: Writing, seconds: float) -> Run:
    """Let all clients write for some seconds."""
    done = [0] * CLIENTS
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        database = Database(made.url())
        while time.monotonic() < end:
            with database.transaction(HOT) as tx:
                writing(tx)
            done[number] += 1
        database.close()

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return Run(sum(done), seconds, seconds)


def _verify(made: Cluster) -> None:
    """Void the figures unless streams and deliveries are whole."""
    jobs = Database(made.url("ivy_jobs"))
    while publishing.publish(jobs).numbered:
        _arrive(made)
    jobs.close()
    with made.superuser() as root:
        counts = root.execute(
            "SELECT (SELECT count(*) FROM events), count(*), max(sequence),"
            " (SELECT count(*) FROM deliveries) FROM event_numbers"
        ).fetchone()
    if counts is None or len(set(counts)) != 1:
        raise VoidError(f"void: events, numbers, last number, deliveries are {counts}")
