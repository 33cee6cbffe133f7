"""Work that a committed change still owes, and the messages that get it done.

``owe`` writes a row in the transaction of the change. After the commit the message is sent to its
queue at once, as a courtesy: if that fails, or the process dies, or the queue loses it, the relay
sends it again until the consumer has deleted the row, which it does in the transaction of the
work's effect. So work is never lost, may be delivered any number of times, and takes effect once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, LiteralString
from uuid import UUID

from ivy import errors, faults, ids, observe
from ivy.aws import client
from ivy.database import Tenant, Transaction
from ivy.settings import settings

Queue = Literal[
    "charges", "refunds", "disputes", "payouts", "clock", "settlement_reports", "reports"
]

FIRST_RESEND = timedelta(seconds=30)
"""Work that is not done by then is sent again by the next run of the relay."""

STUCK_AFTER = timedelta(minutes=5)
"""Work that is not done by then, counted from when it was expected, is stuck."""

RELAY_LIMIT = 500
"""Messages one run of the relay claims at once; the next run takes the rest."""

_SQS_BATCH = 10


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of owed work: what a queue message says, and nothing else."""

    id: UUID
    queue: Queue
    tenant: Tenant
    subject: UUID
    correlation: str

    def message(self) -> str:
        """Return the body of the queue message: ids only, nothing worth stealing."""
        return json.dumps(
            {
                "id": str(self.id),
                "queue": self.queue,
                "merchant_id": self.tenant.merchant_id,
                "livemode": self.tenant.livemode,
                "subject": str(self.subject),
                "correlation": self.correlation,
            }
        )

    @classmethod
    def from_message(cls, body: str) -> Task:
        """Return the task in a queue message; raises ValueError or KeyError for anything else."""
        fields = json.loads(body)
        return cls(
            id=UUID(fields["id"]),
            queue=fields["queue"],
            tenant=Tenant(int(fields["merchant_id"]), bool(fields["livemode"])),
            subject=UUID(fields["subject"]),
            correlation=str(fields["correlation"]),
        )


def owe(
    tx: Transaction,
    tenant: Tenant,
    queue: Queue,
    subject: UUID,
    action: str,
    *,
    at: datetime,
    amount_minor: int | None = None,
) -> Task:
    """Promise work about ``subject`` to the consumer of ``queue``, and return the promise."""
    task = Task(ids.new(at), queue, tenant, subject, observe.correlation_id())
    tx.run(_OWE, **_row(task, action, amount_minor, at))
    tx.after_commit.append(task)
    return task


def request(
    tx: Transaction,
    tenant: Tenant,
    queue: Queue,
    subject: UUID,
    action: str,
    *,
    at: datetime,
    amount_minor: int | None = None,
) -> Task:
    """Promise work as ``owe`` does, unless something else is under way with the subject.

    Raises:
        OperationInProgress: There is; the caller may ask again when it has ended.
    """
    task = Task(ids.new(at), queue, tenant, subject, observe.correlation_id())
    row = _row(task, action, amount_minor, at)
    if tx.value(_OWE + " ON CONFLICT (subject) DO NOTHING RETURNING true", **row) is None:
        raise errors.OperationInProgress(retry_after_seconds=1)
    tx.after_commit.append(task)
    return task


def owe_each(
    tx: Transaction, queue: Queue, action: str, subjects: LiteralString, at: datetime
) -> list[Task]:
    """Promise the same work about every subject of a query; of all merchants as ``ivy_jobs``.

    ``subjects`` selects ``merchant_id, livemode, id`` of what is due at ``%(at)s``. One that has
    something under way is left for the next time. Send what is returned after the commit.
    """
    rows = tx.rows(
        _Overdue,
        _OWE_EACH[0] + subjects + _OWE_EACH[1],
        queue=queue,
        action=action,
        correlation=observe.correlation_id(),
        first_resend=FIRST_RESEND,
        stuck_after=STUCK_AFTER,
        limit=RELAY_LIMIT,
        at=at,
    )
    return [row.task() for row in rows]


def owe_all(
    tx: Transaction, queue: Queue, action: str, subjects: Sequence[tuple[Tenant, UUID, datetime]]
) -> None:
    """Promise the same work about new objects of many merchants in one statement.

    Each has no other work under way; the time is its merchant's.
    """
    tasks = [
        Task(ids.new(at), queue, tenant, subject, observe.correlation_id())
        for tenant, subject, at in subjects
    ]
    if not tasks:
        return
    tx.run(
        _OWE_ALL,
        id=[task.id for task in tasks],
        merchant_id=[task.tenant.merchant_id for task in tasks],
        livemode=[task.tenant.livemode for task in tasks],
        subject=[task.subject for task in tasks],
        due_at=[at for _, _, at in subjects],
        queue=queue,
        action=action,
        correlation=observe.correlation_id(),
        first_resend=FIRST_RESEND,
        stuck_after=STUCK_AFTER,
    )
    tx.after_commit += tasks


