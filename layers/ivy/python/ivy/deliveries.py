"""Deliveries: each event on its way to each endpoint that wants it, and sending it again.

``ivy.dispatch`` begins and sends them; what comes of an attempt is written by
``ivy.delivery_outcomes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ivy import api_keys, dispatch, ids, objects, pages, webhooks
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.events import Event
from ivy.models import Flag, Input, Moment, Object, Time, example
from ivy.webhooks import Endpoint

REPLAY_LIMIT = 10_000
"""Events that one replay sends at most."""

LATE = timedelta(hours=1)
"""For how long an event may have waited for its number, and so for its deliveries."""

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

    of = "dlv"

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


def get(tx: Transaction, delivery_id: UUID) -> Delivery:
    """Return one delivery of the transaction's tenant, with every answer.

    Raises:
        ResourceMissing: This merchant has no such delivery in this mode.
    """
    return objects.one(tx, Delivery, _ONE, delivery_id)


def page(tx: Transaction, endpoint_id: UUID, query: DeliveryQuery) -> pages.Listing[Delivery]:
    """Return one page of an endpoint's deliveries, newest first.

    Raises:
        ResourceMissing: This merchant has no such endpoint in this mode.
    """
    webhooks.get(tx, endpoint_id)
    return pages.read(
        tx,
        Delivery,
        _LISTED + " WHERE d.endpoint_id = %(endpoint)s AND",
        query,
        {"d.status": query.status},
        identity="d.id",
        endpoint=endpoint_id,
    )


def of_event(tx: Transaction, event: Event) -> EventWithDeliveries:
    """Return an event with its deliveries, newest first."""
    found = tx.rows(
        Delivery,
        _LISTED + f" WHERE d.event_id = %(id)s ORDER BY d.id DESC LIMIT {pages.MAX_PAGE}",
        id=event.id,
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
    at = tx.now()
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
        ahead=tx.ahead(),
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
        below=ids.first_at(wanted.until or tx.now()),
        only_failed=wanted.only_failed,
        at=tx.now(),
        ahead=tx.ahead(),
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
        at=tx.now(),
        ahead=tx.ahead(),
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
    VALUES (%(merchant_id)s, %(livemode)s, uuidv7(%(ahead)s), %(endpoint)s, %(event)s, %(sequence)s,
            %(at)s, %(at)s)
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
    + dispatch.SUBSCRIBED
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
        SELECT %(merchant_id)s, %(livemode)s, uuidv7(%(ahead)s), %(endpoint)s, id, sequence,
               %(at)s, %(at)s
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
    + dispatch.SUBSCRIBED
    + """
          AND NOT EXISTS (
            SELECT FROM deliveries d WHERE d.event_id = e.id AND d.endpoint_id = w.id)
        ORDER BY n.sequence
        LIMIT %(limit)s
    )
    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            next_attempt_at)
    SELECT %(merchant_id)s, %(livemode)s, uuidv7(%(ahead)s), %(endpoint)s, event_id, sequence,
           %(at)s, %(at)s
    FROM (SELECT * FROM failed UNION ALL SELECT * FROM missed) AS wanted
    ORDER BY sequence
    ON CONFLICT (endpoint_id, sequence) WHERE status IN ('pending', 'sending') DO NOTHING
"""
)
