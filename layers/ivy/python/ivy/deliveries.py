"""Deliveries: each event on its way to each endpoint that wants it.

``fan_out`` makes them for events that have just got their numbers, ``claim`` takes those that are
due, as many of each endpoint as it may have under way, and ``send`` gives them to the queue of the
sender. What comes of an attempt is written by ``ivy.delivery_outcomes``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ivy import api_keys, errors, events, faults, ids, observe, operations, pages, webhooks
from ivy.aws import client
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.events import Event, Numbered
from ivy.models import Flag, Input, Moment, Object, Time, example
from ivy.settings import settings
from ivy.webhook_messages import Delivery as Message
from ivy.webhooks import Endpoint

HORIZON = timedelta(seconds=60)
"""What is due by then is given to the queue now, which holds it until its second comes."""

LEASE = timedelta(minutes=5)
"""What is being sent and not heard of for so long is sent again; messages are hidden shorter."""

UNANSWERED = timedelta(seconds=3)
"""An endpoint that owes an answer for so long is sent nothing more: each waiting attempt keeps a
sender, and with it others' messages, until it ends."""

ANSWERED_BY_THEN = timedelta(seconds=20)
"""An attempt that began earlier has ended, whatever became of its report."""

CLAIM_LIMIT = 500
"""Deliveries that one pass claims; the next pass takes the rest."""

REPLAY_LIMIT = 10_000
"""Events that one replay sends at most."""

LATE = timedelta(hours=1)
"""For how long an event may have waited for its number, and so for its deliveries."""

_SQS_BATCH = 10
_SQS_BYTES = 200_000

Status = Literal["pending", "sending", "succeeded", "failed", "canceled"]
FailureReason = Literal["attempts_exhausted", "endpoint_disabled", "endpoint_deleted"]


class Attempt(Object):
    """One attempt, and what the endpoint answered."""

    number: int
    at: Time
    outcome: Literal["delivered", "failed"]
    status_code: int | None
    error: Annotated[str | None, Field(description="Why it failed: a stable code.")]
    milliseconds: int
    response: Annotated[
        str | None, Field(description="The first 4 KB of the answer; null in lists.")
    ] = None


class Delivery(Object):
    """One event on its way to one endpoint."""

    model_config = example(
        id="dlv_019ab2c4d7137c3d8e55d02f8b1c4e6c",
        object="delivery",
        livemode=False,
        created_at="2026-11-24T09:30:01.000Z",
        endpoint="whe_019ab2c9b1c27d3e8f4a5b6c7d8e9f01",
        event="evt_019ab2c4d7127b3c8e55d02f8b1c4e6b",
        event_type="charge.succeeded",
        sequence=42,
        status="succeeded",
        failure_reason=None,
        next_attempt_at=None,
        attempts=[
            {
                "number": 1,
                "at": "2026-11-24T09:30:01.000Z",
                "outcome": "delivered",
                "status_code": 200,
                "error": None,
                "milliseconds": 84,
                "response": None,
            }
        ],
    )

    id: ids.DeliveryId
    object: Literal["delivery"] = "delivery"
    livemode: bool
    created_at: Time
    endpoint: ids.WebhookEndpointId
    event: ids.EventId
    event_type: str
    sequence: int
    status: Status
    failure_reason: FailureReason | None
    next_attempt_at: Time | None
    attempts: list[Attempt]


class EventWithDeliveries(Event):
    """An event, and what came of it at each endpoint; the newest deliveries first."""

    deliveries: list[Delivery]


class DeliveryQuery(pages.Page):
    """Which deliveries to list."""

    status: Status | None = None


class Replay(Input):
    """Which events to send again: those made from ``since`` on and before ``until``."""

    model_config = example(since="2026-11-24T00:00:00Z", only_failed=True)

    since: Moment
    until: Annotated[Moment | None, Field(description="The present when left out.")] = None
    only_failed: Annotated[
        Flag, Field(description="Only those whose last delivery here failed.")
    ] = False

    @model_validator(mode="after")
    def _runs_forward(self) -> Replay:
        if self.until is not None and self.until <= self.since:
            raise PydanticCustomError("replay_range", "until must be after since")
        return self


class Replayed(Object):
    """What a replay began; with ``has_more``, ask again from ``next_since``."""

    model_config = example(object="replay", deliveries=7, has_more=False, next_since=None)

    object: Literal["replay"] = "replay"
    deliveries: Annotated[int, Field(description="Deliveries begun.")]
    has_more: bool
    next_since: Time | None


