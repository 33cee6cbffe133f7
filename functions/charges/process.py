"""Queue ``charges``: ask the acquirer about a pending charge and write what it decided."""

import time

from ivy import charges, faults
from ivy.database import Database
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("charges", uses=(Need.DATABASE,))
def handler(task: Task, database: Database) -> None:
    """Decide one charge. The acquirer is asked between two transactions, never inside one."""
    with database.transaction(task.tenant) as tx:
        attempt = charges.begin(tx, task)
    if attempt is None:
        return
    faults.point("charge.process.before_connector")
    started = time.perf_counter()
    outcome = charges.connector().authorize(attempt.authorization)
    milliseconds = round((time.perf_counter() - started) * 1000)
    faults.point("charge.process.after_connector")
    with database.transaction(task.tenant) as tx:
        charges.conclude(tx, task, attempt, outcome, milliseconds)
    faults.point("charge.process.after_commit")
