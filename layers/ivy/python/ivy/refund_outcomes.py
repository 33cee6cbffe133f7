"""What becomes of refunds: waiting ones move on, and acquirers' answers are posted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ivy import charges, faults, ids, operations, outbox, pricing, refunds, states
from ivy.charges import Charge
from ivy.connectors import Approved, Declined, Order, Pending
from ivy.database import Tenant, Transaction
from ivy.ledger import ACQUIRER_RECEIVABLE, Chart, Posting, PostingKind, credit, debit
from ivy.operations import Answer, Attempt
from ivy.refunds import Covered, Refund

WAITING_CHECK = timedelta(minutes=2)
"""How often a refund that waits for funds, or for its charge, is looked at."""


def begin(tx: Transaction, task: outbox.Task) -> Attempt | None:
    """Note that the acquirer is about to be asked; None when it is not to be asked now.

    Raises:
        ResourceMissing: The task is about a refund that its merchant does not have in its mode.
    """
    charge = charges.lock(tx, refunds.get(tx, task.subject).charge)
    if not tx.value(_PROMISED, task=task.id, id=task.subject):
        return None
    refund = refunds.get(tx, task.subject)
    inside = refunds.covered(tx, task.tenant, charge)
    at = tx.now()
    if refund.status != "pending":
        outbox.settle(tx, task)
        return None
    if refund.pending_reason != "processing" and not _move_on(
        tx, task, charge, inside, refund, at=at
    ):
        return None
    order = Order(
        operation="refund",
        key=ids.Prefix("re").write(refund.id),
        account=operations.account_name(task.tenant),
        charge=charge.id,
        amount_minor=refund.amount,
        currency=refund.currency,
        payment_method=charge.payment_method,
        reference=inside.reference,
        at=at,
    )
    attempt = operations.note(
        tx, task.tenant, refund.id, connector=inside.connector, order=order, at=at
    )
    faults.point("refund.begin.before_commit")
    return attempt


def _move_on(
    tx: Transaction,
    task: outbox.Task,
    charge: Charge,
    inside: Covered,
    refund: Refund,
    *,
    at: datetime,
) -> bool:
    """Let a waiting refund go on, wait longer, or end it; True when it is now to be asked for."""
    if charge.status in ("failed", "canceled", "expired"):
        _cancel(tx, task, charge, refund, at)
    elif charge.status != "succeeded":
        outbox.look_again(tx, task, WAITING_CHECK)
    elif refund.amount > _left_without(charge, inside, refund):
        _cancel(tx, task, charge, refund, at)
    elif refunds.affordable(tx, task.tenant, charge.currency, refund.amount):
        posting = refunds.accepted_posting(refund, inside.purse, at)
        moved = _changed(refund, pending_reason="processing", ledger_transaction=posting.id)
        _save(tx, task.tenant, refund, moved, at=at, posting=posting)
        return True
    else:
        outbox.look_again(tx, task, WAITING_CHECK)
        if refund.pending_reason != "insufficient_funds":
            waiting = _changed(refund, pending_reason="insufficient_funds")
            _save(tx, task.tenant, refund, waiting, at=at)
    return False


def _left_without(charge: Charge, inside: Covered, refund: Refund) -> int:
    """Return what is left of a charge for one of its pending refunds."""
    others = inside.amount_refund_pending - refund.amount
    return charge.amount_captured - charge.amount_refunded - others - inside.amount_disputed


def _cancel(
    tx: Transaction, task: outbox.Task, charge: Charge, refund: Refund, at: datetime
) -> None:
    """End a refund that took no money yet and never will."""
    tx.run(_RELEASE_AMOUNT, id=charge.id, amount=refund.amount)
    canceled = _changed(refund, status="canceled", pending_reason=None)
    _save(tx, task.tenant, refund, canceled, at=at)
    outbox.settle(tx, task)


def conclude(tx: Transaction, task: outbox.Task, attempt: Attempt, answer: Answer) -> Refund | None:
    """Write what the acquirer said about a refund; None when somebody else has, or nobody knows."""
    if not tx.value(_CLAIM, task=task.id, id=task.subject):
        return None
    faults.point("refund.conclude.after_claim")
    refund = refunds.get(tx, task.subject)
    charge = charges.get(tx, refund.charge)
    operations.answered(tx, task.tenant, refund.id, attempt, answer)
    at = tx.now()
    outcome = answer.outcome
    if isinstance(outcome, Pending):
        outbox.postpone(tx, task, outcome.until)
        return None
    if isinstance(outcome, Approved):
        done = _succeeded(tx, task.tenant, charge, refund, attempt.connector, at=at)
    elif isinstance(outcome, Declined):
        done = _failed(tx, task.tenant, charge, refund, outcome, at=at)
    else:
        return None
    outbox.settle(tx, task)
    faults.point("refund.conclude.before_commit")
    return done


def _succeeded(
    tx: Transaction, tenant: Tenant, charge: Charge, refund: Refund, connector: str, *, at: datetime
) -> Refund:
    """Post a refund that the acquirer has made, and the part of our fee that goes back with it."""
    fee_returned = _fee_returned(tx, charge, refund)
    done = _changed(refund, status="succeeded", pending_reason=None, fee_returned=fee_returned)
    posting = refunds.posting_of(
        refund,
        PostingKind.REFUND_SUCCEEDED,
        at,
        debit(Chart.REFUNDS_PAYABLE, refund.amount),
        credit(ACQUIRER_RECEIVABLE[connector], refund.amount),
        debit(Chart.INCOME_PROCESSING, fee_returned),
        credit(Chart.AVAILABLE, fee_returned),
    )
    _save(tx, tenant, refund, done, at=at, posting=posting)
    after = charge.model_copy(
        update={
            "amount_refunded": charge.amount_refunded + refund.amount,
            "fee_returned": charge.fee_returned + fee_returned,
            "version": charge.version + 1,
        }
    )
    tx.run(
        _REFUNDED,
        id=charge.id,
        amount=refund.amount,
        fee_returned=fee_returned,
        version=after.version,
    )
    change = states.transition("charge", charge.status, after.status)
    states.record(tx, tenant, change, after, at=at)
    return done


def _fee_returned(tx: Transaction, charge: Charge, refund: Refund) -> int:
    """Return how much of the charge's fee its plan gives back with this refund."""
    code, _, version = charge.fee_plan.partition("/")
    plan = pricing.plan(tx, code, int(version))
    if plan.fee_return == "none" or charge.fee is None:
        return 0
    return pricing.returned_fee(
        fee_minor=charge.fee,
        captured_minor=charge.amount_captured,
        refunded_before_minor=charge.amount_refunded,
        refund_minor=refund.amount,
        returned_before_minor=charge.fee_returned,
    )


