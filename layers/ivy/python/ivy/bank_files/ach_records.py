"""The records that ACH files are made of: 94 characters each, in blocks of ten.

What is common to the files that pay and the files that return. Totals are computed here, once, from
the entries themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ivy.bank_files import MAX_FILE_BYTES, BankFileError, bounded
from ivy.bank_files.text import ascii_text

RECORD_LENGTH = 94
BLOCK_RECORDS = 10
MAX_RECORDS = MAX_FILE_BYTES // (RECORD_LENGTH + 1)
FILLER = "9" * RECORD_LENGTH
MODIFIERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

CREDITS_ONLY = "220"
DEBITS_ONLY = "225"
MIXED = "200"


@dataclass(frozen=True, slots=True)
class Header:
    """The first record. ``destination`` and ``origin`` are written right-aligned, in ten places."""

    destination: str
    origin: str
    created_at: datetime
    modifier: str
    destination_name: str = ""
    origin_name: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry and what hangs on it.

    Attributes:
        code: The transaction code: 22 pays into a checking account.
        bank: The receiver's routing number, nine digits.
        name: The 22 places for it, of which CTX takes four for the number of addenda.
        trace: All fifteen digits.
        addenda: Whole records.
    """

    code: int
    bank: str
    account: str
    amount_minor: int
    identification: str
    name: str
    trace: str
    addenda: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one company and one class. ``odfi`` is eight digits: the bank that sends them."""

    company_name: str
    company_id: str
    entry_class: str
    description: str
    effective_on: date
    odfi: str
    entries: Sequence[Entry]


@dataclass(slots=True)
class Totals:
    """What control records state, of a batch or of a file."""

    records: int = 0
    hash: int = 0
    debits: int = 0
    credits: int = 0
    debit_minor: int = 0
    credit_minor: int = 0

    def count(self, code: int, bank: str, amount_minor: int, addenda: int) -> None:
        """Count an entry."""
        self.records += 1 + addenda
        self.hash += int(bank[:8])
        if is_credit(code):
            self.credits += 1
            self.credit_minor += amount_minor
        else:
            self.debits += 1
            self.debit_minor += amount_minor

    def add(self, other: Totals) -> None:
        """Count a batch."""
        self.records += other.records
        self.hash += other.hash
        self.debit_minor += other.debit_minor
        self.credit_minor += other.credit_minor

    def text(self, records_width: int) -> str:
        """Return them as both control records state them; the hash loses all above ten digits."""
        return (
            number(self.records, records_width, "the number of entries and addenda")
            + f"{self.hash % 10**10:010d}"
            + number(self.debit_minor, 12, "the sum of debits")
            + number(self.credit_minor, 12, "the sum of credits")
        )

    @property
    def service_class(self) -> str:
        """Which directions a batch holds."""
        if self.debits and self.credits:
            return MIXED
        return DEBITS_ONLY if self.debits else CREDITS_ONLY


def is_credit(code: int) -> bool:
    """Say whether a transaction code moves money into the account; 26 to 29 take it out."""
    return code % 10 <= 5  # noqa: PLR2004 - the second digit, in every kind of account


def number(value: int, width: int, what: str) -> str:
    """Return a number with leading zeros; raises BankFileError where it has more digits."""
    text = f"{value:0{width}d}"
    if len(text) > width:
        raise BankFileError(None, f"{what} has more than {width} digits")
    return text


def words(text: str, width: int) -> str:
    """Return text cleaned, cut and padded to its field."""
    return f"{ascii_text(text, width):{width}}"


def render(header: Header, batches: Sequence[Batch]) -> bytes:
    """Return a whole file, with its control records, filled up to whole blocks.

    Raises:
        BankFileError: A count or a sum does not fit its field.
    """
    records = [_header(header)]
    totals = Totals()
    for ordinal, batch in enumerate(batches, start=1):
        records += _batch(batch, ordinal, totals)
    blocks = -(-(len(records) + 1) // BLOCK_RECORDS)
    control = (
        "9"
        + number(len(batches), 6, "the number of batches")
        + number(blocks, 6, "the number of blocks")
        + totals.text(8)
    )
    records.append(f"{control:{RECORD_LENGTH}}")
    records += [FILLER] * (blocks * BLOCK_RECORDS - len(records))
    return bounded("".join(f"{record}\n" for record in records).encode("ascii"))


def _header(header: Header) -> str:
    if len(header.modifier) != 1 or header.modifier not in MODIFIERS:
        raise BankFileError(None, "the file id modifier must be one of A to Z and 0 to 9")
    return (
        f"101{header.destination:>10}{header.origin:>10}"
        f"{header.created_at.astimezone(UTC):%y%m%d%H%M}{header.modifier}094101"
        f"{words(header.destination_name, 23)}{words(header.origin_name, 23)}"
        f"{words(header.reference, 8)}"
    )


def _batch(batch: Batch, ordinal: int, file_totals: Totals) -> Iterator[str]:
    totals = Totals()
    for entry in batch.entries:
        totals.count(entry.code, entry.bank, entry.amount_minor, len(entry.addenda))
    identity = f"{batch.odfi}{number(ordinal, 7, 'the number of batches')}"
    yield (
        f"5{totals.service_class}{words(batch.company_name, 16)}{'':20}{batch.company_id:10}"
        f"{batch.entry_class}{words(batch.description, 10)}{'':6}"
        f"{batch.effective_on:%y%m%d}{'':3}1{identity}"
    )
    for entry in batch.entries:
        yield _entry(entry)
        yield from entry.addenda
    yield f"8{totals.service_class}{totals.text(6)}{batch.company_id:10}{'':25}{identity}"
    file_totals.add(totals)


def _entry(entry: Entry) -> str:
    amount = number(entry.amount_minor, 10, "an amount")
    return (
        f"6{entry.code:02d}{entry.bank}{entry.account:17}{amount}"
        f"{words(entry.identification, 15)}{entry.name:22}  {int(bool(entry.addenda))}{entry.trace}"
    )
