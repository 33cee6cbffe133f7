"""What is still to be done: promised in the outbox while it is, and gone when it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from tests.invariants.asking import Connection, lines


def i14_the_undecided_is_promised(connection: Connection) -> list[str]:
    """Whatever somebody waits for is in the outbox, and nothing is there that nobody waits for."""
    return lines(
        connection,
        """
        WITH open (queue, id, state, actions) AS (
            SELECT 'charges', id, status, CASE status
                WHEN 'pending' THEN '{authorize}' WHEN 'requires_action' THEN '{authorize,void}'
                WHEN 'authorized' THEN '{capture,void,expire}' ELSE '{}' END::text[] FROM charges
            UNION ALL
            SELECT 'refunds', id, status,
                CASE status WHEN 'pending' THEN '{refund}' ELSE '{}' END::text[] FROM refunds
            UNION ALL
            SELECT 'disputes', id, status, CASE status
                WHEN 'needs_response' THEN '{lapse}' WHEN 'under_review' THEN '{contest}'
                WHEN 'lost' THEN '{concede}' ELSE '{}' END::text[] FROM disputes
            UNION ALL
            SELECT 'settlement_reports', id,
                CASE WHEN reported_at IS NULL THEN 'unreported' ELSE status END,
                CASE WHEN reported_at IS NULL THEN '{report}' ELSE '{}' END::text[]
            FROM settlements
            UNION ALL
            SELECT 'reports', id, status,
                CASE status WHEN 'pending' THEN '{make}' ELSE '{}' END::text[] FROM reports
            UNION ALL
            SELECT 'clock', id, status,
                CASE status WHEN 'advancing' THEN '{advance}' ELSE '{}' END::text[]
            FROM test_clocks)
        SELECT coalesce(open.queue, outbox.queue), coalesce(open.id, subject), state, action
        FROM open FULL JOIN outbox ON subject = open.id AND outbox.queue = open.queue
        WHERE open.id IS NULL
           OR CASE WHEN action IS NULL THEN state IN (
                        'pending', 'requires_action', 'advancing', 'unreported')
                   ELSE action <> ALL (actions) END
        """,
    )


def i12_nothing_is_left_over(
    connection: Connection,
    queued: Collection[str] = (),
    dead: Iterable[str] = (),
    poison: Iterable[str] = (),
) -> list[str]:
    """After the queues have drained: nothing is under way, and dead is what was poison.

    A refund may wait for its merchant's funds; nothing else waits for ever.
    """
    found = lines(
        connection,
        """
        WITH waiting AS (SELECT id FROM refunds WHERE pending_reason = 'insufficient_funds')
        SELECT 'charge', id, status FROM charges WHERE status IN ('pending', 'requires_action')
        UNION ALL
        SELECT 'refund', id, pending_reason FROM refunds
        WHERE status = 'pending' AND id NOT IN (SELECT id FROM waiting)
        UNION ALL
        SELECT 'promise', subject, action FROM outbox WHERE subject NOT IN (SELECT id FROM waiting)
        UNION ALL
        SELECT 'event without a number', id, type FROM events
        WHERE id NOT IN (SELECT event_id FROM event_numbers)
        UNION ALL
        SELECT 'delivery', id, status FROM deliveries WHERE status IN ('pending', 'sending')
        """,
    )
    found += [f"message {body}" for body in queued]
    died, poisonous = Counter(dead), Counter(poison)
    found += [f"dead: {body}" for body in died - poisonous]
    return found + [f"poison that did not die: {body}" for body in poisonous - died]


def i15_streams_have_no_gap(connection: Connection) -> list[str]:
    """Numbers of events are 1, 2, 3, …, and each object's in the order of its versions."""
    return lines(
        connection,
        """
        SELECT 'stream', merchant_id, livemode, count(*), max(sequence) FROM event_numbers
        GROUP BY merchant_id, livemode
        HAVING count(*) <> max(sequence) OR count(DISTINCT event_id) <> count(*)
        UNION ALL
        SELECT 'order', merchant_id, livemode, sequence, before FROM (
            SELECT n.merchant_id, n.livemode, sequence, lag(sequence) OVER (
                PARTITION BY e.merchant_id, e.livemode, object_id ORDER BY version) AS before
            FROM event_numbers n JOIN events e ON e.id = event_id) AS placed
        WHERE sequence < before
        """,
    )


def i16_each_event_goes_where_it_is_wanted(connection: Connection) -> list[str]:
    """Each numbered event has a delivery to each endpoint that was there and subscribes to all."""
    return lines(
        connection,
        """
        SELECT 'not begun', w.id, n.event_id
        FROM webhook_endpoints w
        JOIN event_numbers n USING (merchant_id, livemode)
        JOIN events e ON e.id = n.event_id AND e.created_at > w.created_at
        WHERE '*' = ANY (w.events) AND w.status = 'enabled'
          AND e.type <> 'webhook_endpoint.test'
          AND NOT EXISTS (
            SELECT FROM deliveries d WHERE d.endpoint_id = w.id AND d.event_id = n.event_id)
        UNION ALL
        SELECT 'arrived without an attempt', endpoint_id, event_id FROM deliveries d
        WHERE status = 'succeeded' AND NOT EXISTS (
            SELECT FROM delivery_attempts WHERE delivery_id = d.id AND outcome = 'delivered')
        """,
    )
