"""Every minute: take in what banks have put here, and let it be carried out."""

from typing import Any

from ivy import acquirer_settlements, bank_exchange, bank_lines, observe
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job(
    "rate(1 minute)",
    uses=(Need.DATABASE_JOBS, Need.BANK_IN_READ, Need.PAYOUTS_QUEUE),
    timeout_seconds=60,
)
def handler(database: Database) -> dict[str, Any]:
    """Record each file in a transaction of its own, then move it to the archive."""
    taken = bank_exchange.receive(database)
    with database.transaction() as tx:
        observe.count("BankLineUnmatchedDays", bank_lines.oldest_open_days(tx))
        overdue = acquirer_settlements.longest_overdue_days(tx)
        observe.count("AcquirerSettlementOverdueDays", overdue)
    return taken._asdict()
