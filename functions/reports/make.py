"""Queue ``reports``: make a report that a merchant has asked for."""

from ivy import documents, faults, reports
from ivy.database import Database
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("reports", uses=(Need.DATABASE, Need.REPORTS_WRITE, Need.EVENTS_QUEUE))
def handler(task: Task, database: Database) -> None:
    """Read in one transaction, write the file outside of any, note in another that it is there.

    Whoever comes again writes the same bytes, until it is noted.
    """
    with database.transaction(task.tenant, snapshot=True) as tx:
        made = reports.make(tx, task)
    if made is None:
        return
    documents.put(made.file.key, made.file.content)
    faults.point("reports.make.after_put")
    with database.transaction(task.tenant) as tx:
        reports.ready(tx, task, made)
    faults.point("reports.make.after_commit")
