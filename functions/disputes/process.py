"""Queue ``disputes``: hand evidence in, give a dispute up, or let its deadline pass."""

from ivy import dispute_outcomes, faults, operations
from ivy.database import Database
from ivy.needs import Need
from ivy.operations import Steps
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("disputes", uses=(Need.DATABASE, Need.CONNECTORS, Need.EVENTS_QUEUE))
def handler(task: Task, database: Database) -> Steps:
    """Take one step. The acquirer is told between two transactions, never inside one."""
    with database.transaction(task.tenant) as tx:
        attempt = dispute_outcomes.begin(tx, task)
    if attempt is None:
        return
    faults.point("dispute.process.before_connector")
    answer = yield operations.question(attempt)
    faults.point("dispute.process.after_connector")
    with database.transaction(task.tenant) as tx:
        dispute_outcomes.conclude(tx, task, attempt, answer)
    faults.point("dispute.process.after_commit")
