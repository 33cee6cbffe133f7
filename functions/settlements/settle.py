"""Queue ``settlements``: close the day of some hundred merchants at once."""

from ivy import faults, ids, outbox, settlement_run
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import consumer
from ivy.settlement_run import Shard


@consumer(
    "settlements",
    uses=(Need.DATABASE_SETTLE, Need.SETTLEMENT_REPORTS_QUEUE, Need.EVENTS_QUEUE),
    max_concurrency=4,
)
def handler(shard: Shard, database: Database) -> None:
    """Settle a shard in one transaction; whatever it found settled stays as it is.

    Reports are asked for at once, as many as the relay would ask for; it asks for the rest.
    """
    with database.transaction() as tx:
        settlement_run.settle(tx, shard, ids.now())
    faults.point("settlements.settle.after_commit")
    outbox.send(tx.after_commit[: outbox.RELAY_LIMIT])
