"""Every minute: announce balances that crossed zero, and open the recovery of those below it."""

from typing import Any

from ivy import balance_watch, ids, observe, write_offs
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.EVENTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Look at each balance in a transaction of its own, and say how old the oldest debt is."""
    at = ids.now()
    with database.transaction() as tx:
        oldest_days = write_offs.oldest_days(tx, at)
    observe.count("NegativeBalanceDays", oldest_days)
    seen = balance_watch.look(database, at)
    return {"crossed": seen.crossed, "opened": seen.opened, "oldest_days": oldest_days}
