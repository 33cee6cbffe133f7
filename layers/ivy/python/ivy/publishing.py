"""Publishing: events get their numbers, their deliveries begin, and what is due is sent.

One worker at a time, woken when something was committed and by a schedule. Each step is a
transaction of its own, and whoever dies in between leaves nothing that the next would not find.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ivy import dispatch, event_order, faults, ids
from ivy.database import Database

PATIENCE_SECONDS = 2.0
"""How long to wait for transactions that hold up the numbering; the schedule tries again."""

POLL_SECONDS = 0.05

MAX_PASSES = 100


@dataclass(frozen=True, slots=True)
class Report:
    """What was done: events that got numbers, deliveries given to the queue."""

    numbered: int
    sent: int


def publish(database: Database) -> Report:
    """Number what was committed, begin its deliveries, and send all that is due soon."""
    return Report(_number(database), _send(database))


def _number(database: Database) -> int:
    """Number until no event waits, or those that do have waited in vain for a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    total = 0
    for _ in range(MAX_PASSES):
        with database.transaction() as tx:
            numbered = event_order.number(tx)
            if numbered:
                dispatch.fan_out(tx, numbered, ids.now())
            more = event_order.waiting(tx)
            faults.point("publish.number.before_commit")
        faults.point("publish.number.after_commit")
        total += sum(each.last - each.first + 1 for each in numbered)
        if not more or time.monotonic() > deadline:
            break
        if not numbered:
            time.sleep(POLL_SECONDS)
    return total


def _send(database: Database) -> int:
    """Claim and send until nothing more may be sent now."""
    total = 0
    for _ in range(MAX_PASSES):
        with database.transaction() as tx:
            claimed = dispatch.claim(tx, ids.now())
            faults.point("publish.claim.before_commit")
        faults.point("publish.claim.after_commit")
        total += dispatch.send(claimed)
        if len(claimed) < dispatch.CLAIM_LIMIT:
            break
    return total
