"""Every minute: send again whatever work is overdue, and say how long any has been stuck."""

from typing import Any

from ivy import faults, observe, outbox
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job

QUEUES = (
    Need.CHARGES_QUEUE, Need.REFUNDS_QUEUE, Need.DISPUTES_QUEUE, Need.PAYOUTS_QUEUE,
    Need.CLOCK_QUEUE, Need.SETTLEMENT_REPORTS_QUEUE, Need.REPORTS_QUEUE,
)  # fmt: skip


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, *QUEUES))
def handler(database: Database) -> dict[str, Any]:
    """Claim overdue work in one transaction, send it after the commit."""
    with database.transaction() as tx:
        overdue_seconds = outbox.overdue_seconds(tx)
        tasks = outbox.overdue(tx)
        faults.point("outbox.relay.before_commit")
    faults.point("outbox.relay.after_claim")
    observe.count("OutboxOverdue", overdue_seconds, unit="Seconds")
    return {"overdue": len(tasks), "sent": outbox.send(tasks), "overdue_seconds": overdue_seconds}
