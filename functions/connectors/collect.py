"""Every minute: hear what acquirers did by themselves, and write it into the books."""

from typing import Any

from ivy import ids, notices
from ivy.connectors import remote
from ivy.database import Database
from ivy.needs import Need
from ivy.serve import job
from ivy.settings import settings


@job("rate(1 minute)", uses=(Need.DATABASE, Need.CONNECTORS, Need.EVENTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Record each notice in a transaction of its own, then acknowledge it.

    By the real time. What is due only on a merchant's test clock is heard as that clock is looked
    after.
    """
    heard = recorded = 0
    for name in sorted(settings().required("connectors")):
        some, kept = notices.hear(database, name, remote.connector(name), ids.now())
        heard, recorded = heard + some, recorded + kept
    return {"heard": heard, "recorded": recorded}
