"""ACH returns: what a bank in the United States sends back, and why.

Each returned entry names the trace number of the one it returns. Every count, hash and sum is held
against the entries. Notifications of change and disputes about a return are other records, and a
file with one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Literal

from ivy.bank_files import BankFileError
from ivy.bank_files.accounts import is_routing_number, is_us_account_number
from ivy.bank_files.ach_records import (
    BLOCK_RECORDS,
    FILLER,
    MODIFIERS,
    RECORD_LENGTH,
    Batch,
    Entry,
    Header,
    Totals,
    number,
    render,
    words,
)
from ivy.bank_files.lines import read_lines

MAX_RETURNS = 100_000
RETURN_ADDENDA = "99"

Direction = Literal["credit", "debit"]
Kind = Literal["checking", "savings"]

_CODES: dict[int, tuple[Kind, Direction]] = {
    21: ("checking", "credit"),
    26: ("checking", "debit"),
    31: ("savings", "credit"),
    36: ("savings", "debit"),
}
_CLASSES = {"CCD", "CTX", "PPD", "WEB", "TEL"}
_SERVICES = {"200", "220", "225"}
_REASON = re.compile(r"R[0-58][0-9]")
_DISPUTED = re.compile(r"R(?:6[0-9]|7[0-9])")
_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class ReturnedEntry:
    """One entry that came back.

    Attributes:
        code: The return reason, such as R03.
        original_trace: All fifteen digits; the last seven are the transfer's ``trace``.
        direction: Of the entry that came back: a credit paid somebody.
        account_number: The receiver's, as the entry that came back had it.
        receiver_bank: The first eight digits of the receiver's routing number.
        entry_class: CCD or CTX where Ivy sent it.
        line: Where in the file; 0 in one that is to be written.
    """

    code: str
    original_trace: str
    amount_minor: int
    account_number: str
    receiver_bank: str
    name: str
    company_id: str
    direction: Direction = "credit"
    kind: Kind = "checking"
    entry_class: str = "CCD"
    line: int = field(default=0, compare=False)

    @property
    def trace(self) -> int:
        """The trace that the transfer was given."""
        return int(self.original_trace[8:])


@dataclass(frozen=True, slots=True)
class ReturnFile:
    """What one bank returns at once, in USD.

    Attributes:
        destination: The routing number of the bank that sent the entries.
        origin: Who returns them: a routing number, or the number it has at the ACH operator.
        created_at: To the minute; taken for UTC.
        returned_on: The day the money moves; of the last batch where they differ.
        modifier: Tells the files of one day apart.
    """

    destination: str
    origin: str
    created_at: datetime
    returned_on: date
    modifier: str
    entries: tuple[ReturnedEntry, ...]


def parse(content: bytes) -> ReturnFile:
    """Return what came back.

    Raises:
        BankFileError: It is malformed, a control total is wrong, or it has more than returns.
    """
    return _Reader(content).file()


def write(file: ReturnFile, *, company_name: str = "") -> bytes:
    """Return a file of returns, as a bank gives it: a batch for each run of a company and class.

    Raises:
        BankFileError: An entry does not fit, or does not belong to ``destination``.
    """
    if not is_routing_number(file.destination) or not is_routing_number(file.origin):
        raise BankFileError(None, "destination and origin must be routing numbers")
    if not 1 <= len(file.entries) <= MAX_RETURNS:
        raise BankFileError(None, f"a file holds 1 to {MAX_RETURNS} returns")
    odfi = file.origin[:8]
    batches: list[Batch] = []
    ordinal = 0
    runs = groupby(file.entries, key=lambda each: (each.company_id, each.entry_class))
    for (company_id, entry_class), run in runs:
        entries = []
        for each in run:
            ordinal += 1
            trace = odfi + number(ordinal, 7, "the number of returns")
            entries.append(_entry(each, file.destination, trace))
        batches.append(
            Batch(company_name, company_id, entry_class, "RETURN", file.returned_on, odfi, entries)
        )
    header = Header(f" {file.destination}", f" {file.origin}", file.created_at, file.modifier)
    return render(header, batches)


def _entry(returned: ReturnedEntry, destination: str, trace: str) -> Entry:
    codes = {described: code for code, described in _CODES.items()}
    if not returned.original_trace.startswith(destination[:8]):
        raise BankFileError(None, "an entry that the destination did not send")
    fits = (
        _trace_fits(returned.original_trace)
        and _REASON.fullmatch(returned.code)
        and is_us_account_number(returned.account_number)
        and re.fullmatch(r"[0-9]{8}", returned.receiver_bank)
        and re.fullmatch(r"[A-Z0-9]{1,10}", returned.company_id)
        and returned.entry_class in _CLASSES
        and returned.amount_minor >= 0
    )
    if not fits:
        raise BankFileError(None, "a return that does not fit its record")
    name = words(returned.name, 16 if returned.entry_class == "CTX" else 22)
    return Entry(
        code=codes[returned.kind, returned.direction],
        bank=destination,
        account=returned.account_number,
        amount_minor=returned.amount_minor,
        identification="",
        name=f"0001{name}" if returned.entry_class == "CTX" else name,
        trace=trace,
        addenda=(_addenda(returned, trace),),
    )


def _addenda(returned: ReturnedEntry, trace: str) -> str:
    return (
        f"7{RETURN_ADDENDA}{returned.code}{returned.original_trace}{'':6}"
        f"{returned.receiver_bank}{'':44}{trace}"
    )


def _trace_fits(text: str) -> bool:
    return len(text) == 15 and _DIGITS.fullmatch(text) is not None  # noqa: PLR2004 - a trace number


@dataclass(slots=True)
class _OpenBatch:
    """What a batch's header said, to be held against its control record."""

    service: str
    company_id: str
    entry_class: str
    identity: str
    returned_on: date


