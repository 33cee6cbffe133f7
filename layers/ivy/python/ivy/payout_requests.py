"""Requests about payouts: made, approved, rejected, canceled.

The merchant's available funds are locked, then everything that changed them since the last payout
is put into this one; only what is there by that can be paid out. A payout above the merchant's
limit waits for somebody else than who asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from ivy import (
    api_keys,
    bank_accounts,
    errors,
    faults,
    ids,
    ledger,
    ledger_transactions,
    money,
    payout_items,
    payouts,
    pricing,
    states,
)
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.ledger_transactions import DryRun
from ivy.payouts import Itemisation, NewPayout, Payout


@dataclass(frozen=True, slots=True)
class Asked:
    """A payout that somebody, or a schedule, wants."""

    tenant: Tenant
    amount: int | None
    currency: str
    bank_account: UUID
    maker: UUID | None = None
    scheduled_on: date | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None


def create(tx: Transaction, caller: Caller, new: NewPayout) -> Payout:
    """Take on a payout: its money leaves the balance at once, unless it needs approval first.

    Raises:
        LiveModeLocked, ResourceMissing, CurrencyMismatch.
        BankAccountUnverified, BankAccountCoolingOff: By the account's state.
        BalanceInsufficient: With what is available.
    """
    at = tx.now()
    asked = _asked(tx, caller, new, at)
    return begin(tx, asked, wanted(tx, asked), at)


def begin(tx: Transaction, asked: Asked, amount: int, at: datetime) -> Payout:
    """Begin a payout of an amount: made at once, or waiting for approval.

    Raises:
        BalanceInsufficient: With what is available.
    """
    if _needs_approval(tx, asked.currency, amount):
        _funds(tx, asked.tenant, asked.currency, amount)
        return _begin(tx, asked, _payout(asked, amount, at, "requires_approval"))
    return post(tx, asked, amount, at)


def preview(tx: Transaction, caller: Caller, new: NewPayout) -> DryRun:
    """Return what a payout would post; nothing is written.

    Raises:
        As ``create`` would.
    """
    at = tx.now()
    asked = _asked(tx, caller, new, at)
    amount = wanted(tx, asked)
    _funds(tx, asked.tenant, asked.currency, amount)
    payout = _payout(asked, amount, at, "pending")
    return DryRun(
        livemode=asked.tenant.livemode,
        kind="payout.created",
        amount=amount,
        currency=payout.currency,
        exponent=payout.exponent,
        fee=_fee(tx, asked.currency),
        entries=ledger_transactions.preview(
            tx, asked.tenant, _posting(payout, _fee(tx, asked.currency), at)
        ),
    )


def post(tx: Transaction, asked: Asked, amount: int, at: datetime) -> Payout:
    """Make a payout of an amount, with every entry that it consists of.

    Raises:
        BalanceInsufficient: With what is available.
    """
    payout = _payout(asked, amount, at, "pending")
    return _begin(tx, asked, *_itemised(tx, asked.tenant, payout, at))


def approve(tx: Transaction, caller: Caller, payout_id: UUID) -> Payout:
    """Let a payout go that somebody else has asked for.

    Raises:
        ResourceMissing, ApproverNotAPerson.
        PayoutNotApprovable: By its state.
        SelfApproval: The caller has asked for it, or made the key that did.
        BankAccountUnverified, BankAccountCoolingOff, BalanceInsufficient: By now.
    """
    if caller.user is None:
        raise errors.ApproverNotAPerson
    payout = payouts.lock(tx, payout_id)
    if payout.status != "requires_approval":
        raise errors.PayoutNotApprovable(f"The payout is {payout.status}.")
    if tx.value("SELECT created_by FROM payouts WHERE id = %(id)s", id=payout.id) == caller.user:
        raise errors.SelfApproval
    at = tx.now()
    bank_accounts.payable(tx, caller.tenant, payout.bank_account, payout.currency, at)
    pending = payouts.changed(payout, status="pending")
    after, posting, before_xid = _itemised(tx, caller.tenant, pending, at)
    tx.run(_UPDATE_ITEMS, before_xid=before_xid, **_columns(after))
    payouts.save(tx, caller.tenant, payout, after, posting, at=at, decided_by=caller.user)
    faults.point("payout.approve.before_commit")
    return after


def reject(tx: Transaction, caller: Caller, payout_id: UUID) -> Payout:
    """Refuse a payout that waits for approval.

    Raises:
        ResourceMissing, ApproverNotAPerson.
        PayoutNotApprovable: By its state.
    """
    if caller.user is None:
        raise errors.ApproverNotAPerson
    payout = payouts.lock(tx, payout_id)
    if payout.status != "requires_approval":
        raise errors.PayoutNotApprovable(f"The payout is {payout.status}.")
    after = payouts.changed(payout, status="rejected")
    payouts.save(tx, caller.tenant, payout, after, None, at=tx.now(), decided_by=caller.user)
    return after


def cancel(tx: Transaction, caller: Caller, payout_id: UUID) -> Payout:
    """Take a payout back that is not on its way to the bank yet; its money is available again.

    Raises:
        ResourceMissing.
        PayoutNotCancelable: By its state.
    """
    payout = payouts.lock(tx, payout_id)
    in_file = tx.value("SELECT bank_file FROM payouts WHERE id = %(id)s", id=payout.id)
    if payout.status not in ("requires_approval", "pending") or in_file is not None:
        status = "in_transit" if in_file else payout.status
        raise errors.PayoutNotCancelable(f"The payout is {status}.")
    at = tx.now()
    after = payouts.changed(payout, status="canceled")
    posting = reversal(payout, at) if payout.ledger_transaction else None
    payouts.save(tx, caller.tenant, payout, after, posting, at=at)
    faults.point("payout.cancel.before_commit")
    return after


def reversal(payout: Payout, at: datetime) -> Posting:
    """Return the posting that makes a payout's money available again, before it was paid."""
    return posting_of(
        payout,
        PostingKind.PAYOUT_REVERSED,
        at,
        debit(Chart.PAYOUTS_IN_TRANSIT, payout.amount),
        credit(Chart.AVAILABLE, payout.amount),
    )


