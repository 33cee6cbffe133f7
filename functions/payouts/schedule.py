"""Every hour: pay out by schedule what merchants have available."""

from typing import Any

from ivy import faults, ids, payout_schedule, queues
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 hour)", uses=(Need.DATABASE_JOBS, Need.SCHEDULED_PAYOUTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Send whoever is due to the queue that makes the payouts."""
    with database.transaction() as tx:
        due = payout_schedule.due(tx, ids.now())
    faults.point("payouts.schedule.before_send")
    queues.send("scheduled_payouts", due)
    return {"due": len(due)}
