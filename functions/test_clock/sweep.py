"""Every minute: look what has come due on test clocks that are ahead of the real time."""

from typing import Any

from ivy import clocks, outbox
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.CLOCK_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Send each of them to the function that moves clocks, which then only looks."""
    with database.transaction() as tx:
        tasks = clocks.moved(tx)
    return {"clocks": len(tasks), "sent": outbox.send(tasks)}
