"""Figures 7, 10 and 14: what one charge leaves behind, what its retry costs, what it takes.

The product's handlers do the work. For bytes and for CPU the calls of AWS are left out, so that the
database and the handler are what is measured.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import psutil  # type: ignore[import-untyped]  # it has no types

from bench import counting, deployed, pricing
from bench.books import VoidError
from bench.counting import CHARGE
from bench.pricing import Used
from bench.rounds import MICRO, TIMES, Figure, Rounds, Run, costs, counted, cpu_ratio
from bench.silence import quietly
from functions.charges import create, process
from ivy import events, outbox, publishing
from ivy.connectors import Approved, Asked, remote
from ivy.database import Database, database
from ivy.outbox import Task
from ivy.serve import once
from tests import invariants
from tests.driving import Account, LambdaContext, Platform, rest_event, sqs_event

CHARGES = 2_000
FULL_CHARGES = 10_000
BATCH = 10
"""Charges that a queue hands over at once, as in ``prices.json``."""

EACH = 50
"""Charges of a round that is timed."""

TRANSIENT = "outbox"
"""Empty between charges: it grows only until it is vacuumed."""

WHOLE = ("charges", "journal", "events", "idempotency_keys")


def measure(rounds: int, *, full: bool) -> list[Figure]:
    """Return the figures; void unless every charge has succeeded and the books are right."""
    with quietly(), deployed.deployed() as (platform, account, _):
        counts = counting.counted(platform, account)
        replays = _replays(platform, account, rounds)
        left = _left_behind(platform, account, FULL_CHARGES if full else CHARGES)
    used = Used(
        left.server_us, left.create_us, left.process_us, left.publish_us, left.wal_bytes,
        left.stored_bytes,
    )  # fmt: skip
    return [*left.figures(), *_of_replays(replays), *pricing.figures(counts, used)]


# -- replays


def _request(platform: Platform, account: Account, key: str) -> dict[str, Any]:
    return rest_event(
        create.handler,
        CHARGE,
        principal=platform.principal(account.secret_key),
        headers={"Idempotency-Key": key},
    )


def _cpu() -> float:
    """Return the CPU of this process and of the database process that serves it."""
    times = _backend(database()).cpu_times()
    return float(times.user + times.system) + time.process_time()


def _timed(requests: list[dict[str, Any]], *, replayed: bool) -> Run:
    before, started = _cpu(), time.perf_counter()
    for request in requests:
        answer = create.handler(request, LambdaContext())
        given = {**answer.get("multiValueHeaders", {}), **answer["headers"]}
        if answer["statusCode"] != create.handler.status or ("idempotent-replayed" in given) != (
            replayed
        ):
            raise VoidError(f"void: {answer}")
    return Run(len(requests), time.perf_counter() - started, _cpu() - before)


def _replays(platform: Platform, account: Account, rounds: int) -> Rounds:
    """Time first executions, replays out of DynamoDB, and replays out of Postgres, in turn."""
    done: dict[str, list[Run]] = {"first": [], "front": [], "truth": []}
    platform.principal(account.secret_key)
    platform.enter(create.handler.needs)
    create.handler(_request(platform, account, uuid.uuid4().hex), LambdaContext())
    for _ in range(rounds):
        requests = [_request(platform, account, uuid.uuid4().hex) for _ in range(EACH)]
        done["first"].append(_timed(requests, replayed=False))
        done["front"].append(_timed(requests, replayed=True))
        platform.empty_table()
        done["truth"].append(_timed(requests, replayed=True))
        platform.empty_table()
    platform.lose_messages()
    return done


def _of_replays(done: Rounds) -> list[Figure]:
    base = costs(done, "first")
    return [
        Figure(
            "10", "replay of a known key / first execution, CPU", TIMES,
            cpu_ratio(done, "front", "first"), "cpu", gate=0.5, target=0.2, anchor=base,
            note=f"{costs(done, 'front').median:.0f} µs and {base.median:.0f} µs, both sides",
        ),
        Figure(
            "10b", "the same, DynamoDB having forgotten it", TIMES,
            cpu_ratio(done, "truth", "first"), "cpu", anchor=base,
        ),
    ]  # fmt: skip


# -- bytes


class _Approving:
    """An acquirer that says yes at once."""

    def carry_out(self, asked: Sequence[Asked]) -> list[Approved]:
        """Approve all."""
        return [Approved(reference=f"sim_{each.order.key}", cost_minor=180) for each in asked]


class _NoFront:
    """A table that is never there."""

    def __init__(self, *_: object) -> None:
        self.claim = self.release = lambda: None
        self.complete = lambda _: None


@dataclass(frozen=True)
class Left:
    """What charges left behind, each, and what they cost."""

    relations: dict[str, float]
    wal_bytes: float
    server_us: float
    create_us: float
    process_us: float
    publish_us: float

    @property
    def stored_bytes(self) -> float:
        """Return the bytes that each leaves for good: rows, their pages, their indexes."""
        return sum(size for name, size in self.relations.items() if name != TRANSIENT)

    def figures(self) -> list[Figure]:
        """Return them as figures."""
        whole = sum(self.relations[name] for name in WHOLE)
        each = ", ".join(f"{name} {size:,.0f}" for name, size in self.relations.items())
        return [
            Figure(
                "7a", "bytes of a charge, with its posting, events and key", "B", counted(whole),
                "counted", gate=1000, target=600, note=f"with pages and indexes: {each}",
            ),
            Figure(
                "7b", "write-ahead log of a charge, whole life", "B", counted(self.wal_bytes),
                "counted", gate=1600, target=950, note="its publishing included",
            ),
        ]  # fmt: skip


def _left_behind(platform: Platform, account: Account, charges: int) -> Left:
    """Let charges live their whole life, and return what is left of each.

    As many have lived before, so that what comes and goes finds the room of what has gone. What
    vacuuming writes is not in the log: it depends on how often it is done.
    """
    platform.enter((*create.handler.needs, *process.handler.needs))
    jobs = Database(platform.store.url("ivy_jobs"))
    _live(platform, account, jobs, charges)
    sizes, log = _sizes(platform), _log_position(platform)
    used = _live(platform, account, jobs, charges)
    end, now = _log_position(platform), _sizes(platform)
    jobs.close()
    _check(platform)
    return Left(
        {name: (now[name] - sizes[name]) / charges for name in now if now[name] > sizes[name]},
        (end - log) / charges,
        **{f"{name}_us": seconds / charges * MICRO for name, seconds in used.items()},
    )


def _live(platform: Platform, account: Account, jobs: Database, charges: int) -> dict[str, float]:
    """Make charges, decide them in batches, publish their events; returns the CPU of each part."""
    owed: list[Task] = []
    used = {"create": 0.0, "process": 0.0, "publish": 0.0}

    def step(name: str, handler: Callable[..., Any], event: dict[str, Any]) -> None:
        before = time.process_time()
        handler(event, LambdaContext())
        used[name] += time.process_time() - before

    with (
        mock.patch.object(once, "Front", _NoFront),
        mock.patch.object(outbox, "send", owed.extend),
        mock.patch.object(events, "wake", return_value=None),
        mock.patch.object(remote, "connector", return_value=_Approving()),
    ):
        before = _server_cpu(jobs)
        for _ in range(charges // BATCH):
            for _ in range(BATCH):
                asked = _request(platform, account, uuid.uuid4().hex)
                step("create", create.handler, asked)
            messages = {str(n): task.message() for n, task in enumerate(owed)}
            owed.clear()
            step("process", process.handler, sqs_event(messages))
            step("publish", lambda *_: publishing.publish(jobs), {})
        return used | {"server": _server_cpu(jobs) - before}


def _server_cpu(jobs: Database) -> float:
    """Return the CPU of the processes that serve this one."""
    times = [_backend(each).cpu_times() for each in (database(), jobs)]
    return float(sum(each.user + each.system for each in times))


def _backend(of: Database) -> psutil.Process:
    """Return the database process behind a connection; which it is, nobody else knows."""
    return psutil.Process(of._connected().info.backend_pid)  # noqa: SLF001 - see above


def _sizes(platform: Platform) -> dict[str, int]:
    """Return the bytes of every table with its indexes."""
    with platform.store.superuser() as root:
        root.execute("VACUUM")
        return dict(
            root.execute(
                "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'ivy'::regnamespace ORDER BY relname"
            ).fetchall()
        )


def _log_position(platform: Platform) -> int:
    with platform.store.superuser() as root:
        row = root.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    assert row is not None
    return int(row[0])


def _check(platform: Platform) -> None:
    """Void the figures unless every charge has succeeded and nothing in the books is wrong."""
    with platform.store.superuser() as root:
        row = root.execute(
            "SELECT count(*) FILTER (WHERE status <> 'succeeded' AND version > 1),"
            " count(*) FILTER (WHERE status = 'succeeded'), (SELECT count(*) FROM journal),"
            " (SELECT sum(amount) FROM entries) FROM charges"
        ).fetchone()
        violations = invariants.broken(root)
    assert row is not None
    undecided, succeeded, postings, legs = row
    if undecided or succeeded != postings or legs or violations:
        raise VoidError(f"void: {row} {violations}")
