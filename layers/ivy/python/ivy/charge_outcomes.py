"""What acquirers answer about charges: the new state, its posting, its event, in one transaction.

``begin`` notes that the acquirer is about to be asked; ``conclude`` writes what it said. Between
the two nothing is open, so a process may die anywhere and the next one goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ivy import (
    availability,
    charge_postings,
    charges,
    faults,
    ids,
    operations,
    outbox,
    states,
)
from ivy.charges import Charge, NextAction
from ivy.connectors import (
    Approved,
    Declined,
    Operation,
    Order,
    Pending,
    RequiresAction,
)
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting
from ivy.operations import Answer, Attempt

ACTION_CHECK = timedelta(minutes=1)
"""How often the acquirer is asked whether the payer has acted."""

_OPERATIONS: dict[str, Operation] = {
    "authorize": "authorize",
    "capture": "capture",
    "void": "void",
    "expire": "void",
}
"""What an acquirer is asked, by what was promised."""


@dataclass(frozen=True, slots=True)
class Work:
    """A promise about a charge: what is to be done, and how much of it."""

    action: str
    amount: int | None
    connector: str
    reference: str | None


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a charge, its attempt noted, the acquirer not yet asked."""

    action: str
    attempt: Attempt


def begin(tx: Transaction, task: outbox.Task) -> Started | None:
    """Note that the acquirer is about to be asked; None when there is nothing left to ask.

    Raises:
        ResourceMissing: The task is about a charge that its merchant does not have in its mode.
    """
    work = tx.row(Work, _WORK, task=task.id, id=task.subject)
    charge = charges.get(tx, task.subject)
    if work is None:
        return None
    if charge.status not in ("pending", "requires_action", "authorized"):
        outbox.settle(tx, task)
        return None
    at = tx.now()
    attempt = operations.note(
        tx,
        task.tenant,
        charge.id,
        connector=work.connector,
        order=_order(task.tenant, charge, work, at),
        at=at,
    )
    faults.point("charge.begin.before_commit")
    return Started(work.action, attempt)


def _order(tenant: Tenant, charge: Charge, work: Work, at: datetime) -> Order:
    operation = _OPERATIONS[work.action]
    written = ids.Prefix("ch").write(charge.id)
    return Order(
        operation=operation,
        key=written if operation == "authorize" else f"{written}.{operation}",
        account=operations.account_name(tenant),
        charge=charge.id,
        amount_minor=work.amount or charge.amount,
        currency=charge.currency,
        payment_method=charge.payment_method,
        reference=work.reference,
        capture=charge.capture,
        at=at,
    )


def conclude(tx: Transaction, task: outbox.Task, started: Started, answer: Answer) -> Charge | None:
    """Write what the acquirer said about a charge.

    The lock on the promise is the claim: of two copies of one message the second waits for the
    first, finds the promise gone or turned into another, and returns None. Without a definite
    answer the promise stays, and the acquirer is asked again later.
    """
    work = tx.row(Work, _WORK + " FOR UPDATE OF charges, outbox", task=task.id, id=task.subject)
    if work is None or work.action != started.action:
        return None
    faults.point("charge.conclude.after_claim")
    charge = charges.get(tx, task.subject)
    operations.answered(tx, task.tenant, charge.id, started.attempt, answer)
    at = tx.now()
    outcome = answer.outcome
    changed: Charge | None
    if isinstance(outcome, Approved):
        changed = _approved(tx, task.tenant, charge, started, outcome, at=at)
    elif isinstance(outcome, Declined):
        changed = _declined(tx, task, charge, work, outcome, at=at)
    elif isinstance(outcome, RequiresAction | Pending):
        return _wait(tx, task, charge, outcome, at)
    else:  # nobody knows: the promise stays, and the next attempt looks it up
        return None
    if changed is not None:
        outbox.settle(tx, task)
    faults.point("charge.conclude.before_commit")
    return changed


