"""Every hour: forget answers that are too old to be replayed."""

from typing import Any

from ivy import idempotency
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job

MAX_TURNS = 50


@job("rate(1 hour)", uses=(Need.DATABASE_JOBS,))
def handler(database: Database) -> dict[str, Any]:
    """Delete in small transactions; what is left over waits for the next hour."""
    deleted = 0
    for _ in range(MAX_TURNS):
        with database.transaction() as tx:
            gone = idempotency.expire(tx)
        deleted += gone
        if gone < idempotency.EXPIRE_LIMIT:
            break
    return {"deleted": deleted}
