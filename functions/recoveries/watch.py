"""Every minute: announce balances that crossed zero, and open and end their recoveries."""

from typing import Any

from ivy import balance_watch, ids, observe, recovery_debits, write_offs
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.EVENTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Look at each balance in a transaction of its own; say how old the oldest debt is."""
    at = ids.now()
    with database.transaction() as tx:
        oldest_days = write_offs.oldest_days(tx, at)
        debit_days = recovery_debits.oldest_open_days(tx, at)
    observe.count("NegativeBalanceDays", oldest_days)
    observe.count("RecoveryDebitDays", debit_days)
    seen = balance_watch.look(database, at)
    return {
        "crossed": seen.crossed,
        "ended": seen.ended,
        "opened": seen.opened,
        "oldest_days": oldest_days,
    }
