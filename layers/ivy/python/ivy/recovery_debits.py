"""Recovery debits: what a merchant owes is taken from its bank account, by a mandate that it gave.

Operators ask for one (``ivy.debit_requests``); it goes out with the next file, and what becomes of
it at the bank is in ``ivy.recovery_debit_outcomes``. While it is open its recovery does not end.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

from pydantic import computed_field

from ivy import ids, money, objects, states
from ivy.database import Tenant, Transaction
from ivy.ledger import Posting
from ivy.models import Object, Time, example

Status = Literal["pending", "in_transit", "collected", "failed", "returned", "canceled"]

CURRENCIES = frozenset({"USD", "EUR"})
"""Those in which there is a format for debits; the table says so too."""

MAX_AMOUNT_MINOR = 9_999_999_999
"""The most that an entry of ACH holds."""


class RecoveryDebit(Object):
    """Money on its way from a merchant's bank account, in minor units of ``currency``.

    What it brings is available as soon as the bank has been told, and owed again if it comes to
    nothing: ``failed`` before the bank collected it, ``returned`` after.
    """

    model_config = example(
        id="rd_019ac2c4d5e67f8091a2b3c4d5e6f70c",
        object="recovery_debit",
        livemode=False,
        created_at="2026-12-03T09:00:00.000Z",
        recovery="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        amount=11500,
        currency="USD",
        exponent=2,
        status="pending",
        bank_account="ba_019ab2c9b1c27d3e8f4a5b6c7d8e9f01",
        mandate="IVY-2026-17",
        arrives_on=None,
        failure_code=None,
        version=1,
    )

    id: ids.RecoveryDebitId
    object: Literal["recovery_debit"] = "recovery_debit"
    livemode: bool
    created_at: Time
    recovery: ids.RecoveryId
    amount: int
    currency: str
    status: Status = "pending"
    bank_account: ids.BankAccountId
    mandate: str
    arrives_on: date | None = None
    failure_code: str | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


def lock(tx: Transaction, debit_id: UUID) -> RecoveryDebit:
    """Return one debit of the transaction's tenant that nobody else changes meanwhile.

    Raises:
        ResourceMissing: This merchant has no such debit in this mode.
    """
    return objects.one(
        tx, RecoveryDebit, _SELECT + " WHERE id = %(id)s FOR NO KEY UPDATE", debit_id
    )


def lock_open(tx: Transaction, tenant: Tenant, recovery_id: UUID) -> RecoveryDebit | None:
    """Return the debit of a recovery that has not ended, if there is one."""
    return tx.row(
        RecoveryDebit,
        _SELECT
        + " WHERE (merchant_id, livemode, recovery_id)"
        + " = (%(merchant_id)s, %(livemode)s, %(recovery)s)"
        + " AND status IN ('pending', 'in_transit') FOR NO KEY UPDATE",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        recovery=recovery_id,
    )


def cancel(
    tx: Transaction, tenant: Tenant, before: RecoveryDebit, *, by: str, at: datetime
) -> RecoveryDebit | None:
    """Take a locked debit back that is in no file; None where it is in one."""
    after = changed(before, status="canceled")
    canceled = tx.value(_CANCEL, id=after.id, version=after.version, by=by)
    if canceled is None:
        return None
    change = states.transition("recovery_debit", before.status, after.status)
    states.record(tx, tenant, change, after, at=at)
    return after


def changed(debit: RecoveryDebit, **fields: Any) -> RecoveryDebit:
    """Return a debit after a change, which counts its version."""
    return debit.model_copy(update={**fields, "version": debit.version + 1})


def save(
    tx: Transaction,
    tenant: Tenant,
    before: RecoveryDebit,
    after: RecoveryDebit,
    posting: Posting,
    *,
    at: datetime,
) -> None:
    """Write a transition: the debit's row, its posting, its event."""
    tx.run(
        _UPDATE,
        id=after.id,
        status=after.status,
        version=after.version,
        arrives_on=after.arrives_on,
        failure_code=after.failure_code,
        returned_at=at if after.status == "returned" else None,
    )
    change = states.transition("recovery_debit", before.status, after.status)
    states.record(tx, tenant, change, after, at=at, posting=posting)


def oldest_open_days(tx: Transaction, at: datetime) -> int:
    """Return for how long any debit of live mode has been under way; as ``ivy_jobs``."""
    found: int = tx.value(_OLDEST, at=at)
    return found


_SELECT: LiteralString = """
    SELECT id, livemode, created_at, recovery_id AS recovery, amount, currency, status,
           bank_account_id AS bank_account, mandate, arrives_on, failure_code, version
    FROM recovery_debits
"""

_CANCEL = """
    UPDATE recovery_debits
    SET status = 'canceled', version = %(version)s, canceled_by = %(by)s
    WHERE id = %(id)s AND status = 'pending' AND bank_file IS NULL
    RETURNING true
"""

_UPDATE = """
    UPDATE recovery_debits
    SET status = %(status)s, version = %(version)s, arrives_on = %(arrives_on)s,
        failure_code = %(failure_code)s, returned_at = %(returned_at)s
    WHERE id = %(id)s
"""

_OLDEST = """
    SELECT coalesce(extract(epoch FROM max(%(at)s - created_at)) / 86400, 0)::integer
    FROM recovery_debits WHERE status IN ('pending', 'in_transit') AND livemode
"""
