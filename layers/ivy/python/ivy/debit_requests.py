"""Operators' requests about recovery debits: opened, and taken back.

Nothing is posted here: what is owed stays owed until a bank has been told to collect it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from ivy import bank_accounts, errors, faults, ids, recoveries, recovery_debits, states
from ivy.bank_accounts import BankAccount
from ivy.database import Tenant, Transaction
from ivy.models import Input, ShortText, example
from ivy.operations import tenant_of
from ivy.recovery_debits import CURRENCIES, MAX_AMOUNT_MINOR, RecoveryDebit


class NewDebit(Input):
    """Which recovery an operator wants to collect by a bank debit, and why."""

    model_config = example(
        account="1001-test",
        recovery="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        amount=11500,
        by="operator@example.com",
        reason="agreed by telephone",
    )

    account: Annotated[str, Field(pattern="^[0-9]{1,18}-(live|test)$")]
    recovery: ids.RecoveryId
    amount: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=MAX_AMOUNT_MINOR,
            description="Minor units; all that is below zero when left out.",
        ),
    ] = None
    bank_account: Annotated[
        ids.BankAccountId | None,
        Field(description="The newest payable one in the currency when left out."),
    ] = None
    by: ShortText
    reason: ShortText


class DebitCancellation(Input):
    """The debit of which recovery an operator wants to take back."""

    model_config = example(
        account="1001-test",
        recovery="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        by="operator@example.com",
    )

    account: Annotated[str, Field(pattern="^[0-9]{1,18}-(live|test)$")]
    recovery: ids.RecoveryId
    by: ShortText


@dataclass(frozen=True, slots=True)
class _Mandate:
    reference: str
    signed_on: date


def begin(tx: Transaction, new: NewDebit) -> RecoveryDebit:
    """Open the debit of a recovery, of no more than its balance is below zero now.

    Raises:
        ResourceMissing: There is no such recovery under way, or its balance is not below zero.
        RequestInvalid: A debit of it is open already, it is more than is owed, nothing can be
            collected in its currency, or the merchant has not agreed to it.
        BankAccountUnverified, BankAccountCoolingOff, CurrencyMismatch: By the account's state.
    """
    tenant = tenant_of(new.account)
    tx.choose(tenant)
    recovery, missing = recoveries.lock_owing(tx, tenant, new.recovery)
    standing = recovery_debits.lock_open(tx, tenant, recovery.id)
    if standing is not None:
        written = ids.Prefix("rd").write(standing.id)
        raise _refused("recovery", "debit_open", f"has a debit already: {written}")
    if new.amount is not None and new.amount > missing:
        raise _refused("amount", "too_much", f"is more than the {missing} that are owed")
    at = tx.now()
    mandate = _mandate(tx, recovery.currency, at.date())
    account = _account(tx, tenant, new, recovery.currency, at)
    opened = RecoveryDebit(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        recovery=recovery.id,
        amount=new.amount or min(missing, MAX_AMOUNT_MINOR),
        currency=recovery.currency,
        bank_account=account.id,
        mandate=mandate.reference,
    )
    _insert(tx, tenant, opened, mandate, new)
    change = states.transition("recovery_debit", states.BEGIN, opened.status)
    states.record(tx, tenant, change, opened, at=at)
    faults.point("recovery_debit.begin.before_commit")
    return opened


def cancel(tx: Transaction, wanted: DebitCancellation) -> RecoveryDebit:
    """Take a debit back that is not on its way to the bank yet.

    Raises:
        ResourceMissing: The recovery has no debit that is open.
        RequestInvalid: It is in a file for the bank already.
    """
    tenant = tenant_of(wanted.account)
    tx.choose(tenant)
    recovery = recoveries.lock(tx, wanted.recovery)
    standing = recovery_debits.lock_open(tx, tenant, recovery.id)
    if standing is None:
        raise errors.ResourceMissing("The recovery has no debit that is open.")
    canceled = recovery_debits.cancel(tx, tenant, standing, by=wanted.by, at=tx.now())
    if canceled is None:
        raise _refused("recovery", "debit_sent", "has a debit that is on its way to the bank")
    faults.point("recovery_debit.cancel.before_commit")
    return canceled


def _mandate(tx: Transaction, currency: str, today: date) -> _Mandate:
    """Return what allows to debit the merchant in a currency: it was signed by today."""
    if currency not in CURRENCIES:
        raise _refused("recovery", "no_format", f"is in {currency}, which no bank collects for us")
    if not tx.value(_COLLECTING, currency=currency):
        raise _refused(
            "recovery", "no_originator", f"is in {currency}, for which no account of ours collects"
        )
    found = tx.row(_Mandate, _MANDATE, today=today)
    if found is None:
        raise _refused("recovery", "no_mandate", "is of a merchant who has signed no mandate")
    return found


def _account(
    tx: Transaction, tenant: Tenant, new: NewDebit, currency: str, at: datetime
) -> BankAccount:
    account: UUID | None = new.bank_account
    if account is None:
        newest = bank_accounts.default(tx, currency, at)
        if newest is None:
            raise _refused("bank_account", "missing", f"is wanted: none in {currency} is payable")
        account = newest.id
    return bank_accounts.payable(tx, tenant, account, currency, at)


def _insert(
    tx: Transaction, tenant: Tenant, opened: RecoveryDebit, mandate: _Mandate, new: NewDebit
) -> None:
    tx.run(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=opened.id,
        recovery=opened.recovery,
        account=opened.bank_account,
        amount=opened.amount,
        at=opened.created_at,
        currency=opened.currency,
        mandate=mandate.reference,
        signed_on=mandate.signed_on,
        by=new.by,
        reason=new.reason,
    )


def _refused(field: str, code: str, detail: str) -> errors.RequestInvalid:
    return errors.RequestInvalid.of(field, code, detail)


_MANDATE = """
    SELECT debit_mandate AS reference, debit_mandate_signed_on AS signed_on
    FROM merchants WHERE id = current_merchant() AND debit_mandate_signed_on <= %(today)s
"""

# In EUR it takes an identifier of the SEPA as well as an account.
_COLLECTING = """
    SELECT EXISTS (SELECT FROM bank_originators
                   WHERE livemode = current_livemode() AND currency = %(currency)s
                     AND (currency <> 'EUR' OR creditor_id IS NOT NULL))
"""

_INSERT = """
    INSERT INTO recovery_debits (merchant_id, livemode, id, recovery_id, bank_account_id, amount,
                                 created_at, currency, mandate, mandate_signed_on, opened_by,
                                 reason)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(recovery)s, %(account)s, %(amount)s, %(at)s,
            %(currency)s, %(mandate)s, %(signed_on)s, %(by)s, %(reason)s)
"""
