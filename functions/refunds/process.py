"""Queue ``refunds``: let a waiting refund move on, ask the acquirer, write what it says."""

from ivy import faults, operations, refund_outcomes
from ivy.database import Database
from ivy.needs import Need
from ivy.operations import Steps
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("refunds", uses=(Need.DATABASE, Need.CONNECTORS, Need.EVENTS_QUEUE))
def handler(task: Task, database: Database) -> Steps:
    """Take one step. The acquirer is asked between two transactions, never inside one."""
    with database.transaction(task.tenant) as tx:
        attempt = refund_outcomes.begin(tx, task)
    if attempt is None:
        return
    faults.point("refund.process.before_connector")
    answer = yield operations.question(attempt)
    faults.point("refund.process.after_connector")
    with database.transaction(task.tenant) as tx:
        refund_outcomes.conclude(tx, task, attempt, answer)
    faults.point("refund.process.after_commit")
