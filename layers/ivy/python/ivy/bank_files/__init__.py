"""The files that banks take and give. Pure: no database, no network, no clock.

``nacha``, ``pain001`` and ``pain008`` turn a ``PaymentFile`` into what a bank carries out: it pays,
or collects. ``nacha_returns`` and ``pain002`` read what became of it, ``camt053`` and ``bai2`` read
statements, and each of these four also writes its format, for a bank that is simulated. ``reasons``
says what a bank's codes mean.

A file is whole or refused: whatever is wrong with one raises ``BankFileError`` and nothing of it is
returned. The same input gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from ivy.money import MAX_AMOUNT_MINOR, currencies

MAX_FILE_BYTES = 32 * 1024 * 1024
"""No file is longer, in either direction."""

MAX_TRANSFERS = 50_000
MAX_TRACE = 9_999_999
MAX_END_TO_END_ID = 35


class BankFileError(Exception):
    """A file that is refused, or a payment that its format cannot carry.

    Attributes:
        line: Where in the file, counted from 1; None if it is about the whole, or nothing was read.
        reason: What is wrong, for an operator; holds no account numbers and no names.
    """

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UsAccount:
    """An account in the United States.

    Attributes:
        routing_number: The nine digits of its bank, the last of them a check digit.
        account_number: At most 17 letters, digits and hyphens.
    """

    routing_number: str
    account_number: str
    kind: Literal["checking", "savings"] = "checking"


@dataclass(frozen=True, slots=True)
class IbanAccount:
    """An account with an IBAN, without blanks; ``bic`` where its bank is to be named."""

    iban: str
    bic: str | None = None


Account = UsAccount | IbanAccount


@dataclass(frozen=True, slots=True)
class Originator:
    """Whose account a file is about: it pays, or collects.

    Attributes:
        company_id: What its bank calls it: at most 10 characters for ACH, 35 for ISO 20022.
        bank_name: The name of its bank, where the format has room for one.
        creditor_id: What the SEPA calls it as one who collects; empty if it never does.
    """

    name: str
    company_id: str
    account: Account
    bank_name: str = ""
    creditor_id: str = ""


@dataclass(frozen=True, slots=True)
class Mandate:
    """What the holder of an account has signed, so that it may be debited.

    Attributes:
        reference: At most 35 characters, which its bank sees.
    """

    reference: str
    signed_on: date


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment to one party, or collected from it.

    Attributes:
        end_to_end_id: Ours, at most 35 characters; comes back in reports and statements.
        trace: 1 to 9,999,999, unique in its file; comes back in ACH returns.
        amount_minor: More than zero.
        remittance: What it is for, as lines. Text may be shortened where a format has no room.
        mandate: What allows to collect it; SEPA wants it in the file.
    """

    end_to_end_id: str
    trace: int
    amount_minor: int
    currency: str
    party_name: str
    party: Account
    remittance: tuple[str, ...] = ()
    mandate: Mandate | None = None


@dataclass(frozen=True, slots=True)
class PaymentFile:
    """What one bank is asked to pay, or to collect, on one day and in one currency.

    Attributes:
        file_id: Ours, at most 35 characters; comes back in reports.
        created_at: Aware; written in UTC.
        execute_on: The day on which the originator's account is debited, or credited.
    """

    file_id: str
    created_at: datetime
    execute_on: date
    originator: Originator
    currency: str
    transfers: tuple[Payment, ...]


def check(file: PaymentFile) -> None:
    """Refuse what no format can carry; each format then has rules of its own.

    Raises:
        BankFileError: The file is empty or too long, or its payments contradict it or each other.
    """
    if not file.transfers or len(file.transfers) > MAX_TRANSFERS:
        raise BankFileError(None, f"a file holds 1 to {MAX_TRANSFERS} transfers")
    if file.currency not in currencies():
        raise BankFileError(None, "the file's currency is not known")
    if file.created_at.utcoffset() is None:
        raise BankFileError(None, "created_at has no time zone")
    check_identifier(file.file_id, "file_id")
    traces: set[int] = set()
    end_to_end_ids: set[str] = set()
    for transfer in file.transfers:
        _check_transfer(transfer, file.currency)
        traces.add(transfer.trace)
        end_to_end_ids.add(transfer.end_to_end_id)
    if len(traces) < len(file.transfers):
        raise BankFileError(None, "two transfers have the same trace")
    if len(end_to_end_ids) < len(file.transfers):
        raise BankFileError(None, "two transfers have the same end-to-end id")


def check_identifier(text: str, what: str, longest: int = MAX_END_TO_END_ID) -> None:
    """Refuse an identifier that would not come back as it was sent: such are never cleaned."""
    plain = text.isascii() and text.isprintable() and " " not in text
    if not plain or not 1 <= len(text) <= longest:
        raise BankFileError(None, f"{what} must have 1 to {longest} ASCII characters, no blanks")


def bounded(content: bytes) -> bytes:
    """Return a file that is not too long to be read again; refuse another."""
    if len(content) > MAX_FILE_BYTES:
        raise BankFileError(None, f"the file would be longer than {MAX_FILE_BYTES} bytes")
    return content


def _check_transfer(transfer: Payment, currency: str) -> None:
    check_identifier(transfer.end_to_end_id, "end_to_end_id")
    if transfer.currency != currency:
        raise BankFileError(None, f"a transfer in {transfer.currency} in a file in {currency}")
    if not 0 < transfer.amount_minor <= MAX_AMOUNT_MINOR:
        raise BankFileError(None, f"an amount must be 1 to {MAX_AMOUNT_MINOR} minor units")
    if not 1 <= transfer.trace <= MAX_TRACE:
        raise BankFileError(None, f"a trace must be 1 to {MAX_TRACE}")