def posting_of(payout: Payout, kind: PostingKind, at: datetime, *legs: ledger.Leg) -> Posting:
    """Return a posting whose source is a payout."""
    return Posting(
        id=ids.new(at),
        kind=kind,
        source=payout.id,
        currency=payout.currency,
        legs=legs,
        value_on=at.date(),
        recorded_at=at,
    )


def _asked(tx: Transaction, caller: Caller, new: NewPayout, at: datetime) -> Asked:
    """Return what is wanted, to an account that may be paid to."""
    tenant = caller.tenant
    if tenant.livemode and not tx.value("SELECT live_open FROM merchants"):
        raise errors.LiveModeLocked
    account_id = new.bank_account
    if account_id is None:
        default = bank_accounts.default(tx, new.currency, at)
        if default is None:
            raise errors.ResourceMissing(
                f"There is no verified bank account in {new.currency}.", param="bank_account"
            )
        account_id = default.id
    bank_accounts.payable(tx, tenant, account_id, new.currency, at)
    return Asked(
        tenant=tenant,
        amount=new.amount,
        currency=new.currency,
        bank_account=account_id,
        maker=api_keys.person_behind(tx, caller) or caller.credential,
        description=new.description,
        metadata=new.metadata,
    )


def wanted(tx: Transaction, asked: Asked) -> int:
    """Return the amount that is wanted: as said, or as much as there is and one payout can take."""
    if asked.amount is not None:
        return asked.amount
    there = payout_items.available(tx, asked.tenant, asked.currency)
    return min(max(there - _fee(tx, asked.currency), 0), payouts.MAX_AMOUNT_MINOR)


def _funds(tx: Transaction, tenant: Tenant, currency: str, amount: int) -> None:
    there = payout_items.available(tx, tenant, currency)
    if amount < 1 or amount + _fee(tx, currency) > there:
        raise _insufficient(currency, there)


def _insufficient(currency: str, there: int) -> errors.BalanceInsufficient:
    return errors.BalanceInsufficient(
        f"{there} minor units of {currency} are available.",
        param="amount",
        facts={"available": there, "currency": currency},
    )


def _fee(tx: Transaction, currency: str) -> int:
    """Return what a payout costs by the merchant's current plan."""
    return pricing.current(tx).payout_fee_minor(money.currencies()[currency])


def _needs_approval(tx: Transaction, currency: str, amount: int) -> bool:
    limit: int | None = tx.value("SELECT payout_approval_cents FROM merchants")
    return limit is not None and amount > money.currencies()[currency].scaled(limit)


