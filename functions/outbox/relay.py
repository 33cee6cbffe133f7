"""Every minute: send again whatever work is overdue, and say how old the oldest is."""

from typing import Any

from ivy import faults, observe, outbox
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.CHARGES_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Claim overdue work in one transaction, send it after the commit."""
    with database.transaction() as tx:
        age_seconds = outbox.oldest_age_seconds(tx)
        tasks = outbox.overdue(tx)
        faults.point("outbox.relay.before_commit")
    faults.point("outbox.relay.after_claim")
    observe.count("OutboxOldestAge", age_seconds, unit="Seconds")
    return {"overdue": len(tasks), "sent": outbox.send(tasks), "oldest_seconds": age_seconds}
