"""Every ten minutes: disputes whose deadline has passed unanswered are lost."""

from typing import Any

from ivy import dispute_outcomes, ids, outbox
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(10 minutes)", uses=(Need.DATABASE_JOBS, Need.DISPUTES_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Promise to close each of them; the consumer does it, one by one."""
    with database.transaction() as tx:
        tasks = dispute_outcomes.lapse(tx, ids.now())
    return {"lapsed": len(tasks), "sent": outbox.send(tasks)}
