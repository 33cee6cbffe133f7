"""Queue ``test_banking``: let acquirer and bank of one merchant work, at its own present."""

from ivy import bank_exchange, faults, ids, operations, simulated_bank, simulated_settlements
from ivy.clocks import Present
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import consumer


@consumer(
    "test_banking",
    uses=(
        Need.DATABASE_JOBS,
        Need.BANK_OUT_WRITE,
        Need.SIMULATED_BANK,
        Need.BANK_IN_READ,
        Need.PAYOUTS_QUEUE,
    ),
)
def handler(present: Present, database: Database) -> None:
    """Let the acquirer pay, give the bank what there is, let it work, and hear what it says."""
    simulated_settlements.pay(database, present.tenant, present.at)
    faults.point("clock.bank.after_paid")
    bank_exchange.submit(database, present.tenant)
    faults.point("clock.bank.after_submit")
    account = operations.account_name(present.tenant)
    simulated_bank.work(ids.now(), account=account, present=present.at)
    faults.point("clock.bank.after_work")
    bank_exchange.receive(database, present.tenant)
