"""Bank accounts: where a merchant's payouts may go.

An account is ``verified`` once its merchant has named the two small amounts that were sent to it,
and payable from then on. One that is added beside or after another in its currency is payable a day
later, so that whoever gets hold of a session cannot redirect the money before it is noticed.

``ivy.bank_account_verification`` compares the amounts. The number itself is written once, and
nothing here can read it back: callers see its last four characters, and a fingerprint that tells
whether two accounts are the same.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from ivy import (
    api_keys,
    bank_numbers,
    credentials,
    errors,
    ids,
    micro_deposits,
    objects,
    pages,
    states,
)
from ivy.bank_files.text import ascii_text
from ivy.bank_numbers import AccountNumber, Bic, Iban, RoutingNumber
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.models import CurrencyCode, Input, Object, Text, Time, example, write_time

Status = Literal["pending_verification", "verified", "verification_failed"]
AccountType = Literal["checking", "savings"]

MAX_ATTEMPTS = 3
"""Wrong answers about one number in 30 days, however often it is added."""

MAX_ADDED = 10
"""Accounts that a merchant adds in live mode in 30 days: each costs two transfers."""

WRONG_AMOUNTS = "wrong_amounts"
"""The failure code of a verification without an attempt left."""

NAME_LENGTH = 22
"""As much of a holder's name as every kind of file has room for."""


def _carried(name: str) -> str:
    """Refuse a name of which nothing legible is left in a bank's file: no payout could be sent."""
    if not any(each.isalnum() for each in ascii_text(name, NAME_LENGTH)):
        raise PydanticCustomError(
            "name_not_carried", "has no letter or digit that banks can carry: write it in Latin"
        )
    return name


class NewBankAccount(Input):
    """A bank account to add: with a routing number in the US, with an IBAN elsewhere."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "country": "US",
                    "currency": "USD",
                    "account_holder_name": "Analytical Engines",
                    "routing_number": "110000000",
                    "account_number": "000123456789",
                },
                {
                    "country": "DE",
                    "currency": "EUR",
                    "account_holder_name": "Analytical Engines",
                    "iban": "DE89370400440532013000",
                },
            ]
        }
    )

    country: Annotated[
        str,
        StringConstraints(pattern="^[A-Z]{2}$"),
        AfterValidator(bank_numbers.payable_country),
        Field(
            description="Where the account is: ISO 3166-1 alpha-2.",
            json_schema_extra={"enum": sorted(bank_numbers.PAID_IN)},
        ),
    ]
    currency: CurrencyCode
    account_holder_name: Annotated[
        Text,
        StringConstraints(min_length=1, max_length=70, pattern=r"\S"),
        AfterValidator(_carried),
    ]
    account_type: AccountType | None = Field(
        None, validate_default=True, description="Of a US account; `checking` when left out."
    )
    routing_number: RoutingNumber | None = Field(None, validate_default=True)
    account_number: AccountNumber | None = Field(None, validate_default=True, repr=False)
    iban: Iban | None = Field(None, validate_default=True, repr=False)
    bic: Bic | None = Field(None, validate_default=True)

    @field_validator("currency")
    @classmethod
    def _payable(cls, currency: str, info: ValidationInfo) -> str:
        return bank_numbers.payable_currency(currency, info.data.get("country"))

    @field_validator("account_type", "routing_number", "account_number", "iban", "bic")
    @classmethod
    def _of_the_country(cls, sent: str | None, info: ValidationInfo) -> str | None:
        country = info.data.get("country")
        name = str(info.field_name)
        return sent if country is None else bank_numbers.belonging(name, sent, country)

    @property
    def number(self) -> str:
        """The whole number, by which two accounts are the same."""
        return self.iban or f"{self.routing_number}:{self.account_number}"


class Verification(Object):
    """How it is shown that an account is its merchant's own."""

    method: Literal["micro_deposits"] = "micro_deposits"
    attempts_left: int = MAX_ATTEMPTS
    deposits_arrive_on: date | None = None
    verified_at: Time | None = None


