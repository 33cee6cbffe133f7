"""Every minute: move the stored balances forward, so that reading one stays cheap."""

from typing import Any

from ivy import faults, ledger
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.DATABASE_JOBS,))
def handler(database: Database) -> dict[str, Any]:
    """Roll up and report how many accounts moved."""
    with database.transaction() as tx:
        accounts = ledger.roll_up(tx)
        faults.point("ledger.roll_up.before_commit")
    return {"accounts": accounts}