class _Reader:
    """Reads one file record by record; what is wrong is known by the line it is on."""

    def __init__(self, content: bytes) -> None:
        self._records = self._read(content)
        self._line = 0
        self._entries: list[ReturnedEntry] = []
        self._totals = Totals()
        self._batches = 0
        self._last_batch = 0
        self._last_trace = ""

    def file(self) -> ReturnFile:
        header = self._take("1")
        destination, origin = header[3:13].strip(), header[13:23].strip()
        self._require(header[1:3] == "01" and header[34:40] == "094101", "not an ACH file header")
        self._require(is_routing_number(destination), "the destination is no routing number")
        self._digits(origin)
        self._require(header[33] in MODIFIERS, "the file id modifier is not one")
        created_at = self._moment(header[23:33])
        returned_on = None
        record = self._take("5", "9")
        while record[0] == "5":
            returned_on = self._batch(record, destination)
            record = self._take("5", "9")
        self._control(record)
        if returned_on is None:
            raise BankFileError(self._line, "a file without returns")
        return ReturnFile(
            destination, origin, created_at, returned_on, header[33], tuple(self._entries)
        )

    def _batch(self, record: str, destination: str) -> date:
        self._batches += 1
        batch = _OpenBatch(
            service=record[1:4],
            company_id=record[40:50].strip(),
            entry_class=record[50:53],
            identity=record[79:94],
            returned_on=self._day(record[69:75]),
        )
        self._require(batch.service in _SERVICES, "a service class not known here")
        self._require(batch.entry_class != "COR", "a notification of change, not a return")
        self._require(batch.entry_class in _CLASSES, "an entry class not known here")
        self._require(bool(batch.company_id), "a batch without a company")
        ordinal = self._digits(batch.identity[8:])
        self._require(ordinal > self._last_batch, "batches out of order")
        self._last_batch = ordinal
        totals, self._last_trace = Totals(), ""
        record = self._take("6", "8")
        self._require(record[0] == "6", "a batch without entries")
        while record[0] == "6":
            self._returned(record, batch, destination, totals)
            record = self._take("6", "8")
        self._batch_control(record, batch, totals)
        self._totals.add(totals)
        return batch.returned_on

    def _returned(self, entry: str, batch: _OpenBatch, destination: str, totals: Totals) -> None:
        line, code = self._line, self._digits(entry[1:3])
        self._require(code in _CODES, "not the transaction code of a return")
        self._require(entry[3:12] == destination, "an entry for another bank than the file")
        self._require(entry[78] == "1", "a return without its reason")
        amount_minor, trace = self._digits(entry[29:39]), entry[79:94]
        self._digits(trace)
        self._require(trace > self._last_trace, "trace numbers out of order")
        self._last_trace = trace
        ctx = batch.entry_class == "CTX"
        if ctx:
            self._require(entry[54:58] == "0001", "a return has one addenda record")
        addenda = self._take("7")
        self._require(addenda[1:3] == RETURN_ADDENDA, "addenda that do not give a reason")
        reason, original = addenda[3:6], addenda[6:21]
        self._require(not _DISPUTED.fullmatch(reason), "a dispute about a return, not a return")
        self._require(bool(_REASON.fullmatch(reason)), "not a return reason code")
        self._require(original[:8] == destination[:8], "an entry that the destination did not send")
        self._require(addenda[79:94] == trace, "addenda of another entry")
        self._digits(original)
        self._digits(addenda[27:35])
        totals.count(code, entry[3:12], amount_minor, 1)
        self._require(len(self._entries) < MAX_RETURNS, f"more than {MAX_RETURNS} returns")
        kind, direction = _CODES[code]
        self._entries.append(
            ReturnedEntry(
                code=reason,
                original_trace=original,
                amount_minor=amount_minor,
                account_number=entry[12:29].strip(),
                receiver_bank=addenda[27:35],
                name=(entry[58:74] if ctx else entry[54:76]).strip(),
                company_id=batch.company_id,
                direction=direction,
                kind=kind,
                entry_class=batch.entry_class,
                line=line,
            )
        )

    def _batch_control(self, record: str, batch: _OpenBatch, totals: Totals) -> None:
        self._check_totals(record[4:44], totals, 6)
        self._require(record[1:4] == batch.service, "another service class than the header's")
        only = totals.service_class
        self._require(batch.service in {"200", only}, "entries of another service class")
        self._require(
            record[44:54].strip() == batch.company_id, "another company than the header's"
        )
        self._require(record[79:94] == batch.identity, "the control record of another batch")

    def _control(self, record: str) -> None:
        self._require(self._digits(record[1:7]) == self._batches, "the number of batches is wrong")
        self._check_totals(record[13:55], self._totals, 8)
        blocks = -(-self._line // BLOCK_RECORDS)
        self._require(self._digits(record[7:13]) == blocks, "the number of blocks is wrong")
        for after in self._records:
            self._require(after == FILLER, "a record after the end of the file")
        self._require(self._line == blocks * BLOCK_RECORDS, "the last block is not full")

    def _check_totals(self, stated: str, totals: Totals, width: int) -> None:
        """Hold what a control record states against what was read, one after the other."""
        counted = totals.text(width)
        ends = (width, width + 10, width + 22, width + 34)
        names = ("number of entries and addenda", "entry hash", "sum of debits", "sum of credits")
        begin = 0
        for end, name in zip(ends, names, strict=True):
            self._require(stated[begin:end] == counted[begin:end], f"the {name} is wrong")
            begin = end

    def _take(self, *kinds: str) -> str:
        record = next(self._records, None)
        if record is None:
            raise BankFileError(self._line, f"ends without a record of type {kinds[-1]}")
        self._require(record[0] in kinds, f"expected a record of type {' or '.join(kinds)}")
        return record

    def _read(self, content: bytes) -> Iterator[str]:
        for line, record in read_lines(content):
            self._line = line
            self._require(len(record) == RECORD_LENGTH, f"not {RECORD_LENGTH} characters")
            yield record

    def _digits(self, text: str) -> int:
        self._require(_DIGITS.fullmatch(text) is not None, "a number with something else in it")
        return int(text)

    def _day(self, text: str) -> date:
        return self._moment(f"{text}0000").date()

    def _moment(self, text: str) -> datetime:
        self._digits(text)
        try:
            return datetime.strptime(f"20{text}+0000", "%Y%m%d%H%M%z").astimezone(UTC)
        except ValueError:
            raise BankFileError(self._line, "not a date and time") from None

    def _require(self, right: bool, reason: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not right:
            raise BankFileError(self._line, reason)
