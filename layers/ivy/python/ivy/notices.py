"""Notices: what an acquirer did by itself, written into the books once however often it is told."""

from __future__ import annotations

from datetime import datetime

from ivy import charge_outcomes, charges, dispute_outcomes, errors, faults, observe
from ivy.connectors import DisputeClosed, Notice, PaymentReturned
from ivy.connectors.remote import RemoteConnector
from ivy.database import Database, Tenant, Transaction
from ivy.operations import tenant_of


def hear(
    database: Database,
    name: str,
    connector: RemoteConnector,
    at: datetime,
    account: str | None = None,
) -> tuple[int, int]:
    """Record what an acquirer did by itself until ``at``; returns how much was heard and recorded.

    Each notice in a transaction of its own, and then it is acknowledged.
    """
    heard = connector.notices(at, account)
    return len(heard), sum(_recorded(database, name, connector, notice) for notice in heard)


def _recorded(database: Database, name: str, connector: RemoteConnector, notice: Notice) -> bool:
    """Record one notice. One that cannot be recorded must not keep the others from being."""
    try:
        tenant = tenant_of(notice.account)
        with database.transaction(tenant) as tx:
            done = record(tx, tenant, name, notice)
            faults.point("notice.before_commit")
    except Exception:  # noqa: BLE001 - logged and counted; it is heard again in a minute
        observe.failure("notice.failed", connector=name, notice=notice.id)
        observe.count("NoticeFailed", connector=name)
        return False
    faults.point("notice.after_commit")
    if done:
        connector.acknowledge(notice.account, notice.id)
    return done


def record(tx: Transaction, tenant: Tenant, connector: str, notice: Notice) -> bool:
    """Write what a notice says, and say whether it may be acknowledged.

    A notice about a charge whose own outcome we have not learnt yet must wait for that. One about
    nothing of ours is counted and let go.
    """
    try:
        charge = charges.lock(tx, notice.charge)
    except errors.ResourceMissing:
        observe.line("notice.unknown_charge", connector=connector, charge=notice.charge.hex)
        observe.count("NoticeUnknown", connector=connector)
        return True
    if not charge.amount_captured:
        return charge.status in ("failed", "canceled", "expired")
    if isinstance(notice, PaymentReturned):
        if charge.status == "succeeded" and charge.method == "bank_debit":
            charge_outcomes.returned(tx, tenant, charge, notice.code, tx.now())
    elif isinstance(notice, DisputeClosed):
        return dispute_outcomes.closed(tx, tenant, connector, notice)
    else:
        dispute_outcomes.opened(tx, tenant, connector, charge, notice)
    return True