class BankAccount(Object):
    """An account that payouts can be sent to from ``payable_from`` on, once it is ``verified``.

    Accounts of one ``fingerprint`` are the same account. ``failure_code`` says why a verification
    has failed: ``wrong_amounts``, or what the bank says with which the deposits came back.
    """

    model_config = example(
        id="ba_019ab2c9b1c27d3e8f4a5b6c7d8e9f01",
        object="bank_account",
        livemode=False,
        created_at="2026-11-24T09:00:00.000Z",
        country="US",
        currency="USD",
        account_holder_name="Analytical Engines",
        account_type="checking",
        routing_number="110000000",
        bic=None,
        last4="6789",
        fingerprint="5f8a1c" + "0" * 58,
        status="verified",
        failure_code=None,
        payable_from="2026-11-25T09:30:00.000Z",
        verification={
            "method": "micro_deposits",
            "attempts_left": 3,
            "deposits_arrive_on": "2026-11-25",
            "verified_at": "2026-11-24T09:30:00.000Z",
        },
        version=2,
    )

    id: ids.BankAccountId
    object: Literal["bank_account"] = "bank_account"
    livemode: bool
    created_at: Time
    country: str
    currency: str
    account_holder_name: str
    account_type: AccountType | None
    routing_number: str | None
    bic: str | None
    last4: str
    fingerprint: str
    status: Status | Literal["deleted"] = "pending_verification"
    failure_code: str | None = None
    payable_from: Time | None = None
    verification: Verification = Verification()
    version: int = 1


class BankAccountQuery(pages.Page):
    """Which bank accounts to list."""

    of = "ba"

    currency: CurrencyCode | None = None
    status: Status | None = None


def add(tx: Transaction, caller: Caller, new: NewBankAccount) -> BankAccount:
    """Take on a bank account, which is to be verified.

    Raises:
        LiveModeLocked: A live account before the merchant's verification is approved.
        BankAccountExists: The merchant has it already in this mode.
        BankAccountVerificationFailed: Three wrong answers were given about it within 30 days.
        BankAccountLimitReached: The merchant has added as many as it may within 30 days.
    """
    tenant = caller.tenant
    if tenant.livemode and not tx.value("SELECT live_open FROM merchants"):
        raise errors.LiveModeLocked
    at = tx.now()
    deposits = micro_deposits.amounts(tenant)
    account = BankAccount(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        country=new.country,
        currency=new.currency,
        account_holder_name=new.account_holder_name,
        account_type=(new.account_type or "checking") if new.iban is None else None,
        routing_number=new.routing_number,
        bic=new.bic,
        last4=new.number[-4:],
        fingerprint=credentials.bank_number_hash(new.number),
    )
    added = tx.value(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=account.id,
        created_at=at,
        country=account.country,
        currency=account.currency,
        account_holder_name=account.account_holder_name,
        account_type=account.account_type,
        routing_number=account.routing_number,
        account_number=new.account_number,
        iban=new.iban,
        bic=account.bic,
        last4=account.last4,
        fingerprint=account.fingerprint,
        micro_deposits=deposits,
    )
    if added is None:
        raise _why_not_added(tx, account)
    # the insert lets nobody else add one until the commit, so this counts all of them
    if tenant.livemode and tx.value(_ADDED, at=at) > MAX_ADDED:
        raise errors.BankAccountLimitReached
    left = account.verification.model_copy(update={"attempts_left": MAX_ATTEMPTS - added})
    account = account.model_copy(update={"verification": left})
    micro_deposits.promise(
        tx, tenant, account.id, currency=account.currency, amounts_minor=deposits, at=at
    )
    change = states.transition("bank_account", states.BEGIN, account.status)
    states.record(tx, tenant, change, account, at=at)
    return account


def _why_not_added(tx: Transaction, account: BankAccount) -> errors.Problem:
    if tx.value(_HELD, fingerprint=account.fingerprint):
        return errors.BankAccountExists()
    return errors.BankAccountVerificationFailed(
        "Three wrong answers were given about this number: try again after 30 days."
    )


def delete(tx: Transaction, caller: Caller, account_id: UUID) -> BankAccount:
    """Remove a bank account for good. Payouts that are in a file for the bank still go there.

    Raises:
        CredentialInvalid, ResourceMissing.
    """
    api_keys.check_standing(tx, caller)
    return change(tx, caller.tenant, lock(tx, account_id), tx.now(), status="deleted")


def payable(
    tx: Transaction, tenant: Tenant, account_id: UUID, currency: str, at: datetime
) -> BankAccount:
    """Return an account that money may be sent to, and let nobody delete it meanwhile.

    Runs as ``ivy_app``: other roles may not lock the row.

    Raises:
        ResourceMissing: The tenant has no such account; that includes one it has deleted.
        CurrencyMismatch: It is in another currency.
        BankAccountUnverified: Nobody has shown yet whose it is.
        BankAccountCoolingOff: It is too new at this time; ``payable_from`` says until when.
    """
    account = objects.one(
        tx,
        BankAccount,
        _ONE + " AND (merchant_id, livemode) = (%(merchant_id)s, %(livemode)s) FOR SHARE",
        account_id,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
    )
    if account.currency != currency:
        raise errors.CurrencyMismatch(
            f"The bank account is in {account.currency}.", param="currency"
        )
    if account.status != "verified" or account.payable_from is None:
        raise errors.BankAccountUnverified(
            f"The bank account is {account.status}.", param="bank_account"
        )
    if at < account.payable_from:
        payable_from = write_time(account.payable_from)
        raise errors.BankAccountCoolingOff(
            f"The bank account is payable from {payable_from}.",
            param="bank_account",
            facts={"payable_from": payable_from},
        )
    return account


