"""Queue ``delivery_results``: write what came of an attempt."""

from ivy import delivery_outcomes, faults
from ivy.database import Database
from ivy.needs import Need
from ivy.operations import tenant_of
from ivy.serve import consumer
from ivy.webhook_messages import Attempted


@consumer("delivery_results", uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(attempted: Attempted, database: Database) -> None:
    """Record one attempt; what it leaves room or time for is published right after."""
    with database.transaction(tenant_of(attempted.account)) as tx:
        delivery_outcomes.record(tx, tenant_of(attempted.account), attempted)
    faults.point("delivery.record.after_commit")
