"""Every ten minutes: let authorisations go that nobody captured in time."""

from typing import Any

from ivy import charge_outcomes, ids, outbox
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(10 minutes)", uses=(Need.DATABASE_JOBS, Need.CHARGES_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Promise to void each of them; the consumer does it, one by one."""
    with database.transaction() as tx:
        tasks = charge_outcomes.expire(tx, ids.now())
    return {"expired": len(tasks), "sent": outbox.send(tasks)}
