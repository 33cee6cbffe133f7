"""What becomes of recovery debits at the bank: sent, collected, failed, returned.

Each function may be called again: what has happened already stays as it is.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from ivy import faults, ids, recovery_debits
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.recovery_debits import RecoveryDebit


def sent(tx: Transaction, tenant: Tenant, debit_id: UUID, arrives_on: date) -> RecoveryDebit:
    """Post that the bank has been told to collect it: it is on its way, and no debt any more."""
    before = recovery_debits.lock(tx, debit_id)
    if before.status != "pending":
        return before
    at = tx.now()
    after = recovery_debits.changed(before, status="in_transit", arrives_on=arrives_on)
    posting = _posting(before, PostingKind.DEBIT_SENT, at, Chart.DEBIT_IN_TRANSIT, Chart.AVAILABLE)
    recovery_debits.save(tx, tenant, before, after, posting, at=at)
    faults.point("recovery_debit.sent.before_commit")
    return after


def collected(tx: Transaction, tenant: Tenant, debit_id: UUID) -> RecoveryDebit:
    """Post that the money is on the clients' account."""
    before = recovery_debits.lock(tx, debit_id)
    if before.status != "in_transit":
        return before
    at = tx.now()
    after = recovery_debits.changed(before, status="collected")
    posting = _posting(
        before, PostingKind.DEBIT_COLLECTED, at, Chart.BANK_CLIENT, Chart.DEBIT_IN_TRANSIT
    )
    recovery_debits.save(tx, tenant, before, after, posting, at=at)
    faults.point("recovery_debit.collected.before_commit")
    return after


def came_back(tx: Transaction, tenant: Tenant, debit_id: UUID, failure_code: str) -> RecoveryDebit:
    """Let be owed again what a bank refused to collect, or took back after it had."""
    before = recovery_debits.lock(tx, debit_id)
    if before.status not in ("in_transit", "collected"):
        return before
    at = tx.now()
    if before.status == "in_transit":
        after = recovery_debits.changed(before, status="failed", failure_code=failure_code)
        kind, place = PostingKind.DEBIT_REVERSED, Chart.DEBIT_IN_TRANSIT
    else:
        after = recovery_debits.changed(before, status="returned", failure_code=failure_code)
        kind, place = PostingKind.DEBIT_RETURNED, Chart.BANK_CLIENT
    posting = _posting(before, kind, at, Chart.AVAILABLE, place)
    recovery_debits.save(tx, tenant, before, after, posting, at=at)
    faults.point("recovery_debit.came_back.before_commit")
    return after


def _posting(
    moved: RecoveryDebit, kind: PostingKind, at: datetime, to: Chart, from_: Chart
) -> Posting:
    return Posting(
        id=ids.new(at),
        kind=kind,
        source=moved.id,
        currency=moved.currency,
        legs=(debit(to, moved.amount), credit(from_, moved.amount)),
        value_on=at.date(),
        recorded_at=at,
    )
