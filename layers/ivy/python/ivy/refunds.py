"""Refunds: money that goes back to the payer, taken from where the charge's money is now.

``accept`` takes the money aside and promises the refund; what the acquirer answers is written by
``ivy.refund_outcomes``. A refund that cannot be paid for yet waits, and is looked at again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field, computed_field

from ivy import (
    availability,
    charges,
    errors,
    faults,
    ids,
    ledger,
    ledger_transactions,
    money,
    objects,
    outbox,
    pages,
    states,
)
from ivy.callers import Caller
from ivy.charges import Charge, Wait
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.ledger_transactions import DryRun
from ivy.models import AmountMinor, CurrencyCode, Flag, Input, Metadata, Object, Time, example

Status = Literal["pending", "succeeded", "failed", "canceled"]
PendingReason = Literal["processing", "insufficient_funds", "charge_pending"]
Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]


class NewRefund(Input):
    """A refund to make."""

    model_config = example(
        charge="ch_019ab2c4d5e67f8091a2b3c4d5e6f708", amount=2500, reason="requested_by_customer"
    )

    charge: ids.ChargeId
    amount: Annotated[
        AmountMinor | None, Field(description="All that is left of the charge when left out.")
    ] = None
    currency: CurrencyCode | None = None
    reason: Reason | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    wait: Wait = False
    dry_run: Annotated[
        Flag, Field(description="Write nothing; answer with the entries it would post.")
    ] = False


class Refund(Object):
    """Money given back to a customer; ``pending_reason`` says what a pending one waits for."""

    model_config = example(
        id="re_019ab2c9a1b27c3d8e4f5a6b7c8d9e0f",
        object="refund",
        livemode=False,
        created_at="2026-11-24T10:00:00.000Z",
        charge="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        amount=2500,
        currency="USD",
        exponent=2,
        status="succeeded",
        pending_reason=None,
        reason="requested_by_customer",
        failure_code=None,
        fee_returned=0,
        metadata={},
        ledger_transaction="ltx_019ab2c9a1c07d1e8f2a3b4c5d6e7f80",
        version=2,
    )

    id: ids.RefundId
    object: Literal["refund"] = "refund"
    livemode: bool
    created_at: Time
    charge: ids.ChargeId
    amount: int
    currency: str
    status: Status
    pending_reason: PendingReason | None
    reason: Reason | None
    failure_code: str | None = None
    fee_returned: int = 0
    metadata: dict[str, str]
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent

    @property
    def state(self) -> str:
        """The state in terms of the state machine."""
        return f"pending({self.pending_reason})" if self.status == "pending" else self.status


class RefundQuery(pages.Page):
    """Which refunds to list."""

    of = "re"

    charge: ids.ChargeId | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """What of a charge matters to refunds and disputes, and callers do not see."""

    connector: str
    reference: str | None
    settled: bool
    amount_refund_pending: int
    amount_disputed: int

    @property
    def purse(self) -> Chart:
        """The account in which the charge's money would be now."""
        return Chart.AVAILABLE if self.settled else Chart.PENDING


def covered(tx: Transaction, tenant: Tenant, charge: Charge) -> Covered:
    """Return the inside of a charge that the transaction has locked; no settlement is meanwhile."""
    availability.hold(tx, tenant, charge.currency)
    found = tx.row(Covered, _COVERED, id=charge.id)
    if found is None:
        raise errors.ResourceMissing
    return found


def accept(tx: Transaction, caller: Caller, new: NewRefund) -> Refund:
    """Take on a refund: its money set aside, its event, and the promise to ask the acquirer.

    Raises:
        ResourceMissing, CurrencyMismatch, RefundExceedsCharge.
        ChargeNotRefundable: By the charge's state.
    """
    tenant = caller.tenant
    charge = charges.lock(tx, new.charge)
    inside = covered(tx, tenant, charge)
    amount = _amount(charge, inside, new)
    at = tx.now()
    reason: PendingReason = "charge_pending"
    if charge.amount_captured:
        enough = affordable(tx, tenant, charge.currency, amount)
        reason = "processing" if enough else "insufficient_funds"
    refund = Refund(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        charge=charge.id,
        amount=amount,
        currency=charge.currency,
        status="pending",
        pending_reason=reason,
        reason=new.reason,
        metadata=new.metadata,
    )
    posting = None
    if reason == "processing":
        posting = accepted_posting(refund, inside.purse, at)
        refund = refund.model_copy(update={"ledger_transaction": posting.id})
    tx.run(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=refund.id,
        charge_id=charge.id,
        amount=amount,
        created_at=at,
        currency=refund.currency,
        pending_reason=reason,
        reason=refund.reason,
        ledger_transaction=refund.ledger_transaction,
        metadata=json.dumps(refund.metadata),
    )
    tx.run(_COMMIT_AMOUNT, id=charge.id, amount=amount)
    change = states.transition("refund", states.BEGIN, refund.state)
    states.record(tx, tenant, change, refund, at=at, posting=posting)
    outbox.owe(tx, tenant, "refunds", refund.id, "refund", at=at)
    faults.point("refund.accept.before_commit")
    return refund


