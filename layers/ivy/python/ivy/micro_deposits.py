"""Micro-deposits: the two small amounts that show whose a bank account is, on their way to it.

They are promised with the account, and go out with the next file if it still waits for them then.
The money is ours and so are the postings, in which no merchant may read what it is asked for: the
line of a statement posts what left, or came back, whichever is told first. What the account hears
of it is in ``ivy.bank_account_deposits``.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString
from uuid import UUID

from ivy import ids, ledger
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit

MAX_AMOUNT_MINOR = 99
TEST_AMOUNTS_MINOR = (32, 45)
"""What every account in test mode is verified with."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a statement that names a deposit, with its amount."""

    id: UUID
    deposit_id: UUID
    livemode: bool
    currency: str
    amount: int
    booked_on: date


def amounts(tenant: Tenant) -> list[int]:
    """Return two amounts, the smaller first: known in test mode, secret in live mode."""
    if not tenant.livemode:
        return list(TEST_AMOUNTS_MINOR)
    return sorted(secrets.randbelow(MAX_AMOUNT_MINOR) + 1 for _ in range(2))


def promise(
    tx: Transaction,
    tenant: Tenant,
    account_id: UUID,
    *,
    currency: str,
    amounts_minor: list[int],
    at: datetime,
) -> None:
    """Promise a new account the amounts that it is verified with."""
    for ordinal, amount in enumerate(amounts_minor, start=1):
        tx.run(
            _INSERT,
            merchant_id=tenant.merchant_id,
            livemode=tenant.livemode,
            id=ids.new(at),
            account=account_id,
            amount=amount,
            at=at,
            ordinal=ordinal,
            currency=currency,
        )


def cancel(tx: Transaction, account_id: UUID) -> None:
    """Send nothing to an account that does not wait for it any more, if nothing is in a file."""
    tx.run(_CANCEL, account=account_id)


def sent(tx: Transaction, file_id: UUID) -> None:
    """Note that a file with deposits is at the bank; runs as ``ivy_jobs``."""
    tx.run(_SENT, file=file_id)


def came_back(tx: Transaction, deposit_id: UUID, failure_code: str) -> None:
    """Note why a bank refused a deposit or gave it back; the first reason stays."""
    tx.run(_CAME_BACK, id=deposit_id, failure_code=failure_code)


def take_lines(tx: Transaction, at: datetime, limit: int | None) -> int:
    """Post what new lines say of deposits, and return how many lines that were.

    Each deposit leaves once and comes back once. A line that says it again is left as it is.
    """
    taken = [line for line in tx.rows(_Line, _NEW, limit=limit) if _take(tx, line, at)]
    if taken:
        tx.run(_PLACE, ids=[line.id for line in taken])
    return len(taken)


def _take(tx: Transaction, line: _Line, at: datetime) -> bool:
    """Post one line as its deposit's, unless that has moved this way already."""
    left = line.amount < 0
    posting = Posting(
        id=ids.new(at),
        kind=PostingKind.DEPOSIT_PAID if left else PostingKind.DEPOSIT_RETURNED,
        source=line.deposit_id,
        currency=line.currency,
        legs=(debit(Chart.BANK_CLIENT, line.amount), credit(Chart.EXPENSE_PROCESSOR, line.amount)),
        value_on=line.booked_on,
        recorded_at=at,
    )
    moved = tx.value(_LEFT if left else _RETURNED, id=line.deposit_id, posting=posting.id)
    if moved is None:
        return False
    ledger.post(tx, Tenant(ledger.OURS, line.livemode), posting)
    return True


UNTOLD: LiteralString = """
    SELECT DISTINCT merchant_id, livemode, bank_account_id AS id
    FROM micro_deposits
    WHERE untold AND NOT EXISTS (SELECT FROM outbox WHERE subject = bank_account_id)
"""
"""Accounts that have something to hear, for ``outbox.owe_each``."""

_INSERT = """
    INSERT INTO micro_deposits (merchant_id, livemode, id, bank_account_id, amount, created_at,
                                ordinal, currency)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(account)s, %(amount)s, %(at)s, %(ordinal)s,
            %(currency)s)
"""

_CANCEL = """
    UPDATE micro_deposits SET canceled = true
    WHERE bank_account_id = %(account)s AND bank_file IS NULL
      AND (merchant_id, livemode) = (current_merchant(), current_livemode())
"""

_SENT = """
    UPDATE micro_deposits SET arrives_on = execute_on, untold = true
    FROM bank_files
    WHERE bank_file = %(file)s AND bank_files.id = bank_file AND arrives_on IS NULL
"""

_CAME_BACK = """
    UPDATE micro_deposits SET failure_code = %(failure_code)s, untold = true
    WHERE id = %(id)s AND failure_code IS NULL
"""

_NEW = """
    SELECT id, deposit_id, livemode, currency, amount, booked_on
    FROM bank_lines WHERE outcome = 'new' AND deposit_id IS NOT NULL
    ORDER BY created_at, ordinal, id LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
"""

_PLACE = "UPDATE bank_lines SET outcome = 'deposit' WHERE id = ANY(%(ids)s)"

_LEFT = """
    UPDATE micro_deposits SET ledger_transaction = %(posting)s
    WHERE id = %(id)s AND ledger_transaction IS NULL RETURNING true
"""

_RETURNED = """
    UPDATE micro_deposits SET returned_as = %(posting)s
    WHERE id = %(id)s AND returned_as IS NULL RETURNING true
"""
