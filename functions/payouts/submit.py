"""Every ten minutes: put pending payouts into files and give them to the bank."""

from typing import Any

from ivy import bank_exchange
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(10 minutes)", uses=(Need.DATABASE_JOBS, Need.BANK_OUT_WRITE, Need.PAYOUTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Finish files that were begun before, then prepare and send new ones.

    Raises:
        ChangedError: After everything else is done, when some file is not what was prepared.
    """
    return bank_exchange.submit(database)._asdict()
