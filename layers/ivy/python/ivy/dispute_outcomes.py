"""What acquirers tell about disputes: opened, won, lost; and what we hand in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ivy import charges, disputes, faults, ids, money, operations, outbox, pricing, states
from ivy.charges import Charge
from ivy.connectors import Approved, Declined, DisputeClosed, DisputeOpened, Order, Pending
from ivy.database import Tenant, Transaction
from ivy.disputes import Dispute
from ivy.ledger import (
    ACQUIRER_RECEIVABLE,
    DISPUTES_RECEIVABLE,
    Chart,
    PostingKind,
    credit,
    debit,
)
from ivy.operations import Answer, Attempt


def opened(
    tx: Transaction, tenant: Tenant, connector: str, charge: Charge, told: DisputeOpened
) -> Dispute | None:
    """Open a dispute: hold its amount, charge its fee, note what the acquirer withdrew.

    Expects the charge locked. Returns None when the same dispute has been opened before.
    """
    at = tx.now()
    code, _, version = charge.fee_plan.partition("/")
    plan = pricing.plan(tx, code, int(version))
    dispute = Dispute(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        charge=charge.id,
        amount=told.amount_minor,
        currency=charge.currency,
        fee=plan.dispute_fee_minor(money.currencies()[charge.currency]),
        reason=told.reason,
        status="needs_response",
        evidence=None,
        evidence_due_by=told.evidence_due_by,
        submitted_at=None,
    )
    if not tx.value(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=dispute.id,
        charge_id=charge.id,
        amount=dispute.amount,
        fee=dispute.fee,
        created_at=at,
        evidence_due_by=dispute.evidence_due_by,
        currency=dispute.currency,
        reason=dispute.reason,
        connector=connector,
        reference=told.dispute,
    ):
        return None
    tx.run(_DISPUTED, id=charge.id, amount=dispute.amount)
    hold = disputes.posting_of(
        dispute,
        PostingKind.DISPUTE_OPENED,
        at,
        debit(Chart.AVAILABLE, dispute.amount + dispute.fee),
        credit(Chart.DISPUTE_HOLD, dispute.amount),
        credit(Chart.INCOME_DISPUTE, dispute.fee),
    )
    begin_state = states.transition("dispute", states.BEGIN, "needs_response")
    states.record(tx, tenant, begin_state, dispute, at=at, posting=hold)
    withdrawn = disputes.posting_of(
        dispute,
        PostingKind.DISPUTE_WITHDRAWN,
        at,
        debit(DISPUTES_RECEIVABLE[connector], dispute.amount),
        credit(ACQUIRER_RECEIVABLE[connector], dispute.amount),
    )
    after = disputes.changed(dispute)
    disputes.save(tx, tenant, dispute, after, at=at, posting=withdrawn)
    faults.point("dispute.opened.before_commit")
    return after


def closed(tx: Transaction, tenant: Tenant, connector: str, told: DisputeClosed) -> bool:
    """Write how a dispute ended; False when its opening has not been told yet."""
    dispute_id = tx.value(
        "SELECT id FROM disputes WHERE connector = %(connector)s AND reference = %(reference)s",
        connector=connector,
        reference=told.dispute,
    )
    if dispute_id is None:
        return False
    dispute = disputes.lock(tx, dispute_id)
    if dispute.status in ("won", "lost"):
        return True
    tx.run("DELETE FROM outbox WHERE subject = %(id)s", id=dispute.id)  # nothing left to hand in
    at = tx.now()
    if not told.won:
        disputes.lose(tx, tenant, dispute, at)
        return True
    freed = disputes.posting_of(
        dispute,
        PostingKind.DISPUTE_WON,
        at,
        debit(Chart.DISPUTE_HOLD, dispute.amount),
        credit(Chart.AVAILABLE, dispute.amount),
    )
    won = disputes.changed(dispute, status="won")
    disputes.save(tx, tenant, dispute, won, at=at, posting=freed)
    tx.run(_DISPUTED, id=dispute.charge, amount=-dispute.amount)
    reinstated = disputes.posting_of(
        dispute,
        PostingKind.DISPUTE_REINSTATED,
        at,
        debit(ACQUIRER_RECEIVABLE[connector], dispute.amount),
        credit(DISPUTES_RECEIVABLE[connector], dispute.amount),
    )
    disputes.save(tx, tenant, won, disputes.changed(won), at=at, posting=reinstated)
    faults.point("dispute.closed.before_commit")
    return True


def lapse(tx: Transaction, at: datetime) -> list[outbox.Task]:
    """Promise to close every dispute unanswered at ``at``, its deadline; of all as ``ivy_jobs``."""
    return outbox.owe_each(tx, "disputes", "lapse", _LAPSED, at)


@dataclass(frozen=True, slots=True)
class _Work:
    action: str
    connector: str
    reference: str


def begin(tx: Transaction, task: outbox.Task) -> Attempt | None:
    """Note that something is about to be handed in; None when there is nothing to hand in.

    A dispute whose deadline has passed unanswered is lost here, without asking anybody.

    Raises:
        ResourceMissing: The task is about a dispute that its merchant does not have in its mode.
    """
    work = tx.row(_Work, _WORK, task=task.id, id=task.subject)
    dispute = disputes.get(tx, task.subject)
    if work is None:
        return None
    at = tx.now()
    if work.action == "lapse":
        dispute = disputes.lock(tx, task.subject)
        if dispute.status == "needs_response" and dispute.evidence_due_by <= at:
            disputes.lose(tx, task.tenant, dispute, at)
        outbox.settle(tx, task)
        return None
    charge = charges.get(tx, dispute.charge)
    order = Order(
        operation="contest" if work.action == "contest" else "concede",
        key=f"{ids.Prefix('dp').write(dispute.id)}.{work.action}",
        account=operations.account_name(task.tenant),
        charge=dispute.charge,
        amount_minor=dispute.amount,
        currency=dispute.currency,
        payment_method=charge.payment_method,
        reference=work.reference,
        evidence=dispute.evidence,
        at=at,
    )
    attempt = operations.note(
        tx, task.tenant, dispute.id, connector=work.connector, order=order, at=at
    )
    faults.point("dispute.begin.before_commit")
    return attempt


def conclude(tx: Transaction, task: outbox.Task, attempt: Attempt, answer: Answer) -> bool:
    """Note that something has been handed in; the decision comes later, as a notice.

    An acquirer that refuses it has decided already. Returns False when nobody knows.
    """
    operations.answered(tx, task.tenant, task.subject, attempt, answer)
    known = isinstance(answer.outcome, Approved | Declined | Pending)
    if known:
        outbox.settle(tx, task)
        tx.to_publish = True  # what was written when it was handed in
    faults.point("dispute.conclude.before_commit")
    return known


_INSERT = """
    INSERT INTO disputes (merchant_id, livemode, id, charge_id, amount, fee, created_at,
                          evidence_due_by, currency, reason, connector, reference)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(charge_id)s, %(amount)s, %(fee)s,
            %(created_at)s, %(evidence_due_by)s, %(currency)s, %(reason)s, %(connector)s,
            %(reference)s)
    ON CONFLICT ON CONSTRAINT opened_once DO NOTHING
    RETURNING true
"""

_DISPUTED = """
    UPDATE charges SET amount_disputed = amount_disputed + %(amount)s WHERE id = %(id)s
"""

_LAPSED = """
    SELECT merchant_id, livemode, id FROM disputes
    WHERE status = 'needs_response' AND evidence_due_by <= %(at)s
      AND NOT EXISTS (SELECT FROM outbox WHERE subject = disputes.id)
    ORDER BY evidence_due_by
"""

_WORK = """
    SELECT outbox.action, disputes.connector, disputes.reference
    FROM disputes
    JOIN outbox ON outbox.subject = disputes.id
    WHERE outbox.id = %(task)s AND disputes.id = %(id)s
"""
