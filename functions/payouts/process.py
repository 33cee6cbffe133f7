"""Queue ``payouts``: note that the bank was told of an order, or what it has said of one."""

from ivy import bank_account_deposits, faults, order_answers
from ivy.database import Database
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import consumer


@consumer("payouts", uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(task: Task, database: Database) -> None:
    """Keep a promise in one transaction. Nobody is asked: everything is written down already."""
    with database.transaction(task.tenant) as tx:
        if not bank_account_deposits.keep(tx, task):
            order_answers.keep(tx, task)
    faults.point("payout.process.after_commit")