def is_owed(tx: Transaction, task: Task) -> bool:
    """Say whether a promise has still to be kept: its message may come again, or late."""
    return bool(
        tx.value(
            "SELECT true FROM outbox WHERE id = %(id)s AND subject = %(subject)s",
            id=task.id,
            subject=task.subject,
        )
    )


def replace(
    tx: Transaction, tenant: Tenant, queue: Queue, subject: UUID, *, before: str, action: str
) -> None:
    """Turn the work that is under way with a subject into another.

    Raises:
        OperationInProgress: It is not the expected work that is under way.
    """
    task_id = tx.value(
        "UPDATE outbox SET action = %(action)s, next_send_at = now() + %(first_resend)s,"
        " expected_at = now() + %(stuck_after)s, due_at = %(due_at)s"
        " WHERE subject = %(subject)s AND action = %(before)s RETURNING id",
        subject=subject,
        before=before,
        action=action,
        first_resend=FIRST_RESEND,
        stuck_after=STUCK_AFTER,
        due_at=tx.now(),
    )
    if task_id is None:
        raise errors.OperationInProgress(retry_after_seconds=1)
    tx.after_commit.append(Task(task_id, queue, tenant, subject, observe.correlation_id()))


def _row(task: Task, action: str, amount_minor: int | None, at: datetime) -> dict[str, Any]:
    return {
        "id": task.id,
        "merchant_id": task.tenant.merchant_id,
        "livemode": task.tenant.livemode,
        "queue": task.queue,
        "subject": task.subject,
        "action": action,
        "amount": amount_minor,
        "correlation": task.correlation,
        "first_resend": FIRST_RESEND,
        "stuck_after": STUCK_AFTER,
        "due_at": at,
    }


def postpone(tx: Transaction, task: Task, until: datetime) -> None:
    """Let work rest until a moment on its merchant's clock at which there is more to do.

    It has been answered, so the waits between its sends begin anew: whoever waited long for funds
    is not to wait an hour more because the acquirer is silent once.
    """
    _rest(tx, task, until, due_at=until)


def look_again(
    tx: Transaction, task: Task, every: timedelta, *, until: datetime | None = None
) -> None:
    """Let work rest that waits for somebody, and look at it every so often.

    A clock that moves does not stop for each look: only ``until``, when the wait ends by itself,
    is a moment for it.
    """
    _rest(tx, task, tx.now() + every, due_at=until)


def _rest(tx: Transaction, task: Task, until: datetime, *, due_at: datetime | None) -> None:
    tx.run(
        "UPDATE outbox SET sends = 1, next_send_at = %(until)s,"
        " expected_at = %(until)s + %(stuck_after)s,"
        " due_at = coalesce(%(due_at)s::timestamptz, 'infinity')"
        " WHERE id = %(id)s AND subject = %(subject)s",
        id=task.id,
        subject=task.subject,
        until=until - tx.ahead(),
        stuck_after=STUCK_AFTER,
        due_at=due_at,
    )


def clock_moved(tx: Transaction, tenant: Tenant, before: datetime, now: datetime) -> None:
    """Send a tenant's work on when its clock has moved from ``before`` to ``now``.

    What has come due in between is sent at once, and so is what waits for somebody else: what that
    was may have happened. The rest keeps its moment, which is sooner now.
    """
    tx.run(
        _CLOCK_MOVED,
        merchant_id=tenant.merchant_id,
        before=before,
        now=now,
        ahead=now - ids.now(),
        stuck_after=STUCK_AFTER,
    )


def settle(tx: Transaction, task: Task) -> None:
    """Strike out a promise that needs no more work."""
    tx.run(
        "DELETE FROM outbox WHERE id = %(id)s AND subject = %(subject)s",
        id=task.id,
        subject=task.subject,
    )


def send(tasks: Iterable[Task]) -> int:
    """Send tasks to their queues in batches and return how many were accepted.

    Never raises: whatever is not accepted now is still in the outbox and is sent again.
    """
    accepted = 0
    by_queue: dict[Queue, list[Task]] = {}
    for task in tasks:
        by_queue.setdefault(task.queue, []).append(task)
    for queue, waiting in by_queue.items():
        for batch in _batches(waiting):
            accepted += _send_batch(queue, batch)
    return accepted


def _batches(tasks: list[Task]) -> Iterator[list[Task]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, _SQS_BATCH)):
        yield batch


