"""The order of events: each stream, a merchant in a mode, counts its events without gaps.

Numbers are given after the commit, to all streams by one worker at a time, so no charge waits for
another: see ``docs/decisions/event-order.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivy.database import Transaction

NUMBER_LIMIT = 1000
"""Events that one pass numbers, about: those of one transaction stay together."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """Events of one stream that have just got their numbers: all from ``first`` to ``last``."""

    merchant_id: int
    livemode: bool
    first: int
    last: int


def number(tx: Transaction, limit: int = NUMBER_LIMIT) -> list[Numbered]:
    """Number events of all streams and return which; runs as ``ivy_jobs``, one at a time.

    Only transactions that nothing still running can precede are looked at, so no event is passed
    over. The changes of one object keep their order: whoever changed it second saw the first
    change committed, so where a change is numbered, those before it are too.

    Raises:
        RuntimeError: The server's transaction ids started again, as after a logical restore.
    """
    take_lane(tx)
    found = tx.rows(Numbered, _NUMBER, limit=limit)
    if tx.value(_AHEAD):
        raise RuntimeError(
            "the events' watermark is ahead of this server's transaction ids; if it was restored"
            " from a dump, follow docs/runbooks/events-waiting.md"
        )
    return found


def take_lane(tx: Transaction) -> None:
    """Wait until nobody else publishes, and let nobody until the transaction ends."""
    tx.run("SELECT watermark FROM event_watermark FOR UPDATE")


def waiting(tx: Transaction) -> bool:
    """Say whether there are events without a number."""
    return bool(tx.value("SELECT EXISTS (SELECT " + _FROM_UNNUMBERED + ")"))


def oldest_waiting_seconds(tx: Transaction) -> float:
    """Return for how long the oldest event has been without a number; 0 when none is."""
    age: Any = tx.value("SELECT extract(epoch FROM now() - min(created_at)) " + _FROM_UNNUMBERED)
    return max(float(age or 0), 0.0)


_FROM_UNNUMBERED = "FROM events WHERE xid >= (SELECT watermark FROM event_watermark)"

_AHEAD = """
    SELECT watermark > pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM event_watermark
"""

# The window of transactions; for each object in it, everything up to its last change in it that has
# no number yet. A change made later can have begun earlier, so it may lie in an earlier window.
# OFFSET 0 and MATERIALIZED keep it to one index look-up per object and per stream, whatever the
# planner believes of tables that grow from nothing.
_NUMBER = """
    WITH bounds AS (
        SELECT watermark AS since, least(
            pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
            (SELECT xid + 1 FROM events WHERE xid >= watermark
             ORDER BY xid OFFSET %(limit)s - 1 LIMIT 1)) AS until
        FROM event_watermark
    ), reached AS (
        SELECT merchant_id, livemode, object_id, max(version) AS version
        FROM events
        WHERE xid >= (SELECT since FROM bounds) AND xid < (SELECT until FROM bounds)
        GROUP BY merchant_id, livemode, object_id
    ), ready AS (
        SELECT changes.*, max(created_at) OVER (
            PARTITION BY changes.merchant_id, changes.livemode, changes.object_id
            ORDER BY changes.version) AS moment
        FROM reached CROSS JOIN LATERAL (
            SELECT merchant_id, livemode, id, object_id, version, created_at FROM events
            WHERE (events.merchant_id, events.livemode, events.object_id)
                = (reached.merchant_id, reached.livemode, reached.object_id)
              AND events.version <= reached.version
              AND NOT EXISTS (SELECT FROM event_numbers WHERE event_id = id)
            OFFSET 0) AS changes
    ), placed AS (
        SELECT merchant_id, livemode, id, row_number() OVER (
            PARTITION BY merchant_id, livemode ORDER BY moment, object_id, version) AS place
        FROM ready
    ), heads AS MATERIALIZED (
        SELECT merchant_id, livemode, (
            SELECT sequence FROM event_numbers
            WHERE (merchant_id, livemode) = (streams.merchant_id, streams.livemode)
            ORDER BY sequence DESC LIMIT 1) AS last
        FROM (SELECT DISTINCT merchant_id, livemode FROM placed) AS streams
    ), numbered AS (
        INSERT INTO event_numbers (merchant_id, livemode, sequence, event_id)
        SELECT merchant_id, livemode, coalesce(last, 0) + place, id
        FROM placed JOIN heads USING (merchant_id, livemode)
        RETURNING merchant_id, livemode, sequence
    ), advanced AS (
        UPDATE event_watermark SET watermark = greatest(watermark, until) FROM bounds
    )
    SELECT merchant_id, livemode, min(sequence) AS first, max(sequence) AS last
    FROM numbered GROUP BY merchant_id, livemode
"""
