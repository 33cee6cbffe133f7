"""Queue ``settlements``: close the day of some hundred merchants at once."""

from ivy import faults, ids, settlement_run
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import consumer
from ivy.settlement_run import Shard


@consumer("settlements", uses=(Need.DATABASE_SETTLE, Need.EVENTS_QUEUE), max_concurrency=4)
def handler(shard: Shard, database: Database) -> None:
    """Settle a shard in one transaction; whatever it found settled stays as it is."""
    with database.transaction() as tx:
        settlement_run.settle(tx, shard, ids.now())
    faults.point("settlements.settle.after_commit")
