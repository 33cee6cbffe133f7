"""Recoveries: what is done about a balance that stays below zero, and how it ended.

One is opened when a balance has been below zero for some banking days. It is ``recovered`` when
the balance is at zero or above again, whoever brought that about, or ``written_off`` by two people.
At most one is under way for a merchant's balance in a currency and mode.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from pydantic import Field, computed_field

from ivy import availability, errors, ids, ledger, money, objects, states
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting
from ivy.models import Object, Time, example

Status = Literal["open", "recovered", "written_off"]


class Recovery(Object):
    """A balance below zero and what becomes of it, in minor units."""

    model_config = example(
        id="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        object="recovery",
        livemode=False,
        created_at="2026-12-03T00:06:00.000Z",
        amount=11500,
        currency="USD",
        exponent=2,
        status="open",
        negative_since="2026-11-30T00:05:00.000Z",
        written_off=None,
        ledger_transaction=None,
        version=1,
    )

    id: ids.RecoveryId
    object: Literal["recovery"] = "recovery"
    livemode: bool
    created_at: Time
    amount: Annotated[int, Field(description="How far below zero it was when this was opened.")]
    currency: str
    status: Status = "open"
    negative_since: Time
    written_off: int | None = None
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


def open_one(tx: Transaction, tenant: Tenant, recovery: Recovery) -> bool:
    """Write a new recovery and announce it; False where one is under way. Runs as ``ivy_jobs``."""
    inserted = tx.value(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=recovery.id,
        amount=recovery.amount,
        created_at=recovery.created_at,
        negative_since=recovery.negative_since,
        currency=recovery.currency,
    )
    if inserted is None:
        return False
    change = states.transition("recovery", states.BEGIN, recovery.status)
    states.record(tx, tenant, change, recovery, at=recovery.created_at)
    return True


def get(tx: Transaction, recovery_id: UUID) -> Recovery:
    """Return one recovery of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such recovery in this mode.
    """
    return objects.one(tx, Recovery, _ONE, recovery_id)


def lock(tx: Transaction, recovery_id: UUID) -> Recovery:
    """Return one recovery of the transaction's tenant that nobody else changes meanwhile.

    Raises:
        ResourceMissing: This merchant has no such recovery in this mode.
    """
    return objects.one(tx, Recovery, _ONE + " FOR NO KEY UPDATE", recovery_id)


def lock_owing(tx: Transaction, tenant: Tenant, recovery_id: UUID) -> tuple[Recovery, int]:
    """Return a recovery that is open, and how far below zero its balance is now.

    No settlement or payout moves the balance meanwhile; it is locked first, as the watch over
    balances does too.

    Raises:
        ResourceMissing: There is no such recovery, it has ended, or its balance is not below zero
            any more.
    """
    currency = get(tx, recovery_id).currency
    availability.hold(tx, tenant, currency)
    ledger.lock_funds(tx, tenant, currency)
    found = lock(tx, recovery_id)
    if found.status != "open":
        raise errors.ResourceMissing(f"The recovery has ended: it is {found.status}.")
    missing = -ledger.balance(tx, tenant, currency, Chart.AVAILABLE)
    if missing <= 0:
        raise errors.ResourceMissing("The balance is not below zero any more.")
    return found, missing


def lock_under_way(tx: Transaction, tenant: Tenant, currency: str) -> Recovery | None:
    """Return the recovery of a balance that has not ended, if there is one; as ``ivy_jobs``."""
    return tx.row(
        Recovery,
        _SELECT
        + " WHERE (merchant_id, livemode, currency) = (%(merchant_id)s, %(livemode)s, %(currency)s)"
        + " AND status NOT IN ('recovered', 'written_off') FOR NO KEY UPDATE",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        currency=currency,
    )


def changed(recovery: Recovery, **fields: Any) -> Recovery:
    """Return a recovery after a change, which counts its version."""
    return recovery.model_copy(update={**fields, "version": recovery.version + 1})


def save(
    tx: Transaction,
    tenant: Tenant,
    before: Recovery,
    after: Recovery,
    posting: Posting | None = None,
    *,
    at: datetime,
) -> None:
    """Write a transition's status, its posting and its event; more columns are the caller's."""
    change = states.transition("recovery", before.status, after.status)
    states.record(tx, tenant, change, after, at=at, posting=posting)


_INSERT: LiteralString = """
    INSERT INTO recoveries (merchant_id, livemode, id, amount, created_at, negative_since, currency)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(amount)s, %(created_at)s, %(negative_since)s,
            %(currency)s)
    ON CONFLICT (merchant_id, livemode, currency) WHERE status NOT IN ('recovered', 'written_off')
    DO NOTHING
    RETURNING true
"""

_SELECT: LiteralString = """
    SELECT id, livemode, created_at, amount, currency, status, negative_since, written_off,
           ledger_transaction, version
    FROM recoveries
"""

_ONE: LiteralString = _SELECT + " WHERE id = %(id)s"