def fan_out(tx: Transaction, numbered: list[Numbered], at: datetime) -> None:
    """Begin the deliveries of events that have just got their numbers; runs as ``ivy_jobs``."""
    webhooks.fanning_out(tx)
    tx.run(
        _FAN_OUT,
        merchants=[each.merchant_id for each in numbered],
        modes=[each.livemode for each in numbered],
        firsts=[each.first for each in numbered],
        lasts=[each.last for each in numbered],
        at=at,
    )


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A delivery to send, with all that its message needs."""

    delivery_id: UUID
    merchant_id: int
    endpoint_id: UUID
    url: str
    number: int
    wait: timedelta
    endpoint_version: str
    id: UUID
    livemode: bool
    created_at: datetime
    type: str
    sequence: int
    data: dict[str, Any]
    balance_changes: list[Any]

    def message(self) -> Message:
        """Return the message to the sender."""
        event = Event(
            id=self.id,
            livemode=self.livemode,
            created_at=self.created_at,
            type=self.type,
            sequence=self.sequence,
            data=self.data,
            balance_changes=self.balance_changes,
        )
        return Message(
            id=self.delivery_id,
            account=operations.account_name(Tenant(self.merchant_id, self.livemode)),
            endpoint=self.endpoint_id,
            url=self.url,
            event=ids.Prefix("evt").write(self.id),
            number=self.number,
            body=events.notification(event, self.endpoint_version),
            api_version=self.endpoint_version,
        )


Waiting = tuple[Message, int]
"""A message to the sender, and for how many seconds the queue is to hold it."""


def claim(tx: Transaction, at: datetime, limit: int = CLAIM_LIMIT) -> list[Waiting]:
    """Take deliveries that are due soon, and return them; runs as ``ivy_jobs``, one at a time.

    Of each enabled endpoint that is not resting and owes no answer, as many as may be under way at
    once; of an ordered one only the first that is open. Send what is returned after the commit.
    """
    events.take_lane(tx)
    rows = tx.rows(
        _Claimed,
        _CLAIM,
        at=at,
        horizon=HORIZON,
        lease=LEASE,
        unanswered=UNANSWERED,
        answered_by_then=ANSWERED_BY_THEN,
        limit=limit,
    )
    return [(row.message(), max(math.ceil(row.wait.total_seconds()), 0)) for row in rows]


def send(messages: Iterable[Waiting]) -> int:
    """Give messages to the sender's queue and return how many it took.

    Never raises: what is not taken now is claimed again when its lease has ended.
    """
    return sum(_send_batch(batch) for batch in _batches(messages))


def _batches(messages: Iterable[Waiting]) -> Iterator[list[dict[str, Any]]]:
    """Yield entries that the queue takes at once: ten, or as many as have room."""
    batch: list[dict[str, Any]] = []
    size = 0
    for message, delay_seconds in messages:
        body = message.model_dump_json()
        if len(batch) == _SQS_BATCH or (batch and size + len(body.encode()) > _SQS_BYTES):
            yield batch
            batch, size = [], 0
        size += len(body.encode())
        batch.append({"Id": str(len(batch)), "MessageBody": body, "DelaySeconds": delay_seconds})
    if batch:
        yield batch


def _send_batch(entries: list[dict[str, Any]]) -> int:
    try:
        answer = client("sqs").send_message_batch(
            QueueUrl=settings().required("webhooks_queue_url"), Entries=entries
        )
    except Exception:  # noqa: BLE001 - the rows are leased; only time is lost
        observe.failure("deliveries.send_failed", deliveries=len(entries))
        observe.count("DeliverySendFailed", len(entries))
        return 0
    faults.point("deliveries.after_send")
    failed = len(answer.get("Failed", []))
    if failed:
        observe.count("DeliverySendFailed", failed)
    return len(entries) - failed


def get(tx: Transaction, delivery_id: UUID) -> Delivery:
    """Return one delivery of the transaction's tenant, with every answer.

    Raises:
        ResourceMissing: This merchant has no such delivery in this mode.
    """
    found = tx.row(Delivery, _ONE, id=delivery_id)
    if found is None:
        raise errors.ResourceMissing(f"No delivery {ids.Prefix('dlv').write(delivery_id)}.")
    return found


def page(tx: Transaction, endpoint_id: UUID, query: DeliveryQuery) -> pages.Listing[Delivery]:
    """Return one page of an endpoint's deliveries, newest first.

    Raises:
        ResourceMissing: This merchant has no such endpoint in this mode.
    """
    webhooks.get(tx, endpoint_id)
    lowest, below = query.bounds()
    found = tx.rows(
        Delivery,
        _LISTED
        + " WHERE d.endpoint_id = %(endpoint)s AND d.id >= %(lowest)s AND d.id < %(below)s"
        + " AND (%(status)s::text IS NULL OR d.status = %(status)s)"
        + " ORDER BY d.id DESC LIMIT %(limit)s + 1",
        endpoint=endpoint_id,
        lowest=lowest,
        below=below,
        status=query.status,
        limit=query.limit,
    )
    return pages.listing(Delivery, found, query.limit)


def of_event(tx: Transaction, event: Event) -> EventWithDeliveries:
    """Return an event with its deliveries, newest first."""
    found = tx.rows(
        Delivery,
        _LISTED + " WHERE d.event_id = %(id)s ORDER BY d.id DESC LIMIT %(limit)s",
        id=event.id,
        limit=pages.MAX_PAGE,
    )
    return EventWithDeliveries(**event.model_dump(mode="python"), deliveries=found)


def resend(tx: Transaction, caller: Caller, delivery_id: UUID) -> Delivery:
    """Send an event to an endpoint again: at once if it waits for that, else anew.

    One that is being sent is left alone.

    Raises:
        CredentialInvalid.
        ResourceMissing: There is no such delivery, or its endpoint was deleted.
        EndpointNotEnabled: The endpoint is paused or disabled.
    """
    api_keys.check_standing(tx, caller)
    delivery = get(tx, delivery_id)
    webhooks.require_enabled(webhooks.lock(tx, delivery.endpoint))
    at = ids.now()
    tx.to_publish = True
    tx.run(
        "UPDATE webhook_endpoints SET resting_until = NULL WHERE id = %(id)s", id=delivery.endpoint
    )
    started: UUID = tx.value(
        _RESEND,
        merchant_id=caller.tenant.merchant_id,
        livemode=caller.tenant.livemode,
        endpoint=delivery.endpoint,
        event=delivery.event,
        sequence=delivery.sequence,
        at=at,
    )
    return get(tx, started)


@dataclass(frozen=True, slots=True)
class _Again:
    deliveries: int
    next_since: datetime | None


def replay(tx: Transaction, caller: Caller, endpoint_id: UUID, wanted: Replay) -> Replayed:
    """Begin deliveries of past events that an endpoint subscribes to, oldest first.

    With ``only_failed``, of those whose last delivery to it failed; without, also of those it never
    got. One that is still on its way there is not sent twice.

    Raises:
        CredentialInvalid, ResourceMissing.
        EndpointNotEnabled: It is paused or disabled.
    """
    api_keys.check_standing(tx, caller)
    endpoint = webhooks.lock(tx, endpoint_id)
    webhooks.require_enabled(endpoint)
    found = tx.row(
        _Again,
        _AGAIN,
        merchant_id=caller.tenant.merchant_id,
        livemode=caller.tenant.livemode,
        endpoint=endpoint.id,
        lowest=ids.first_at(wanted.since),
        below=ids.first_at(wanted.until or ids.now()),
        only_failed=wanted.only_failed,
        at=ids.now(),
        limit=REPLAY_LIMIT,
    )
    assert found is not None  # noqa: S101 - an aggregate returns one row
    tx.to_publish = True
    return Replayed(
        deliveries=found.deliveries,
        has_more=found.next_since is not None,
        next_since=found.next_since,
    )


def resume(tx: Transaction, tenant: Tenant, before: Endpoint, after: Endpoint) -> None:
    """Let an endpoint that was disabled and no longer is have what it missed.

    That is what failed while it only failed, whenever it happened, and what it was never to get.
    """
    if before.disabled_at is None or after.disabled_at is not None:
        return
    webhooks.hold_fan_outs(tx)
    tx.to_publish = True
    tx.run(
        _RESUME,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        endpoint=after.id,
        failing_since=before.failing_since or before.disabled_at,
        lowest=ids.first_at(max(before.created_at, before.disabled_at - LATE)),
        at=ids.now(),
        limit=REPLAY_LIMIT,
    )


def give_up(tx: Transaction, endpoint_id: UUID, reason: FailureReason) -> None:
    """End every open delivery to an endpoint."""
    tx.run(
        "UPDATE deliveries SET status = %(status)s, failure_reason = %(reason)s,"
        " next_attempt_at = NULL"
        " WHERE endpoint_id = %(endpoint)s AND status IN ('pending', 'sending')",
        endpoint=endpoint_id,
        status="canceled" if reason == "endpoint_deleted" else "failed",
        reason=reason,
    )


_WANTED: LiteralString = """
    CASE WHEN e.type = 'webhook_endpoint.test' THEN w.id = e.object_id
         ELSE w.events && ARRAY['*', e.type, split_part(e.type, '.', 1) || '.*'] END
