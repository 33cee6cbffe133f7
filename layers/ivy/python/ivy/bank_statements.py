"""Statements as they are taken in: what of one is refused, whether it was told before, its rows.

A statement is a row with the balances that the bank states, and a row for each line. Runs as
``ivy_jobs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ivy import ids
from ivy.bank_files import BankFileError
from ivy.bank_files.statements import Statement, StatementLine
from ivy.database import Transaction

MAX_LINES = 20_000
"""Of one file: as many as one run writes down in time."""

MAX_LINE_MINOR = 10**13
MAX_BALANCE_MINOR = 10**17
"""What a bank states beyond these is a mistake of somebody's; the books could not sum it up."""

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is to be written down, and the order of ours that it is about, if any."""

    statement: Statement
    line: StatementLine
    ordinal: int
    payout: UUID | None = None
    debit: UUID | None = None
    merchant: int | None = None
    deposit: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Balances:
    opening: int
    closing: int


@dataclass(frozen=True, slots=True)
class _Told:
    amount: int
    booked_on: date
    end_to_end_id: str | None


def require_plausible(statement: Statement) -> None:
    """Refuse a statement with which the books could not go on.

    Raises:
        BankFileError: An amount or a day in it is beyond all that can be meant.
    """
    balances = (statement.opening_minor, statement.closing_minor)
    if max(map(abs, balances)) > MAX_BALANCE_MINOR:
        raise BankFileError(statement.line or None, "a balance is too large to be meant")
    _require_day(statement.on, statement.line)
    for each in statement.lines:
        if abs(each.amount_minor) > MAX_LINE_MINOR:
            raise BankFileError(each.line or None, "an amount is too large to be meant")
        _require_day(each.booked_on, each.line)


def moving(statement: Statement) -> list[tuple[int, StatementLine]]:
    """Return the lines of a statement that move something, with their places in it."""
    return [
        (ordinal, line)
        for ordinal, line in enumerate(statement.lines, start=1)
        if line.amount_minor != 0
    ]


def was_told(
    tx: Transaction, statement: Statement, others: Sequence[Statement], *, livemode: bool
) -> bool:
    """Say whether a statement was told before: in another file, or in the same by ``others``.

    Raises:
        BankFileError: It was, otherwise.
    """
    named = (statement.account, statement.statement_id)
    before = next((each for each in others if (each.account, each.statement_id) == named), None)
    if before is not None:
        return _agrees(statement, statement == before)
    key = {"livemode": livemode, "account": named[0], "statement_id": named[1]}
    balances = tx.row(_Balances, _STATED, **key)
    if balances is None:
        return False
    now = [
        _Told(line.amount_minor, line.booked_on, line.end_to_end_id)
        for _, line in moving(statement)
    ]
    same = balances == _Balances(statement.opening_minor, statement.closing_minor)
    return _agrees(statement, same and tx.rows(_Told, _TOLD, **key) == now)


def keep(
    tx: Transaction,
    statements: Sequence[Statement],
    lines: Sequence[Line],
    *,
    receipt_id: UUID,
    livemode: bool,
    at: datetime,
) -> None:
    """Write down statements and all their lines."""
    receipt = {"receipt": receipt_id, "livemode": livemode, "at": at}
    for each in statements:
        tx.run(
            _KEEP,
            **receipt,
            id=ids.new(at),
            account=each.account,
            statement_id=each.statement_id,
            currency=each.currency,
            opening=each.opening_minor,
            closing=each.closing_minor,
            closed_on=each.on,
            lines=len(each.lines),
        )
    rows = [_row(each, at) for each in lines]
    if rows:
        tx.run(_KEEP_LINES, **receipt, **{name: [row[name] for row in rows] for name in rows[0]})


def _row(each: Line, at: datetime) -> dict[str, object]:
    return {
        "ids": ids.new(at),
        "payouts": each.payout,
        "debits": each.debit,
        "merchants": each.merchant,
        "deposits": each.deposit,
        "amounts": each.line.amount_minor,
        "days": each.line.booked_on,
        "ordinals": each.ordinal,
        "currencies": each.statement.currency,
        "accounts": each.statement.account,
        "statements": each.statement.statement_id,
        "references": each.line.bank_reference,
        "end_to_end_ids": each.line.end_to_end_id,
        "descriptions": each.line.description,
    }


def _require_day(day: date, line: int) -> None:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise BankFileError(line or None, f"{day} is no day of this century")


def _agrees(statement: Statement, same: bool) -> bool:  # noqa: FBT001 - it is the whole question
    if not same:
        raise BankFileError(statement.line or None, "contradicts what was stated before")
    return True


_STATED = """
    SELECT opening, closing FROM bank_statements
    WHERE (livemode, account, statement_id) = (%(livemode)s, %(account)s, %(statement_id)s)
"""

_TOLD = """
    SELECT amount, booked_on, end_to_end_id FROM bank_lines
    WHERE (livemode, account, statement_id) = (%(livemode)s, %(account)s, %(statement_id)s)
    ORDER BY ordinal
"""

_KEEP = """
    INSERT INTO bank_statements (id, livemode, receipt_id, created_at, account, statement_id,
                                 currency, opening, closing, closed_on, lines)
    VALUES (%(id)s, %(livemode)s, %(receipt)s, %(at)s, %(account)s, %(statement_id)s,
            %(currency)s, %(opening)s, %(closing)s, %(closed_on)s, %(lines)s)
    ON CONFLICT ON CONSTRAINT stated_once DO NOTHING
"""

_KEEP_LINES = """
    INSERT INTO bank_lines (id, livemode, receipt_id, created_at, payout_id, debit_id,
                            merchant_id, deposit_id, amount, booked_on, ordinal, currency, account,
                            statement_id, bank_reference, end_to_end_id, description)
    SELECT line.id, %(livemode)s, %(receipt)s, %(at)s, payout, debit, merchant, deposit, amount,
           day, ordinal, currency, account, statement_id, reference, end_to_end_id, description
    FROM unnest(
        %(ids)s::uuid[], %(payouts)s::uuid[], %(debits)s::uuid[], %(merchants)s::bigint[],
        %(deposits)s::uuid[], %(amounts)s::bigint[], %(days)s::date[], %(ordinals)s::integer[],
        %(currencies)s::text[], %(accounts)s::text[], %(statements)s::text[],
        %(references)s::text[], %(end_to_end_ids)s::text[], %(descriptions)s::text[])
        AS line (id, payout, debit, merchant, deposit, amount, day, ordinal, currency, account,
                 statement_id, reference, end_to_end_id, description)
"""
