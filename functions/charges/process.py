"""Queue ``charges``: ask the acquirer about a charge and write what it says."""

from ivy import charge_outcomes, faults, operations
from ivy.database import Database
from ivy.needs import Need
from ivy.operations import Steps
from ivy.outbox import Task
from ivy.serve import BACKGROUND_MEMORY_MB, consumer


@consumer(
    "charges",
    uses=(Need.DATABASE, Need.CONNECTORS, Need.EVENTS_QUEUE),
    memory_mb=BACKGROUND_MEMORY_MB,
)
def handler(task: Task, database: Database) -> Steps:
    """Take one step. The acquirer is asked between two transactions, never inside one."""
    with database.transaction(task.tenant) as tx:
        started = charge_outcomes.begin(tx, task)
    if started is None:
        return
    faults.point("charge.process.before_connector")
    answer = yield operations.question(started.attempt)
    faults.point("charge.process.after_connector")
    with database.transaction(task.tenant) as tx:
        charge_outcomes.conclude(tx, task, started, answer)
    faults.point("charge.process.after_commit")
