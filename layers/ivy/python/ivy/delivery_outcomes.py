"""What becomes of deliveries: arrived, tried again later, or given up; and of their endpoint."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ivy import deliveries, endpoint_health, errors, faults, webhooks
from ivy.database import Tenant, Transaction
from ivy.endpoint_health import Health
from ivy.webhook_messages import Attempted
from ivy.webhooks import Endpoint

SCHEDULE = (
    timedelta(),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long each attempt waits after the one before, as Standard Webhooks recommend."""

JITTER = 0.1


@dataclass(frozen=True, slots=True)
class _Open:
    id: UUID
    attempts: int


def record(tx: Transaction, tenant: Tenant, attempted: Attempted) -> bool:
    """Write what came of an attempt; False where it is told twice or nobody waits for it any more.

    An arrival counts whichever attempt it was; a failure only of the attempt that is under way.
    """
    try:
        endpoint = webhooks.lock(tx, attempted.endpoint)
    except errors.ResourceMissing:
        return False  # deleted, and its deliveries canceled
    found = tx.row(_Open, _OPEN, id=attempted.delivery, endpoint=endpoint.id)
    failed = attempted.outcome == "failed"
    if found is None or (failed and attempted.number != found.attempts + 1):
        return False
    attempted = attempted.model_copy(update={"at": attempted.at + tx.ahead()})
    _keep(tx, tenant, attempted)
    at = tx.now()
    health, event = endpoint_health.after(_health(tx, endpoint.id), attempted, at)
    if not failed:
        _end(tx, attempted, "succeeded", None)
    elif event == "webhook_endpoint.disabled":
        _end(tx, attempted, "failed", "endpoint_disabled")
        deliveries.give_up(tx, endpoint.id, "endpoint_disabled")
    elif attempted.number >= len(SCHEDULE):
        _end(tx, attempted, "failed", "attempts_exhausted")
    else:
        _try_later(tx, attempted)
    disabled: webhooks.DisabledReason | None = None
    if event == "webhook_endpoint.disabled":
        disabled = "gone" if attempted.gone else "failing"
    changed = _judge(tx, endpoint, health, announced=event is not None, disabled=disabled, at=at)
    if event is not None:
        webhooks.announce(tx, tenant, event, changed, at)
    tx.to_publish = True
    faults.point("delivery.record.before_commit")
    return True


def _health(tx: Transaction, endpoint_id: UUID) -> Health:
    """Return how an endpoint, locked before, has been answering."""
    found = tx.row(Health, _HEALTH, id=endpoint_id)
    assert found is not None  # noqa: S101 - it is locked
    return found


def _judge(
    tx: Transaction,
    endpoint: Endpoint,
    health: Health,
    *,
    announced: bool,
    disabled: webhooks.DisabledReason | None,
    at: datetime,
) -> Endpoint:
    """Write an endpoint's new health, and that it is disabled for a reason; returns the endpoint.

    A change that is announced is a new version.
    """
    judged = tx.row(
        Endpoint,
        _JUDGE,
        id=endpoint.id,
        **asdict(health),
        announced=int(announced),
        disabled=disabled,
        at=at,
    )
    assert judged is not None  # noqa: S101 - it is locked
    return judged


def _keep(tx: Transaction, tenant: Tenant, attempted: Attempted) -> None:
    """Keep an attempt in the log, under the next number there.

    A message that came twice can fail first and arrive then: both are in the log.
    """
    tx.run(
        _KEEP,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        delivery_id=attempted.delivery,
        **attempted.model_dump(
            include={*("at", "outcome", "status_code", "error", "milliseconds", "response")}
        ),
    )


def _end(
    tx: Transaction,
    attempted: Attempted,
    status: deliveries.Status,
    reason: deliveries.FailureReason | None,
) -> None:
    tx.run(
        "UPDATE deliveries SET status = %(status)s, failure_reason = %(reason)s,"
        " attempts = greatest(attempts, %(number)s), next_attempt_at = NULL WHERE id = %(id)s",
        id=attempted.delivery,
        status=status,
        reason=reason,
        number=attempted.number,
    )


def _try_later(tx: Transaction, attempted: Attempted) -> None:
    tx.run(
        "UPDATE deliveries SET status = 'pending', attempts = %(number)s,"
        " next_attempt_at = %(next)s WHERE id = %(id)s",
        id=attempted.delivery,
        number=attempted.number,
        next=next_attempt_at(attempted, random.uniform(1 - JITTER, 1 + JITTER)),  # noqa: S311 - spread, not secrecy
    )


def next_attempt_at(attempted: Attempted, jitter: float = 1.0) -> datetime:
    """Return when to try again after a failure: by the schedule, or later if it asked for that."""
    ended = attempted.at + timedelta(milliseconds=attempted.milliseconds)
    asked = timedelta(seconds=attempted.retry_after_seconds or 0)
    return ended + max(SCHEDULE[attempted.number] * jitter, asked)


_OPEN = """
    SELECT id, attempts FROM deliveries
    WHERE id = %(id)s AND endpoint_id = %(endpoint)s AND status IN ('pending', 'sending')
    FOR UPDATE
"""

_KEEP = """
    INSERT INTO delivery_attempts (merchant_id, livemode, delivery_id, number, at, outcome,
                                   status_code, error, milliseconds, response)
    SELECT %(merchant_id)s, %(livemode)s, %(delivery_id)s, coalesce(max(number), 0) + 1, %(at)s,
           %(outcome)s, %(status_code)s, %(error)s, %(milliseconds)s, %(response)s
    FROM delivery_attempts
    WHERE (merchant_id, livemode, delivery_id)
        = (%(merchant_id)s, %(livemode)s, %(delivery_id)s)
"""

_HEALTH = """
    SELECT allowance, failures, failing_since, warned_percent, warned_at, resting_until
    FROM webhook_endpoints WHERE id = %(id)s
"""

_JUDGE = (
    """
    UPDATE webhook_endpoints
    SET allowance = %(allowance)s, failures = %(failures)s, failing_since = %(failing_since)s,
        warned_percent = %(warned_percent)s, warned_at = %(warned_at)s,
        resting_until = %(resting_until)s, version = version + %(announced)s,
        status = CASE WHEN %(disabled)s::text IS NULL THEN status ELSE 'disabled' END,
        disabled_reason = coalesce(%(disabled)s, disabled_reason),
        disabled_at = CASE WHEN %(disabled)s::text IS NULL THEN disabled_at ELSE %(at)s END
    WHERE id = %(id)s
    RETURNING """
    + webhooks.COLUMNS
)
