"""Every ten minutes: be the acquirer of test mode where it pays what it owes."""

from typing import Any

from ivy import simulated_settlements
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(10 minutes)", uses=(Need.DATABASE_JOBS, Need.SIMULATED_BANK_DUE))
def handler(database: Database) -> dict[str, Any]:
    """Say what is paid to each merchant by now, and let the bank show it."""
    return simulated_settlements.pay(database)
