"""Dispatch: events begin their way to endpoints, and go to the sender's queue when they are due.

``fan_out`` makes deliveries of events that have just got their numbers, ``claim`` takes those that
are due, as many of each endpoint as it may have under way, and ``send`` gives them to the queue.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from ivy import event_order, events, faults, ids, observe, operations, webhooks
from ivy.aws import client
from ivy.database import Tenant, Transaction
from ivy.event_order import Numbered
from ivy.events import Event
from ivy.settings import settings
from ivy.webhook_messages import Delivery as Message

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

_SQS_BATCH = 10
_SQS_BYTES = 200_000


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
    event_order.take_lane(tx)
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


SUBSCRIBED: LiteralString = """
    CASE WHEN e.type = 'webhook_endpoint.test' THEN w.id = e.object_id
         ELSE w.events && ARRAY['*', e.type, split_part(e.type, '.', 1) || '.*'] END
"""
"""Whether an endpoint ``w`` wants an event ``e``."""

_FAN_OUT: LiteralString = (
    """
    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            next_attempt_at)
    SELECT w.merchant_id, w.livemode, uuidv7(coalesce(ahead, '0')), w.id, e.id, n.sequence,
           %(at)s + coalesce(ahead, '0'), %(at)s + coalesce(ahead, '0')
    FROM unnest(%(merchants)s::bigint[], %(modes)s::boolean[], %(firsts)s::bigint[],
                %(lasts)s::bigint[]) AS fresh (merchant_id, livemode, first, last)
    JOIN webhook_endpoints w USING (merchant_id, livemode)
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    JOIN event_numbers n ON (n.merchant_id, n.livemode) = (w.merchant_id, w.livemode)
        AND n.sequence BETWEEN first AND last
    JOIN events e ON (e.merchant_id, e.livemode, e.id) = (n.merchant_id, n.livemode, n.event_id)
    WHERE w.status IN ('enabled', 'paused') AND """
    + SUBSCRIBED
)

# Each endpoint goes by the clock of its merchant. While that advances nothing is sent ahead of its
# time: the queue would hold it for real seconds, and the clock need not wait for them.
#
# An ordered endpoint has one delivery under way: the first that is open, and no other before it.
# Whether it is due is asked again where it is claimed: what came of an attempt may be written at
# this moment, and the claim waits for that row and then sees it anew.
_CLAIM: LiteralString = (
    """
    WITH clocks AS (
        SELECT w.*, %(at)s + coalesce(ahead, '0') AS present,
               %(at)s + coalesce(ahead, '0') + CASE test_clocks.status
                   WHEN 'advancing' THEN '0' ELSE %(horizon)s END AS soon
        FROM webhook_endpoints w LEFT JOIN test_clocks USING (merchant_id, livemode)
        WHERE w.status = 'enabled'
    ), endpoints AS MATERIALIZED (
        SELECT w.*, (
            SELECT count(*) FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status = 'sending'
              AND d.next_attempt_at > soon) AS under_way
        FROM clocks w
        WHERE (w.resting_until IS NULL OR w.resting_until <= soon)
          AND EXISTS (
            SELECT FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status IN ('pending', 'sending')
              AND d.next_attempt_at <= soon)
          AND NOT EXISTS (
            SELECT FROM deliveries d
            WHERE d.endpoint_id = w.id AND d.status = 'sending'
              AND d.next_attempt_at BETWEEN present + %(lease)s - %(answered_by_then)s
                  AND present + %(lease)s - %(unanswered)s)
    ), due AS (
        SELECT endpoints.*, first.id AS delivery_id, first.event_id,
               greatest(first.next_attempt_at, resting_until, present) AS send_at
        FROM endpoints CROSS JOIN LATERAL (
            SELECT d.id, d.event_id, d.next_attempt_at FROM deliveries d
            WHERE d.endpoint_id = endpoints.id AND d.status IN ('pending', 'sending')
              AND d.next_attempt_at <= soon
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
          AND d.status IN ('pending', 'sending') AND d.next_attempt_at <= soon
        RETURNING d.id AS delivery_id, d.merchant_id, d.livemode, d.endpoint_id, d.event_id,
                  url, d.attempts + 1 AS number, send_at - present AS wait,
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
