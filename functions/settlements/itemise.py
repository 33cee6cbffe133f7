"""Queue ``settlement_reports``: write down the items of a settlement that was closed."""

from ivy import documents, faults, settlement_reports
from ivy.database import Database
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("settlement_reports", uses=(Need.DATABASE, Need.REPORTS_WRITE, Need.EVENTS_QUEUE))
def handler(task: Task, database: Database) -> None:
    """Read the items in one transaction, write files outside of any, note in another that they are.

    Whoever comes again writes the same bytes, until it is noted.
    """
    with database.transaction(task.tenant, snapshot=True) as tx:
        written = settlement_reports.write(tx, task)
    if written is None:
        return
    for file in written.files:
        documents.put(file.key, file.content)
        faults.point("settlements.itemise.after_put")
    with database.transaction(task.tenant) as tx:
        settlement_reports.ready(tx, task, written)
    faults.point("settlements.itemise.after_commit")