def _approved(
    tx: Transaction,
    tenant: Tenant,
    charge: Charge,
    started: Started,
    approved: Approved,
    *,
    at: datetime,
) -> Charge:
    """Authorise, capture or release, as was asked."""
    if started.action == "authorize" and not charge.capture:
        return _authorized(tx, tenant, charge, approved, at)
    if started.action in ("authorize", "capture"):
        return _captured(tx, tenant, charge, started.attempt, approved, at=at)
    return _released(
        tx, tenant, charge, at, status="expired" if started.action == "expire" else "canceled"
    )


def _authorized(
    tx: Transaction, tenant: Tenant, charge: Charge, approved: Approved, at: datetime
) -> Charge:
    changed = _changed(
        charge,
        status="authorized",
        capture_before=approved.expires_at or at + timedelta(days=7),
        next_action=None,
    )
    posting = charge_postings.authorized(changed, at)
    return _save(tx, tenant, charge, changed, at=at, posting=posting, reference=approved.reference)


def _captured(
    tx: Transaction,
    tenant: Tenant,
    charge: Charge,
    attempt: Attempt,
    approved: Approved,
    *,
    at: datetime,
) -> Charge:
    """Post what was captured, our fee and the acquirer's cost, and release what was not."""
    amount_minor = attempt.order.amount_minor
    fee = charge_postings.fee_minor(tx, charge, amount_minor)
    changed = _changed(
        charge,
        status="succeeded",
        amount_captured=amount_minor,
        fee=fee,
        available_on=availability.available_on(tx, tenant, charge.currency, at),
        next_action=None,
        capture_before=None,
    )
    posting = charge_postings.captured(
        changed, attempt.connector, fee, approved.cost_minor, at, held=charge.status == "authorized"
    )
    saved = _save(
        tx,
        tenant,
        charge,
        changed.model_copy(update={"ledger_transaction": posting.id}),
        at=at,
        posting=posting,
        reference=approved.reference,
        cost=approved.cost_minor,
    )
    faults.point("charge.conclude.after_posting")
    return saved


def _released(
    tx: Transaction, tenant: Tenant, charge: Charge, at: datetime, status: str, **why: Any
) -> Charge:
    """End a charge that was not captured, and give back what it held."""
    changed = _changed(charge, status=status, next_action=None, capture_before=None, **why)
    posting = None
    if charge.status == "authorized":
        posting = charge_postings.released(changed, at)
    return _save(tx, tenant, charge, changed, at=at, posting=posting)


def _declined(
    tx: Transaction,
    task: outbox.Task,
    charge: Charge,
    work: Work,
    declined: Declined,
    *,
    at: datetime,
) -> Charge | None:
    """Fail a charge whose money nobody will get.

    An acquirer that will not release anything holds nothing any more, unless the payer has
    acted in the meantime: then the authorisation is asked about again.
    """
    if work.action == "void" and charge.status == "requires_action":
        outbox.replace(tx, task.tenant, "charges", charge.id, before="void", action="authorize")
        return None
    if work.action in ("void", "expire"):
        status = "expired" if work.action == "expire" else "canceled"
        return _released(tx, task.tenant, charge, at, status)
    return _released(
        tx,
        task.tenant,
        charge,
        at,
        "failed",
        failure_code=declined.failure_code,
        decline_code=declined.decline_code,
    )


def _wait(
    tx: Transaction,
    task: outbox.Task,
    charge: Charge,
    outcome: RequiresAction | Pending,
    at: datetime,
) -> Charge | None:
    """Keep the promise until the acquirer can know more."""
    if isinstance(outcome, Pending):
        tx.to_publish = True  # what was written when the charge was taken on waits for days else
        tx.run(_REFERENCE, id=charge.id, reference=outcome.reference)
        outbox.postpone(tx, task, outcome.until)
        return None
    outbox.look_again(tx, task, ACTION_CHECK, until=outcome.until)
    if charge.status == "requires_action":
        return None
    changed = _changed(charge, status="requires_action", next_action=NextAction(url=outcome.url))
    return _save(tx, task.tenant, charge, changed, at=at, reference=outcome.reference)