"""

_FAN_OUT: LiteralString = (
    """
    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            next_attempt_at)
    SELECT w.merchant_id, w.livemode, uuidv7(), w.id, e.id, n.sequence, %(at)s, %(at)s
    FROM unnest(%(merchants)s::bigint[], %(modes)s::boolean[], %(firsts)s::bigint[],
                %(lasts)s::bigint[]) AS fresh (merchant_id, livemode, first, last)
    JOIN webhook_endpoints w USING (merchant_id, livemode)
    JOIN event_numbers n ON (n.merchant_id, n.livemode) = (w.merchant_id, w.livemode)
        AND n.sequence BETWEEN first AND last
    JOIN events e ON (e.merchant_id, e.livemode, e.id) = (n.merchant_id, n.livemode, n.event_id)
    WHERE w.status IN ('enabled', 'paused') AND """
    + _WANTED
)

# An ordered endpoint has one delivery under way: the first that is open, and no other before it.
# Whether it is due is asked again where it is claimed: what came of an attempt may be written at
# this moment, and the claim waits for that row and then sees it anew.
_CLAIM: LiteralString = (
    """
    WITH endpoints AS MATERIALIZED (
        SELECT w.*, (
            SELECT count(*) FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status = 'sending'
              AND d.next_attempt_at > %(at)s + %(horizon)s) AS under_way
        FROM webhook_endpoints w
        WHERE w.status = 'enabled'
          AND (w.resting_until IS NULL OR w.resting_until <= %(at)s + %(horizon)s)
          AND EXISTS (
            SELECT FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status IN ('pending', 'sending')
              AND d.next_attempt_at <= %(at)s + %(horizon)s)
          AND NOT EXISTS (
            SELECT FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status = 'sending'
              AND d.next_attempt_at BETWEEN %(at)s + %(lease)s - %(answered_by_then)s
                  AND %(at)s + %(lease)s - %(unanswered)s)
    ), due AS (
        SELECT endpoints.*, first.id AS delivery_id, first.event_id,
               greatest(first.next_attempt_at, resting_until, %(at)s) AS send_at
        FROM endpoints CROSS JOIN LATERAL (
            SELECT d.id, d.event_id, d.next_attempt_at FROM deliveries d
            WHERE d.endpoint_id = endpoints.id AND d.status IN ('pending', 'sending')
              AND d.next_attempt_at <= %(at)s + %(horizon)s
              AND (NOT ordered OR d.sequence = (
                SELECT min(o.sequence) FROM deliveries o
                WHERE o.endpoint_id = endpoints.id AND o.status IN ('pending', 'sending')))
            ORDER BY d.next_attempt_at, d.sequence
            LIMIT greatest(
                CASE WHEN ordered THEN 1 ELSE allowance END - under_way, 0)) AS first
        ORDER BY send_at
        LIMIT %(limit)s
    ), claimed AS (
        UPDATE deliveries d
        SET status = 'sending', next_attempt_at = send_at + %(lease)s
        FROM due
        WHERE (d.merchant_id, d.livemode, d.id) = (due.merchant_id, due.livemode, delivery_id)
          AND d.status IN ('pending', 'sending') AND d.next_attempt_at <= %(at)s + %(horizon)s
        RETURNING d.id AS delivery_id, d.merchant_id, d.livemode, d.endpoint_id, d.event_id,
                  url, d.attempts + 1 AS number, send_at - %(at)s AS wait,
                  api_version AS endpoint_version, d.sequence, send_at
    )
    SELECT delivery_id, claimed.merchant_id, endpoint_id, url, number, wait, endpoint_version,
           events.id, events.livemode, events.created_at, events.type, sequence, events.data,
    """
    + events.BALANCE_CHANGES
    + """
    FROM claimed JOIN events ON (events.merchant_id, events.livemode, events.id)
        = (claimed.merchant_id, claimed.livemode, event_id)
    ORDER BY send_at, sequence
    """
)

_DELIVERIES: tuple[LiteralString, LiteralString] = (
    """
    SELECT d.id, d.livemode, d.created_at, d.endpoint_id AS endpoint, d.event_id AS event,
           e.type AS event_type, d.sequence, d.status, d.failure_reason, d.next_attempt_at,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object(
                   'number', number, 'at', at, 'outcome', outcome, 'status_code', status_code,
                   'error', error, 'milliseconds', milliseconds, 'response', """,
    """) ORDER BY number)
               FROM delivery_attempts WHERE delivery_id = d.id), '[]') AS attempts
    FROM deliveries d JOIN events e ON e.id = d.event_id
    """,
)

_ONE: LiteralString = _DELIVERIES[0] + "response" + _DELIVERIES[1] + " WHERE d.id = %(id)s"
_LISTED: LiteralString = _DELIVERIES[0] + "NULL" + _DELIVERIES[1]

_RESEND: LiteralString = """
    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            next_attempt_at)
    VALUES (%(merchant_id)s, %(livemode)s, uuidv7(), %(endpoint)s, %(event)s, %(sequence)s, %(at)s,
            %(at)s)
    ON CONFLICT (endpoint_id, sequence) WHERE status IN ('pending', 'sending')
    DO UPDATE SET next_attempt_at = CASE deliveries.status
        WHEN 'sending' THEN deliveries.next_attempt_at -- not a second one beside it
        ELSE least(deliveries.next_attempt_at, %(at)s) END
    RETURNING id
