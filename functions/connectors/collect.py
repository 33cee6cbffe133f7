"""Every minute: hear what acquirers did by themselves, and write it into the books."""

from typing import Any

from ivy import faults, ids, notices, observe
from ivy.connectors import Connector, Notice, remote
from ivy.database import Database
from ivy.needs import Need
from ivy.operations import tenant_of
from ivy.serve import job
from ivy.settings import settings


@job("rate(1 minute)", uses=(Need.DATABASE, Need.CONNECTORS, Need.EVENTS_QUEUE))
def handler(database: Database) -> dict[str, Any]:
    """Record each notice in a transaction of its own, then acknowledge it."""
    heard = recorded = 0
    for name in sorted(settings().required("connectors")):
        connector = remote.connector(name)
        for notice in connector.notices(ids.now()):
            heard += 1
            recorded += _record(database, name, connector, notice)
    return {"heard": heard, "recorded": recorded}


def _record(database: Database, name: str, connector: Connector, notice: Notice) -> bool:
    """Record one notice. One that cannot be recorded must not keep the others from being."""
    try:
        tenant = tenant_of(notice.account)
        with database.transaction(tenant) as tx:
            done = notices.record(tx, tenant, name, notice)
            faults.point("notice.before_commit")
    except Exception:  # noqa: BLE001 - logged and counted; it is heard again in a minute
        observe.failure("notice.failed", connector=name, notice=notice.id)
        observe.count("NoticeFailed", connector=name)
        return False
    faults.point("notice.after_commit")
    if done:
        connector.acknowledge(notice.account, notice.id)
    return done
