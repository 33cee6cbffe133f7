"""Notices: what an acquirer did by itself, written into the books once however often it is told."""

from __future__ import annotations

from ivy import charge_outcomes, charges, dispute_outcomes, errors, ids, observe
from ivy.connectors import DisputeClosed, Notice, PaymentReturned
from ivy.database import Tenant, Transaction


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
            charge_outcomes.returned(tx, tenant, charge, notice.code, ids.now())
    elif isinstance(notice, DisputeClosed):
        return dispute_outcomes.closed(tx, tenant, connector, notice)
    else:
        dispute_outcomes.opened(tx, tenant, connector, charge, notice)
    return True