"""

_AGAIN: LiteralString = (
    """
    WITH wanted AS (
        SELECT e.id, e.created_at, n.sequence
        FROM events e
        JOIN event_numbers n ON n.event_id = e.id
        JOIN webhook_endpoints w ON w.id = %(endpoint)s
        WHERE e.merchant_id = %(merchant_id)s AND e.livemode = %(livemode)s
          AND e.id >= %(lowest)s AND e.id < %(below)s
          AND """
    + _WANTED
    + """
          AND (NOT %(only_failed)s OR 'failed' = (
            SELECT status FROM deliveries d
            WHERE d.event_id = e.id AND d.endpoint_id = w.id ORDER BY d.id DESC LIMIT 1))
        ORDER BY e.id
        LIMIT %(limit)s + 1
    ), chosen AS (
        SELECT * FROM wanted ORDER BY id LIMIT %(limit)s
    ), begun AS (
        INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence,
                                created_at, next_attempt_at)
        SELECT %(merchant_id)s, %(livemode)s, uuidv7(), %(endpoint)s, id, sequence, %(at)s, %(at)s
        FROM chosen
        ON CONFLICT (endpoint_id, sequence) WHERE status IN ('pending', 'sending') DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM begun) AS deliveries, (
        SELECT created_at FROM wanted ORDER BY id OFFSET %(limit)s) AS next_since