def default(tx: Transaction, currency: str, at: datetime) -> BankAccount | None:
    """Return the newest account in a currency that is payable at a time, of the present tenant.

    Where none is, the newest that is verified and cooling off, which ``payable`` tells; None where
    none is verified either.
    """
    return tx.row(
        BankAccount,
        _SELECT
        + " AND currency = %(currency)s AND status = 'verified'"
        + " ORDER BY payable_from <= %(at)s DESC, id DESC LIMIT 1",
        currency=currency,
        at=at,
    )


def get(tx: Transaction, account_id: UUID) -> BankAccount:
    """Return one bank account of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such account in this mode.
    """
    return objects.one(tx, BankAccount, _ONE, account_id)


def lock(tx: Transaction, account_id: UUID) -> BankAccount:
    """Return one bank account that nobody else changes until the transaction ends.

    Raises:
        ResourceMissing: This merchant has no such account in this mode.
    """
    return objects.one(tx, BankAccount, _ONE + " FOR NO KEY UPDATE", account_id)


def page(tx: Transaction, query: BankAccountQuery) -> pages.Listing[BankAccount]:
    """Return one page of bank accounts, newest first."""
    return pages.read(
        tx,
        BankAccount,
        _SELECT + " AND",
        query,
        {"status": query.status, "currency": query.currency},
    )


def change(
    tx: Transaction, tenant: Tenant, before: BankAccount, at: datetime, **fields: Any
) -> BankAccount:
    """Write a transition, the account's row and its event, and return the account after it.

    One that is not ``pending_verification`` any more waits for no deposits.
    """
    after = before.model_copy(update={**fields, "version": before.version + 1})
    tx.run(
        _UPDATE,
        id=after.id,
        status=after.status,
        version=after.version,
        attempts=MAX_ATTEMPTS - after.verification.attempts_left,
        at=at,
        arrive_on=after.verification.deposits_arrive_on,
        failure_code=after.failure_code,
        verified_at=after.verification.verified_at,
        payable_from=after.payable_from,
    )
    if after.status != "pending_verification":
        micro_deposits.cancel(tx, after.id)
    change = states.transition("bank_account", before.status, after.status)
    states.record(tx, tenant, change, after, at=at)
    return after


_SELECT = """
    SELECT id, livemode, created_at, country, currency, account_holder_name, account_type,
           routing_number, bic, last4, fingerprint, status, failure_code, payable_from, version,
           json_build_object('attempts_left', 3 - verification_attempts,
                             'deposits_arrive_on', deposits_arrive_on,
                             'verified_at', verified_at) AS verification
    FROM bank_accounts WHERE status <> 'deleted'
"""

_ONE = _SELECT + " AND id = %(id)s"

_INSERT = """
    INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,
                               account_holder_name, account_type, routing_number, account_number,
                               iban, bic, last4, fingerprint, micro_deposits)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(created_at)s, %(country)s, %(currency)s,
            %(account_holder_name)s, %(account_type)s, %(routing_number)s, %(account_number)s,
            %(iban)s, %(bic)s, %(last4)s, %(fingerprint)s, %(micro_deposits)s)
    ON CONFLICT (merchant_id, livemode, fingerprint) WHERE status <> 'deleted' DO NOTHING
    RETURNING verification_attempts
"""

_ADDED = """
    SELECT count(*) FROM bank_accounts
    WHERE (merchant_id, livemode) = (current_merchant(), current_livemode())
      AND created_at > %(at)s::timestamptz - interval '30 days'
"""

_HELD = """
    SELECT true FROM bank_accounts
    WHERE (merchant_id, livemode, fingerprint)
        = (current_merchant(), current_livemode(), %(fingerprint)s) AND status <> 'deleted'
"""

_UPDATE = """
    UPDATE bank_accounts
    SET status = %(status)s, version = %(version)s, verification_attempts = %(attempts)s,
        last_attempt_at = CASE WHEN verification_attempts < %(attempts)s THEN %(at)s
                               ELSE last_attempt_at END,
        deposits_arrive_on = %(arrive_on)s, failure_code = %(failure_code)s,
        verified_at = %(verified_at)s, payable_from = %(payable_from)s
    WHERE id = %(id)s
"""
