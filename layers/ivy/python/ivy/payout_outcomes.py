"""What becomes of payouts at the bank: sent, paid, failed, returned.

Each function may be called again: what has happened already stays as it is.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from ivy import faults, payouts, settlements
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, PostingKind, credit, debit
from ivy.payout_requests import posting_of, reversal
from ivy.payouts import Payout


def sent(tx: Transaction, tenant: Tenant, payout_id: UUID, arrives_on: date) -> Payout:
    """Note that the bank has been told, and when the money should arrive."""
    payout = payouts.lock(tx, payout_id)
    if payout.status != "pending":
        return payout
    after = payouts.changed(payout, status="in_transit", arrives_on=arrives_on)
    payouts.save(tx, tenant, payout, after, None, at=tx.now())
    faults.point("payout.sent.before_commit")
    return after


def paid(tx: Transaction, tenant: Tenant, payout_id: UUID) -> Payout:
    """Post that the bank has taken the money from the clients' account."""
    payout = payouts.lock(tx, payout_id)
    if payout.status != "in_transit":
        return payout
    at = tx.now()
    posting = posting_of(
        payout,
        PostingKind.PAYOUT_PAID,
        at,
        debit(Chart.PAYOUTS_IN_TRANSIT, payout.amount),
        credit(Chart.BANK_CLIENT, payout.amount),
    )
    after = payouts.changed(payout, status="paid")
    payouts.save(tx, tenant, payout, after, posting, at=at)
    settlements.paid_out(tx, tenant, payout_id)
    faults.point("payout.paid.before_commit")
    return after


def came_back(tx: Transaction, tenant: Tenant, payout_id: UUID, failure_code: str) -> Payout:
    """Make the money available again that a bank refused, or gave back after it was paid."""
    payout = payouts.lock(tx, payout_id)
    if payout.status not in ("in_transit", "paid"):
        return payout
    at = tx.now()
    if payout.status == "in_transit":
        after = payouts.changed(payout, status="failed", failure_code=failure_code)
        posting = reversal(payout, at)
    else:
        after = payouts.changed(payout, status="returned", failure_code=failure_code)
        posting = posting_of(
            payout,
            PostingKind.PAYOUT_RETURNED,
            at,
            debit(Chart.BANK_CLIENT, payout.amount),
            credit(Chart.AVAILABLE, payout.amount),
        )
    payouts.save(tx, tenant, payout, after, posting, at=at)
    if after.status == "returned":
        settlements.came_back(tx, tenant, payout_id)
    faults.point("payout.came_back.before_commit")
    return after
