"""Verification: a merchant shows that a bank account is its own by what was sent to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from pydantic import Field

from ivy import api_keys, bank_accounts, errors
from ivy.bank_accounts import MAX_ATTEMPTS, WRONG_AMOUNTS, BankAccount
from ivy.callers import Caller
from ivy.database import Transaction
from ivy.errors import MicroDepositMismatch
from ivy.micro_deposits import MAX_AMOUNT_MINOR, TEST_AMOUNTS_MINOR
from ivy.models import Input, example

COOL_OFF = timedelta(hours=24)


class Deposits(Input):
    """The two amounts that arrived, in any order."""

    model_config = example(amounts=list(TEST_AMOUNTS_MINOR))

    amounts: Annotated[
        list[Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT_MINOR)]],
        Field(min_length=2, max_length=2, description="Minor units of the account's currency."),
    ]


def verify(tx: Transaction, caller: Caller, account_id: UUID, sent: Deposits) -> BankAccount:
    """Compare amounts with those that were sent; returns the account as the attempt leaves it.

    A wrong attempt counts only if it is committed: so ``outcome`` returns its problem.

    Raises:
        CredentialInvalid, ResourceMissing.
        BankAccountAlreadyVerified, BankAccountVerificationFailed: By the account's state.
        MicroDepositsNotSent: In live mode, before a bank has been given them.
    """
    api_keys.check_standing(tx, caller)
    account = bank_accounts.lock(tx, account_id)
    if account.status == "verified":
        raise errors.BankAccountAlreadyVerified
    if account.status == "verification_failed":
        raise errors.BankAccountVerificationFailed
    # in test mode everybody knows them, and nobody has to wait for a bank
    if caller.tenant.livemode and account.verification.deposits_arrive_on is None:
        raise errors.MicroDepositsNotSent
    at = tx.now()
    if tx.value(_MATCHES, id=account.id, amounts=sorted(sent.amounts)):
        cools_off = tx.value("SELECT cools_off FROM bank_accounts WHERE id = %(id)s", id=account.id)
        return bank_accounts.change(
            tx,
            caller.tenant,
            account,
            at,
            status="verified",
            payable_from=at + COOL_OFF if cools_off else at,
            verification=account.verification.model_copy(update={"verified_at": at}),
        )
    left = account.verification.attempts_left - 1
    missed = account.verification.model_copy(update={"attempts_left": left})
    if left == 0:
        return bank_accounts.change(
            tx,
            caller.tenant,
            account,
            at,
            status="verification_failed",
            failure_code=WRONG_AMOUNTS,
            verification=missed,
        )
    tx.run(_MISSED, id=account.id, attempts=MAX_ATTEMPTS - left, at=at)
    return account.model_copy(update={"verification": missed})


def outcome(attempted: BankAccount) -> BankAccount | MicroDepositMismatch:
    """Return the account that an attempt has verified, or how many attempts are left."""
    if attempted.status == "verified":
        return attempted
    left = attempted.verification.attempts_left
    return MicroDepositMismatch(param="amounts", facts={"attempts_left": left})


_MISSED = """
    UPDATE bank_accounts SET verification_attempts = %(attempts)s, last_attempt_at = %(at)s
    WHERE id = %(id)s
"""

_MATCHES = "SELECT micro_deposits = %(amounts)s::smallint[] FROM bank_accounts WHERE id = %(id)s"