"""
)

# What failed: every delivery that is the last of its event here and was tried in the bad time or
# given up at its end. What it was never to get: events fanned out while it was disabled.
_RESUME: LiteralString = (
    """
    WITH failed AS (
        SELECT d.event_id, d.sequence FROM deliveries d
        WHERE d.endpoint_id = %(endpoint)s AND d.status = 'failed'
          AND (d.failure_reason = 'endpoint_disabled' OR EXISTS (
            SELECT FROM delivery_attempts
            WHERE delivery_id = d.id AND delivery_attempts.at >= %(failing_since)s))
          AND NOT EXISTS (
            SELECT FROM deliveries later
            WHERE (later.endpoint_id, later.event_id) = (d.endpoint_id, d.event_id)
              AND later.id > d.id)
        ORDER BY d.sequence
        LIMIT %(limit)s
    ), missed AS (
        SELECT e.id AS event_id, n.sequence
        FROM events e
        JOIN event_numbers n ON n.event_id = e.id
        JOIN webhook_endpoints w ON w.id = %(endpoint)s
        WHERE e.merchant_id = %(merchant_id)s AND e.livemode = %(livemode)s
          AND e.id >= %(lowest)s
          AND """
    + _WANTED
    + """
          AND NOT EXISTS (
            SELECT FROM deliveries d WHERE d.event_id = e.id AND d.endpoint_id = w.id)
        ORDER BY n.sequence
        LIMIT %(limit)s
    )
    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            next_attempt_at)
    SELECT %(merchant_id)s, %(livemode)s, uuidv7(), %(endpoint)s, event_id, sequence, %(at)s, %(at)s
    FROM (SELECT * FROM failed UNION ALL SELECT * FROM missed) AS wanted
    ORDER BY sequence
    ON CONFLICT (endpoint_id, sequence) WHERE status IN ('pending', 'sending') DO NOTHING
"""
)
