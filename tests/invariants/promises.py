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
                WHEN 'lost' THEN '{concede}' ELSE '{}' END::text[] FROM disputes)
        SELECT coalesce(open.queue, outbox.queue), coalesce(open.id, subject), state, action
        FROM open FULL JOIN outbox ON subject = open.id AND outbox.queue = open.queue
        WHERE open.id IS NULL
           OR CASE WHEN action IS NULL THEN state IN ('pending', 'requires_action')
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
        """,
    )
    found += [f"message {body}" for body in queued]
    died, poisonous = Counter(dead), Counter(poison)
    found += [f"dead: {body}" for body in died - poisonous]
    return found + [f"poison that did not die: {body}" for body in poisonous - died]
