"""Every hour: close the day of every merchant for whom one has ended."""

from typing import Any

from ivy import faults, queues, settlement_run
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 hour)", uses=(Need.DATABASE_SETTLE, Need.SETTLEMENTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Send all merchants, in shards, to the queue that settles them.

    It is midnight somewhere every hour. Whoever was settled already is found settled.
    """
    with database.transaction() as tx:
        shards = settlement_run.shards(tx)
    faults.point("settlements.run.before_send")
    queues.send("settlements", shards)
    return {"shards": len(shards)}