def expire(tx: Transaction, at: datetime) -> list[outbox.Task]:
    """Promise to void every authorisation whose time is over at ``at``; of all as ``ivy_jobs``."""
    return outbox.owe_each(tx, "charges", "expire", _EXPIRED, at)


def returned(tx: Transaction, tenant: Tenant, charge: Charge, code: str, at: datetime) -> Charge:
    """Claw back a bank debit that had succeeded; the money comes from where it would be now.

    Expects the charge locked, succeeded, and a bank debit.
    """
    availability.hold(tx, tenant, charge.currency)
    inside = tx.row(_Inside, _INSIDE, id=charge.id)
    assert inside is not None  # noqa: S101 - the caller holds the row
    fee = charge_postings.return_fee_minor(tx, charge)
    changed = _changed(charge, status="failed", failure_code="bank_debit_returned")
    posting = charge_postings.returned(changed, inside.connector, inside.purse, fee, at)
    return _save(
        tx,
        tenant,
        charge,
        changed.model_copy(update={"decline_code": code}),
        at=at,
        posting=posting,
    )


@dataclass(frozen=True, slots=True)
class _Inside:
    connector: str
    settled: bool

    @property
    def purse(self) -> Chart:
        """The account in which the charge's money would be now."""
        return Chart.AVAILABLE if self.settled else Chart.PENDING


def _changed(charge: Charge, **fields: Any) -> Charge:
    return charge.model_copy(update={**fields, "version": charge.version + 1})


def _save(
    tx: Transaction,
    tenant: Tenant,
    before: Charge,
    after: Charge,
    *,
    at: datetime,
    posting: Posting | None = None,
    reference: str | None = None,
    cost: int | None = None,
) -> Charge:
    """Write a transition: the charge's row, its posting, its event."""
    change = states.transition("charge", before.status, after.status)
    tx.run(
        _UPDATE,
        id=after.id,
        status=after.status,
        version=after.version,
        amount_captured=after.amount_captured,
        fee=after.fee,
        available_on=after.available_on,
        capture_before=after.capture_before,
        next_action_url=after.next_action.url if after.next_action else None,
        ledger_transaction=after.ledger_transaction,
        failure_code=after.failure_code,
        decline_code=after.decline_code,
        reference=reference,
        cost=cost,
    )
    states.record(tx, tenant, change, after, at=at, posting=posting)
    return after


_WORK = """
    SELECT outbox.action, outbox.amount, charges.connector, charges.reference
    FROM charges
    JOIN outbox ON outbox.subject = charges.id
    WHERE outbox.id = %(task)s AND charges.id = %(id)s
"""

_EXPIRED = """
    SELECT merchant_id, livemode, id FROM charges
    WHERE status = 'authorized' AND capture_before <= %(at)s
      AND NOT EXISTS (SELECT FROM outbox WHERE subject = charges.id)
    ORDER BY capture_before
"""

_INSIDE = f"SELECT connector, {availability.SETTLED} AS settled FROM charges WHERE id = %(id)s"

_REFERENCE = "UPDATE charges SET reference = %(reference)s WHERE id = %(id)s"

_UPDATE = """
    UPDATE charges
    SET status = %(status)s, version = %(version)s, amount_captured = %(amount_captured)s,
        fee = %(fee)s, available_on = %(available_on)s, capture_before = %(capture_before)s,
        next_action_url = %(next_action_url)s, ledger_transaction = %(ledger_transaction)s,
        failure_code = %(failure_code)s, decline_code = %(decline_code)s,
        reference = coalesce(%(reference)s, reference), cost = coalesce(%(cost)s, cost)
    WHERE id = %(id)s
"""