def _failed(
    tx: Transaction,
    tenant: Tenant,
    charge: Charge,
    refund: Refund,
    declined: Declined,
    *,
    at: datetime,
) -> Refund:
    """Give a refund's money back to the merchant: where the charge's money would be now."""
    done = _changed(
        refund, status="failed", pending_reason=None, failure_code=declined.failure_code
    )
    posting = refunds.posting_of(
        refund,
        PostingKind.REFUND_RETURNED,
        at,
        debit(Chart.REFUNDS_PAYABLE, refund.amount),
        credit(refunds.covered(tx, tenant, charge).purse, refund.amount),
    )
    tx.run(_RELEASE_AMOUNT, id=charge.id, amount=refund.amount)
    _save(tx, tenant, refund, done, at=at, posting=posting)
    return done


def _changed(refund: Refund, **fields: Any) -> Refund:
    return refund.model_copy(update={**fields, "version": refund.version + 1})


def _save(
    tx: Transaction,
    tenant: Tenant,
    before: Refund,
    after: Refund,
    *,
    at: datetime,
    posting: Posting | None = None,
) -> None:
    """Write a transition: the refund's row, its posting, its event."""
    change = states.transition("refund", before.state, after.state)
    tx.run(
        _UPDATE,
        id=after.id,
        status=after.status,
        pending_reason=after.pending_reason,
        fee_returned=after.fee_returned,
        failure_code=after.failure_code,
        ledger_transaction=after.ledger_transaction,
        version=after.version,
    )
    states.record(tx, tenant, change, after, at=at, posting=posting)


_PROMISED = "SELECT true FROM outbox WHERE id = %(task)s AND subject = %(id)s"

_CLAIM = """
    SELECT true
    FROM charges
    JOIN refunds ON refunds.charge_id = charges.id
    JOIN outbox ON outbox.subject = refunds.id
    WHERE outbox.id = %(task)s AND refunds.id = %(id)s
    FOR UPDATE OF charges, refunds, outbox
"""

_RELEASE_AMOUNT = """
    UPDATE charges SET amount_refund_pending = amount_refund_pending - %(amount)s WHERE id = %(id)s
"""

_REFUNDED = """
    UPDATE charges
    SET amount_refunded = amount_refunded + %(amount)s,
        amount_refund_pending = amount_refund_pending - %(amount)s,
        fee_returned = fee_returned + %(fee_returned)s, version = %(version)s
    WHERE id = %(id)s
"""

_UPDATE = """
    UPDATE refunds
    SET status = %(status)s, pending_reason = %(pending_reason)s, fee_returned = %(fee_returned)s,
        failure_code = %(failure_code)s, ledger_transaction = %(ledger_transaction)s,
        version = %(version)s
    WHERE id = %(id)s
"""