def _send_batch(queue: Queue, batch: list[Task]) -> int:
    try:
        answer = client("sqs").send_message_batch(
            QueueUrl=settings().required(f"{queue}_queue_url"),
            Entries=[{"Id": str(n), "MessageBody": t.message()} for n, t in enumerate(batch)],
        )
    except Exception:  # noqa: BLE001 - the promise is kept by the row; only the kick is lost
        observe.failure("outbox.send_failed", queue=queue, tasks=len(batch))
        observe.count("OutboxSendFailed", len(batch))
        return 0
    faults.point("outbox.after_send")
    failed = len(answer.get("Failed", []))
    if failed:
        observe.count("OutboxSendFailed", failed)
    return len(batch) - failed


@dataclass(frozen=True, slots=True)
class _Overdue:
    id: UUID
    queue: Queue
    merchant_id: int
    livemode: bool
    subject: UUID
    correlation: str

    def task(self) -> Task:
        """Return the promise that a row is."""
        tenant = Tenant(self.merchant_id, self.livemode)
        return Task(self.id, self.queue, tenant, self.subject, self.correlation)


def overdue(tx: Transaction, limit: int = RELAY_LIMIT) -> list[Task]:
    """Claim work that should have been done by now, oldest first, and postpone its next turn.

    Two relays at once claim different rows. The wait doubles with each send, up to an hour. Runs
    as ``ivy_jobs``; send what it returns after the commit.
    """
    rows = tx.rows(_Overdue, _OVERDUE, limit=limit)
    return [row.task() for row in rows]


def overdue_seconds(tx: Transaction) -> float:
    """Return for how long the most overdue work has been stuck; 0 when nothing is."""
    overdue: Any = tx.value(_MOST_OVERDUE)
    return float(overdue)


_OWE: LiteralString = """
    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, amount, correlation,
                        next_send_at, expected_at, due_at, created_at)
    VALUES (%(id)s, %(merchant_id)s, %(livemode)s, %(queue)s, %(subject)s, %(action)s, %(amount)s,
            %(correlation)s, now() + %(first_resend)s, now() + %(stuck_after)s, %(due_at)s,
            now())
"""

_OWE_ALL: LiteralString = """
    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,
                        next_send_at, expected_at, due_at, created_at)
    SELECT id, merchant_id, livemode, %(queue)s, subject, %(action)s, %(correlation)s,
           now() + %(first_resend)s, now() + %(stuck_after)s, due_at, now()
    FROM unnest(%(id)s::uuid[], %(merchant_id)s::bigint[], %(livemode)s::boolean[],
                %(subject)s::uuid[], %(due_at)s::timestamptz[])
        AS owed (id, merchant_id, livemode, subject, due_at)
"""

_OWE_EACH: tuple[LiteralString, LiteralString] = (
    """
    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,
                        next_send_at, expected_at, due_at, created_at)
    SELECT uuidv7(), merchant_id, livemode, %(queue)s, id, %(action)s, %(correlation)s,
           now() + %(first_resend)s, now() + %(stuck_after)s, %(at)s, now()
    FROM (
    """,
    """
    ) AS subjects
    LIMIT %(limit)s
    ON CONFLICT (subject) DO NOTHING
    RETURNING id, queue, merchant_id, livemode, subject, correlation
    """,
)

_OVERDUE: LiteralString = """
    UPDATE outbox
    SET sends = sends + 1,
        next_send_at = now() + least(interval '1 minute' * power(2, least(sends, 6)),
                                     interval '1 hour')
    WHERE subject IN (
        SELECT subject FROM outbox
        WHERE next_send_at <= now()
        ORDER BY next_send_at
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED)
    RETURNING id, queue, merchant_id, livemode, subject, correlation
"""

_CLOCK_MOVED: LiteralString = """
    UPDATE outbox
    SET due_at = CASE due_at WHEN 'infinity' THEN %(now)s ELSE due_at END,
        next_send_at = CASE
            WHEN due_at <= %(now)s OR due_at = 'infinity' THEN now()
            ELSE least(next_send_at, due_at - %(ahead)s) END,
        expected_at = CASE
            WHEN due_at <= %(now)s OR due_at = 'infinity' THEN now() + %(stuck_after)s
            ELSE least(expected_at, due_at - %(ahead)s + %(stuck_after)s) END
    WHERE merchant_id = %(merchant_id)s AND NOT livemode AND queue <> 'clock'
      AND due_at > %(before)s
"""

_MOST_OVERDUE: LiteralString = """
    SELECT greatest(coalesce(extract(epoch FROM now() - min(expected_at)), 0), 0)::double precision
    FROM outbox
"""
