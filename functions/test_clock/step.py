"""Queue ``clock``: bring a merchant's test clock on its way."""

from ivy import clock_run
from ivy.database import Database
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import consumer


@consumer(
    "clock",
    uses=(
        Need.DATABASE,
        Need.CONNECTORS,
        Need.CLOCK_QUEUE,
        Need.CHARGES_QUEUE,
        Need.REFUNDS_QUEUE,
        Need.DISPUTES_QUEUE,
        Need.PAYOUTS_QUEUE,
        Need.SCHEDULED_PAYOUTS_QUEUE,
        Need.TEST_BANKING_QUEUE,
        Need.SIMULATED_BANK_LIST,
        Need.SETTLEMENT_REPORTS_QUEUE,
        Need.REPORTS_QUEUE,
        Need.SETTLEMENTS_QUEUE,
        Need.EVENTS_QUEUE,
    ),
    batch_size=1,  # one clock takes most of what an invocation has
)
def handler(task: Task, database: Database) -> None:
    """Go from one moment at which something is due to the next; another invocation goes on."""
    clock_run.turn(database, task)