def preview(tx: Transaction, caller: Caller, new: NewRefund) -> DryRun:
    """Return what a refund would post when accepted; nothing is written.

    Raises:
        ResourceMissing, CurrencyMismatch, RefundExceedsCharge, ChargeNotRefundable.
    """
    charge = charges.lock(tx, new.charge)
    inside = covered(tx, caller.tenant, charge)
    amount = _amount(charge, inside, new)
    at = tx.now()
    posting = Posting(
        id=ids.new(at),
        kind=PostingKind.REFUND_ACCEPTED,
        source=charge.id,
        currency=charge.currency,
        legs=(debit(inside.purse, amount), credit(Chart.REFUNDS_PAYABLE, amount)),
        value_on=at.date(),
        recorded_at=at,
    )
    return DryRun(
        livemode=charge.livemode,
        kind="refund.accepted",
        amount=amount,
        currency=charge.currency,
        exponent=charge.exponent,
        entries=ledger_transactions.preview(tx, caller.tenant, posting),
    )


def _amount(charge: Charge, inside: Covered, new: NewRefund) -> int:
    """Return how much is to be refunded, or refuse."""
    if charge.status not in ("succeeded", "pending", "requires_action"):
        hint = " Cancel it instead." if charge.status == "authorized" else ""
        raise errors.ChargeNotRefundable(f"The charge is {charge.status}.{hint}")
    if new.currency not in (None, charge.currency):
        raise errors.CurrencyMismatch(f"The charge is in {charge.currency}.", param="currency")
    base = charge.amount_captured or charge.amount
    left = base - charge.amount_refunded - inside.amount_refund_pending - inside.amount_disputed
    amount = left if new.amount is None else new.amount
    if amount > left or amount < 1:  # a dispute may have taken what a refund still waits for
        raise errors.RefundExceedsCharge(
            f"{max(left, 0)} minor units of {charge.currency} are left to refund.", param="amount"
        )
    return amount


def affordable(tx: Transaction, tenant: Tenant, currency: str, amount_minor: int) -> bool:
    """Say whether the merchant's funds, or its overdraft, cover an amount; locks the funds."""
    funds = ledger.lock_funds(tx, tenant, currency)
    cents: int = tx.value("SELECT overdraft_cents FROM merchants")
    return funds - amount_minor >= -money.currencies()[currency].scaled(cents)


def accepted_posting(refund: Refund, purse: Chart, at: datetime) -> Posting:
    """Return the posting that takes a refund's money aside."""
    return posting_of(
        refund,
        PostingKind.REFUND_ACCEPTED,
        at,
        debit(purse, refund.amount),
        credit(Chart.REFUNDS_PAYABLE, refund.amount),
    )


def get(tx: Transaction, refund_id: UUID) -> Refund:
    """Return one refund of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such refund in this mode.
    """
    return objects.one(tx, Refund, _SELECT + " WHERE id = %(id)s", refund_id)


def settled(tx: Transaction, refund_id: UUID) -> Refund | None:
    """Return a refund once its outcome is known; None while it is not."""
    refund = get(tx, refund_id)
    waits = refund.pending_reason not in (None, "processing")
    return refund if refund.status != "pending" or waits else None


def page(tx: Transaction, query: RefundQuery) -> pages.Listing[Refund]:
    """Return one page of refunds, newest first."""
    return pages.read(
        tx, Refund, _SELECT + " WHERE", query, {"charge_id": query.charge, "status": query.status}
    )


def posting_of(refund: Refund, kind: PostingKind, at: datetime, *legs: ledger.Leg) -> Posting:
    """Return a posting whose source is a refund."""
    return Posting(
        id=ids.new(at),
        kind=kind,
        source=refund.id,
        currency=refund.currency,
        legs=legs,
        value_on=at.date(),
        recorded_at=at,
    )


_SELECT = """
    SELECT id, livemode, created_at, charge_id AS charge, amount, currency, status, pending_reason,
           reason, failure_code, fee_returned, metadata, ledger_transaction, version
    FROM refunds
"""

_COVERED: LiteralString = f"""
    SELECT connector, reference, {availability.SETTLED} AS settled, amount_refund_pending,
           amount_disputed
    FROM charges WHERE id = %(id)s
"""

_INSERT = """
    INSERT INTO refunds (merchant_id, livemode, id, charge_id, amount, created_at, currency,
                         pending_reason, reason, ledger_transaction, metadata)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(charge_id)s, %(amount)s, %(created_at)s,
            %(currency)s, %(pending_reason)s, %(reason)s, %(ledger_transaction)s, %(metadata)s)
"""

_COMMIT_AMOUNT = """
    UPDATE charges SET amount_refund_pending = amount_refund_pending + %(amount)s WHERE id = %(id)s
"""
