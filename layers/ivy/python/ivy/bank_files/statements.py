"""What a bank's statement says, in whichever format it came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from ivy.bank_files import BankFileError

MAX_STATEMENTS = 10_000
"""In one file."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on an account.

    Attributes:
        amount_minor: Positive into the account, negative out of it.
        bank_reference: The bank's own; empty if it gave none.
        end_to_end_id: Ours, if the movement is a payment of ours and the bank says so.
        line: Where in the file; 0 in a statement that is to be written.
    """

    amount_minor: int
    booked_on: date
    bank_reference: str = ""
    end_to_end_id: str | None = None
    description: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """One account from one balance to the next.

    Attributes:
        account: An IBAN, or whatever the bank calls it.
        statement_id: The bank's, or made from the file's where the format has none.
        on: The day of the closing balance.
        opening_minor: Negative if overdrawn.
        line: Where in the file it begins; 0 in one that is to be written.
    """

    account: str
    currency: str
    statement_id: str
    on: date
    opening_minor: int
    closing_minor: int
    lines: tuple[StatementLine, ...]
    line: int = field(default=0, compare=False)


def check(statement: Statement) -> Statement:
    """Return a statement whose lines lead from one balance to the other; refuse another."""
    total_minor = sum(each.amount_minor for each in statement.lines)
    if statement.opening_minor + total_minor != statement.closing_minor:
        reason = "the opening balance and all lines do not add up to the closing balance"
        raise BankFileError(statement.line or None, reason)
    return statement


def check_all(statements: Sequence[Statement]) -> None:
    """Refuse what is not to be written: no statement, too many, or one that does not add up."""
    if not 1 <= len(statements) <= MAX_STATEMENTS:
        raise BankFileError(None, f"a file holds 1 to {MAX_STATEMENTS} statements")
    for each in statements:
        check(each)