def _payout(asked: Asked, amount: int, at: datetime, status: payouts.Status) -> Payout:
    return Payout(
        id=ids.new(at),
        livemode=asked.tenant.livemode,
        created_at=at,
        amount=amount,
        currency=asked.currency,
        status=status,
        bank_account=asked.bank_account,
        automatic=asked.scheduled_on is not None,
        description=asked.description,
        metadata=asked.metadata or {},
    )


def _itemised(
    tx: Transaction, tenant: Tenant, payout: Payout, at: datetime
) -> tuple[Payout, Posting, int]:
    """Put everything into a payout that is not in one yet; returns it with its posting.

    The number is the transaction before which every entry is in this payout or an earlier one.

    Raises:
        BalanceInsufficient: With what is available by that.
    """
    fee = _fee(tx, payout.currency)
    taken = payout_items.take(tx, tenant, payout.id, payout.currency)
    there = taken.opening + taken.items
    if payout.amount < 1 or payout.amount + fee > there:
        raise _insufficient(payout.currency, there)
    posting = _posting(payout, fee, at)
    itemisation = Itemisation(
        opening=taken.opening,
        item_count=taken.item_count,
        items=taken.items,
        closing=there - payout.amount - fee,
    )
    update = {"fee": fee, "itemisation": itemisation, "ledger_transaction": posting.id}
    return payout.model_copy(update=update), posting, taken.before_xid


def _posting(payout: Payout, fee: int, at: datetime) -> Posting:
    return posting_of(
        payout,
        PostingKind.PAYOUT_CREATED,
        at,
        debit(Chart.AVAILABLE, payout.amount + fee),
        credit(Chart.PAYOUTS_IN_TRANSIT, payout.amount),
        credit(Chart.INCOME_PAYOUT, fee),
    )


def _begin(
    tx: Transaction,
    asked: Asked,
    payout: Payout,
    posting: Posting | None = None,
    before_xid: int | None = None,
) -> Payout:
    """Write a new payout, its posting and its event."""
    tx.run(
        _INSERT,
        merchant_id=asked.tenant.merchant_id,
        livemode=asked.tenant.livemode,
        bank_account_id=payout.bank_account,
        created_by=asked.maker,
        created_at=payout.created_at,
        scheduled_on=asked.scheduled_on,
        description=payout.description,
        metadata=json.dumps(payout.metadata),
        items_before_xid=before_xid,
        **_columns(payout),
    )
    change = states.transition("payout", states.BEGIN, payout.status)
    states.record(tx, asked.tenant, change, payout, at=payout.created_at, posting=posting)
    faults.point("payout.create.before_commit")
    return payout


def _columns(payout: Payout) -> dict[str, object]:
    itemised = payout.itemisation
    return {
        "id": payout.id,
        "amount": payout.amount,
        "fee": payout.fee,
        "currency": payout.currency,
        "status": payout.status,
        "ledger_transaction": payout.ledger_transaction,
        "opening": itemised.opening if itemised else None,
        "items": itemised.items if itemised else None,
        "item_count": itemised.item_count if itemised else None,
        "closing": itemised.closing if itemised else None,
    }


_NEXT: LiteralString = """
    (SELECT coalesce(max(sequence), 0) + 1 FROM payouts
     WHERE (merchant_id, livemode) = (current_merchant(), current_livemode())
       AND currency = %(currency)s)
"""

_INSERT: LiteralString = (
    """
    INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount, fee, opening, items,
                         closing, item_count, items_before_xid, ledger_transaction, created_by,
                         created_at, scheduled_on, currency, status, description, metadata,
                         sequence)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(bank_account_id)s, %(amount)s, %(fee)s,
            %(opening)s, %(items)s, %(closing)s, %(item_count)s, %(items_before_xid)s,
            %(ledger_transaction)s, %(created_by)s, %(created_at)s, %(scheduled_on)s,
            %(currency)s, %(status)s, %(description)s, %(metadata)s,
            CASE WHEN %(closing)s::bigint IS NOT NULL THEN """
    + _NEXT
    + " END)"
)

_UPDATE_ITEMS: LiteralString = (
    """
    UPDATE payouts
    SET fee = %(fee)s, opening = %(opening)s, items = %(items)s, closing = %(closing)s,
        item_count = %(item_count)s, items_before_xid = %(before_xid)s,
        ledger_transaction = %(ledger_transaction)s, sequence = """
    + _NEXT
    + " WHERE id = %(id)s"
)
