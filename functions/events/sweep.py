"""Every minute: publish what nobody was woken for, and say how long any event has waited."""

from dataclasses import asdict
from typing import Any

from ivy import event_order, observe, publishing
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS, Need.WEBHOOKS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Publish, and report what was left to do."""
    with database.transaction() as tx:
        waited = event_order.oldest_waiting_seconds(tx)
    observe.count("EventsWaiting", waited, unit="Seconds")
    return {"waited_seconds": waited, **asdict(publishing.publish(database))}
