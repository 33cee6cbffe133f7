"""Queue ``scheduled_payouts``: make one payout that the schedule wants."""

from ivy import faults, payout_schedule
from ivy.database import Database
from ivy.needs import Need
from ivy.payout_schedule import Due
from ivy.serve import consumer


@consumer("scheduled_payouts", uses=(Need.DATABASE, Need.EVENTS_QUEUE))
def handler(due: Due, database: Database) -> None:
    """Pay out all that is available, unless that is done or there is too little."""
    with database.transaction(due.tenant) as tx:
        payout_schedule.make(tx, due, tx.now())
    faults.point("payouts.make.after_commit")
