"""Work that is stuck: shown to operators, and resolved by them when a connector cannot say.

The relay asks again and again by itself. What is still unanswered long after it was expected needs
a person, who looks into the acquirer's own records and says here what they found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ivy import charge_outcomes, dispute_outcomes, errors, ids, outbox, refund_outcomes
from ivy.connectors import Approved, Declined, Outcome
from ivy.database import Transaction
from ivy.models import Input, Object, ShortText, Time, example
from ivy.operations import Answer, tenant_of
from ivy.outbox import Queue, Task

MAX_SHOWN = 200
PREFIXES: dict[Queue, str] = {
    "charges": "ch", "refunds": "re", "disputes": "dp", "payouts": "po", "clock": "clk",
    "settlement_reports": "stl", "reports": "rpt",
}  # fmt: skip


class StuckQuery(Input):
    """Which work to show."""

    everything: bool = False
    """Also work that is not overdue."""


class StuckWork(Object):
    """One piece of work that nobody has finished."""

    account: str
    subject: str
    action: str
    amount: int | None
    sends: int
    created_at: Time
    expected_at: Time
    overdue_seconds: int
    connector: str | None
    request_id: str | None
    attempts: int
    last_outcome: str | None


class StuckList(Object):
    """Work that is stuck, most overdue first."""

    object: Literal["stuck_list"] = "stuck_list"
    data: list[StuckWork]


class Resolution(Input):
    """What an operator found out about stuck work, or that it is to be asked about again."""

    model_config = example(
        account="1001-test",
        subject="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        outcome="approved",
        reference="sim_019ab2c4d5e67f8091a2b3c4d5e6f708",
        by="operator@example.com",
        reason="seen in the acquirer's settlement report",
    )

    account: Annotated[str, Field(pattern="^[0-9]{1,18}-(live|test)$")]
    subject: Annotated[str, Field(pattern="^(ch|re|dp|po|stl|rpt)_[0-9a-f]{32}$")]
    outcome: Literal["approved", "declined", "ask_again"]
    reference: ShortText | None = None
    cost_minor: Annotated[int, Field(ge=0)] = 0
    failure_code: ShortText = "resolved_by_operator"
    by: ShortText
    reason: ShortText


class Resolved(Object):
    """What was done about stuck work."""

    object: Literal["resolution"] = "resolution"
    subject: str
    outcome: str


@dataclass(frozen=True, slots=True)
class _Row:
    merchant_id: int
    livemode: bool
    queue: Queue
    subject: UUID
    action: str
    amount: int | None
    sends: int
    created_at: Time
    expected_at: Time
    overdue_seconds: int
    connector: str | None
    request_id: str | None
    attempts: int
    last_outcome: str | None


def find(tx: Transaction, query: StuckQuery) -> StuckList:
    """Return what is stuck, in every merchant and mode; runs as ``ivy_jobs``."""
    rows = tx.rows(_Row, _STUCK, everything=query.everything, limit=MAX_SHOWN)
    return StuckList(
        data=[
            StuckWork(
                account=f"{row.merchant_id}-{'live' if row.livemode else 'test'}",
                subject=ids.Prefix(PREFIXES[row.queue]).write(row.subject),
                action=row.action,
                amount=row.amount,
                sends=row.sends,
                created_at=row.created_at,
                expected_at=row.expected_at,
                overdue_seconds=row.overdue_seconds,
                connector=row.connector,
                request_id=row.request_id,
                attempts=row.attempts,
                last_outcome=row.last_outcome,
            )
            for row in rows
        ]
    )


@dataclass(frozen=True, slots=True)
class _Open:
    id: UUID
    queue: Queue
    correlation: str


def resolve(tx: Transaction, found: Resolution) -> Resolved:
    """Write what an operator found out, exactly as if the connector had said it.

    Raises:
        ResourceMissing: Nothing is under way with this object in this account.
    """
    tenant = tenant_of(found.account)
    tx.choose(tenant)
    prefix, _, digits = found.subject.partition("_")
    subject = UUID(hex=digits)
    work = tx.row(
        _Open, "SELECT id, queue, correlation FROM outbox WHERE subject = %(id)s", id=subject
    )
    if work is None or PREFIXES[work.queue] != prefix:
        raise errors.ResourceMissing(f"Nothing is under way with {found.subject}.")
    task = Task(work.id, work.queue, tenant, subject, work.correlation)
    if found.outcome == "ask_again":
        outbox.postpone(tx, task, tx.now())
    elif not _conclude(tx, task, _outcome(found), found.by):
        raise errors.ResourceMissing(f"Nothing is left to resolve about {found.subject}.")
    return Resolved(subject=found.subject, outcome=found.outcome)


def _outcome(found: Resolution) -> Outcome:
    if found.outcome == "declined":
        return Declined(failure_code=found.failure_code)
    reference = found.reference or f"operator_{found.subject}"
    return Approved(reference=reference, cost_minor=found.cost_minor)


def _conclude(tx: Transaction, task: Task, outcome: Outcome, by: str) -> bool:
    """Note an attempt and conclude it at once; False when there was nothing to conclude."""
    answer = Answer(outcome, 0, resolved_by=by)
    if task.queue == "charges":
        started = charge_outcomes.begin(tx, task)
        return started is not None and bool(charge_outcomes.conclude(tx, task, started, answer))
    if task.queue == "refunds":
        attempt = refund_outcomes.begin(tx, task)
        return attempt is not None and bool(refund_outcomes.conclude(tx, task, attempt, answer))
    if task.queue in ("payouts", "settlement_reports", "reports"):
        return False  # no acquirer is asked; an operator can only have it looked at
    attempt = dispute_outcomes.begin(tx, task)
    return attempt is not None and dispute_outcomes.conclude(tx, task, attempt, answer)


_STUCK = """
    SELECT outbox.merchant_id, outbox.livemode, outbox.queue, outbox.subject, outbox.action,
           outbox.amount, outbox.sends, outbox.created_at, outbox.expected_at,
           greatest(extract(epoch FROM now() - outbox.expected_at), 0)::integer AS overdue_seconds,
           asked.connector, asked.request_id, coalesce(asked.attempts, 0) AS attempts,
           asked.last_outcome
    FROM outbox
    LEFT JOIN LATERAL (
        SELECT count(*)::integer AS attempts,
               (array_agg(connector ORDER BY number DESC))[1] AS connector,
               (array_agg(request_id ORDER BY number DESC))[1] AS request_id,
               (array_agg(outcome ORDER BY number DESC))[1] AS last_outcome
        FROM attempts
        WHERE attempts.merchant_id = outbox.merchant_id AND attempts.livemode = outbox.livemode
          AND attempts.subject = outbox.subject
    ) AS asked ON true
    WHERE %(everything)s OR outbox.expected_at < now()
    ORDER BY outbox.expected_at
    LIMIT %(limit)s
"""
