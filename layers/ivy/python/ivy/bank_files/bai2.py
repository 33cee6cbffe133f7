"""Bank statements as banks in the United States give them: BAI2.

Records of fields between commas. A record ends with a slash unless it ends with text, and goes on
in records of code 88. Three levels, file, group and account, each close with a sum and with a
number of records, and all of them are held against what was read.

The format names no statement, so one is called by the file it came in and its place there. Its
amounts have as many decimals as their currency, without a point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby

from ivy.bank_files import BankFileError, bounded
from ivy.bank_files.iso_values import MAX_TOTAL_MINOR, require_currency
from ivy.bank_files.lines import read_lines
from ivy.bank_files.statements import MAX_STATEMENTS, Statement, StatementLine, check, check_all
from ivy.bank_files.text import ascii_text

MAX_FIELDS = 5_000
"""In one record with its continuations."""

MAX_DESCRIPTION = 500
LINE_WIDTH = 80
OPENING, CLOSING = "010", "015"
CREDIT, DEBIT = "399", "699"
"""Miscellaneous: what a credit and a debit are called that have no code of their own."""

_NAME = re.compile(r"[\x21-\x2b\x2d\x2e\x30-\x7e]{1,35}")
_SIGNED = re.compile(r"[+-]?[0-9]{1,18}")
_UNSIGNED = re.compile(r"\+?[0-9]{1,18}")
_COUNT = re.compile(r"[0-9]{1,9}")
_DAY = re.compile(r"[0-9]{6}")
_KIND = re.compile(r"[0-9]{3}")
_AFTER_FUNDS = {"": 0, "Z": 0, "0": 0, "1": 0, "2": 0, "V": 2, "S": 3}
"""How many fields follow each way of saying when money is available; D says by itself."""

_CREDITS = range(100, 400)
_DEBITS = range(400, 700)
_UPDATE = "1"


@dataclass(slots=True)
class _Record:
    """A record with its continuations. ``fields`` are without the code, ``rows`` physical lines."""

    code: str
    line: int
    fields: list[str]
    rows: int = 1
    ended: bool = True

    def at(self, index: int) -> str:
        return self.fields[index].strip() if index < len(self.fields) else ""


@dataclass(slots=True)
class _Level:
    """What one level has summed up: a file, a group or an account."""

    sum_minor: int = 0
    rows: int = 0
    parts: int = 0


@dataclass(slots=True)
class _Account:
    """An account that is being read."""

    header: _Record
    name: str
    currency: str
    balances: dict[str, int] = field(default_factory=dict)
    lines: list[StatementLine] = field(default_factory=list)


@dataclass(slots=True)
class _File:
    """A file that is being read."""

    name: str
    statements: list[Statement] = field(default_factory=list)
    total: _Level = field(default_factory=_Level)


def parse(content: bytes) -> tuple[Statement, ...]:
    """Return every statement in a file; each line is booked on the day of its group.

    Raises:
        BankFileError: It is malformed, a control total is wrong, or a statement does not add up.
    """
    records = _Records(content)
    header = records.take("01")
    if header.at(7) != "2":
        raise BankFileError(header.line, "not version 2 of the format")
    day, number = _day(header, 2), header.at(4)
    if not (_NAME.fullmatch(header.at(0)) and _NAME.fullmatch(number)):
        raise BankFileError(header.line, "the file names no sender or no number")
    file = _File(f"{header.at(0)}-{day:%y%m%d}-{number}", total=_Level(rows=header.rows))
    record = records.take("02", "99")
    while record.code == "02":
        _group(record, records, file)
        record = records.take("02", "99")
    _close(record, file.total, ("groups", file.total.parts))
    records.end()
    if not file.statements:
        raise BankFileError(header.line, "a file without accounts")
    return tuple(file.statements)


def write(
    statements: Sequence[Statement],
    *,
    sender: str,
    receiver: str,
    created_at: datetime,
    number: int,
) -> bytes:
    """Return a file with statements, as a bank gives it: a group for each day.

    ``sender`` is the bank and ``receiver`` whom the file is for; ``number`` tells the files of one
    day apart.

    Raises:
        BankFileError: A statement does not add up, a line is not booked on its statement's day, or
            a reference has a comma, a slash or a blank.
    """
    check_all(statements)
    at = created_at.astimezone(UTC)
    for name in (sender, receiver):
        _check_name(name, "a party")
    rows = [f"01,{sender},{receiver},{at:%y%m%d},{at:%H%M},{number},,,2/"]
    total = _Level()
    for on, group in groupby(statements, key=lambda statement: statement.on):
        begin, group_total = len(rows), _Level()
        rows.append(f"02,{receiver},{sender},{_UPDATE},{on:%y%m%d},,,2/")
        for statement in group:
            account_rows, sum_minor = _account_rows(statement)
            rows += account_rows
            group_total.sum_minor += sum_minor
            group_total.parts += 1
        rows.append(f"98,{group_total.sum_minor},{group_total.parts},{len(rows) - begin + 1}/")
        total.sum_minor += group_total.sum_minor
        total.parts += 1
    rows.append(f"99,{total.sum_minor},{total.parts},{len(rows) + 1}/")
    return bounded("".join(f"{row}\n" for row in rows).encode("ascii"))


def _group(header: _Record, records: _Records, file: _File) -> None:
    if header.at(2) != _UPDATE:
        raise BankFileError(header.line, "a group that deletes, corrects or tests")
    on, level = _day(header, 3), _Level(rows=header.rows)
    currency = header.at(5) or "USD"
    record = records.take("03", "98")
    while record.code == "03":
        account = _open(record, currency)
        total = _account(account, records, on)
        level.sum_minor += total.sum_minor
        level.rows += total.rows
        level.parts += 1
        file.statements.append(_statement(account, on, file))
        record = records.take("03", "98")
    _close(record, level, ("accounts", level.parts))
    file.total.sum_minor += level.sum_minor
    file.total.rows += level.rows
    file.total.parts += 1


def _open(header: _Record, currency: str) -> _Account:
    if not header.at(0):
        raise BankFileError(header.line, "an account without a number")
    return _Account(header, header.at(0), require_currency(header.at(1) or currency, header.line))


def _account(account: _Account, records: _Records, on: date) -> _Level:
    level = _Level(_balances(account), account.header.rows)
    record = records.take("16", "49")
    while record.code == "16":
        line = _line(record, on)
        account.lines.append(line)
        level.sum_minor += abs(line.amount_minor)
        level.rows += record.rows
        record = records.take("16", "49")
    _close(record, level)
    return level


def _balances(account: _Account) -> int:
    """Read the balances and sums in an account's header; return the sum of all of them."""
    record, at, sum_minor = account.header, 2, 0
    while at < len(record.fields):
        kind, amount = record.at(at), record.at(at + 1)
        if not kind and not amount:
            # Some banks end the record with a comma, others leave a whole group of fields empty.
            at += 4
            continue
        if not _KIND.fullmatch(kind) or (amount and not _SIGNED.fullmatch(amount)):
            raise BankFileError(record.line, "a balance that cannot be read")
        amount_minor = int(amount or 0)
        sum_minor += amount_minor
        if kind in {OPENING, CLOSING} and amount:
            if kind in account.balances:
                raise BankFileError(record.line, f"a second balance {kind}")
            account.balances[kind] = amount_minor
        at = _after_funds(record, at + 3)
    return sum_minor


def _line(record: _Record, on: date) -> StatementLine:
    kind, amount = record.at(0), record.at(1)
    if not _KIND.fullmatch(kind) or not _UNSIGNED.fullmatch(amount):
        raise BankFileError(record.line, "a movement that cannot be read")
    if int(kind) not in _CREDITS and int(kind) not in _DEBITS:
        raise BankFileError(record.line, f"a movement of type {kind}: neither credit nor debit")
    after = _after_funds(record, 2)
    return StatementLine(
        amount_minor=int(amount) if int(kind) in _CREDITS else -int(amount),
        booked_on=on,
        bank_reference=record.at(after),
        end_to_end_id=record.at(after + 1) or None,
        description=" ".join(",".join(record.fields[after + 2 :]).split()),
        line=record.line,
    )


def _after_funds(record: _Record, at: int) -> int:
    """Return where it goes on after the field that says when money is available."""
    kind, more = record.at(at), _AFTER_FUNDS.get(record.at(at))
    if kind == "D" and _COUNT.fullmatch(record.at(at + 1)):
        more = 1 + 2 * int(record.at(at + 1))
    if more is None or (more and at + more >= len(record.fields)):
        raise BankFileError(record.line, "availability that cannot be read")
    return at + 1 + more


def _statement(account: _Account, on: date, file: _File) -> Statement:
    header = account.header
    if set(account.balances) != {OPENING, CLOSING}:
        raise BankFileError(header.line, "an account without its opening or closing balance")
    if len(file.statements) == MAX_STATEMENTS:
        raise BankFileError(header.line, f"more than {MAX_STATEMENTS} statements")
    return check(
        Statement(
            account=account.name,
            currency=account.currency,
            statement_id=f"{file.name}-{len(file.statements) + 1}",
            on=on,
            opening_minor=account.balances[OPENING],
            closing_minor=account.balances[CLOSING],
            lines=tuple(account.lines),
            line=header.line,
        )
    )


def _close(record: _Record, level: _Level, parts: tuple[str, int] | None = None) -> None:
    """Hold a trailer against what was read."""
    level.rows += record.rows
    if not _SIGNED.fullmatch(record.at(0)) or int(record.at(0)) != level.sum_minor:
        raise BankFileError(record.line, "the control total is not the sum of what was read")
    stated = record.fields[1:]
    if parts is not None:
        if record.at(1) != str(parts[1]):
            raise BankFileError(record.line, f"the number of {parts[0]} is not what was read")
        stated = stated[1:]
    if [each.strip() for each in stated] != [str(level.rows)]:
        raise BankFileError(record.line, "the number of records is not what was read")


def _day(record: _Record, index: int) -> date:
    text = record.at(index)
    if _DAY.fullmatch(text):
        try:
            return date.fromisoformat(f"20{text[:2]}-{text[2:4]}-{text[4:]}")
        except ValueError:
            pass
    raise BankFileError(record.line, "not a date")


class _Records:
    """The records of a file one after the other, 88 taken into what it continues."""

    def __init__(self, content: bytes) -> None:
        self._records = self._joined(content)
        self._last_line = 1

    def take(self, *codes: str) -> _Record:
        """Return the next record; refuse a file in which it is another."""
        record = next(self._records, None)
        if record is None:
            raise BankFileError(self._last_line, f"ends without a record {codes[-1]}")
        if record.code not in codes:
            raise BankFileError(record.line, f"expected a record {' or '.join(codes)}")
        if not record.ended and record.code != "16":
            raise BankFileError(record.line, "a record that does not end with a slash")
        self._last_line = record.line + record.rows - 1
        return record

    def end(self) -> None:
        """Refuse a file that goes on."""
        for extra in self._records:
            raise BankFileError(extra.line, "a record after the end of the file")

    @staticmethod
    def _joined(content: bytes) -> Iterator[_Record]:
        current: _Record | None = None
        for line, row in read_lines(content):
            code, comma, rest = row.rstrip(" ").partition(",")
            if not comma:
                raise BankFileError(line, "a record without fields")
            ended = rest.endswith("/")
            fields = rest.removesuffix("/").split(",")
            if code != "88":
                if current is not None:
                    yield current
                current = _Record(code, line, fields, ended=ended)
            elif current is None:
                raise BankFileError(line, "continues nothing")
            else:
                _continue(current, fields, ended=ended)
            if len(current.fields) > MAX_FIELDS:
                raise BankFileError(line, f"more than {MAX_FIELDS} fields")
        if current is not None:
            yield current


def _continue(record: _Record, fields: list[str], *, ended: bool) -> None:
    """Add a continuation: more fields after a slash, more of the last text without one."""
    if not record.ended:
        record.fields[-1] += f" {fields.pop(0)}"
    record.fields += fields
    record.rows += 1
    record.ended = ended


def _account_rows(statement: Statement) -> tuple[list[str], int]:
    """Return an account's records, and their sum."""
    _check_name(statement.account, "an account")
    require_currency(statement.currency, 0)
    opening, closing = statement.opening_minor, statement.closing_minor
    rows = [
        f"03,{statement.account},{statement.currency},{OPENING},{opening},,,{CLOSING},{closing},,/"
    ]
    sum_minor = opening + closing
    for line in statement.lines:
        if line.booked_on != statement.on:
            raise BankFileError(None, "BAI2 has only lines of its statement's own day")
        rows += _line_rows(line)
        sum_minor += abs(line.amount_minor)
    if abs(sum_minor) > MAX_TOTAL_MINOR:
        raise BankFileError(None, "the sum of an account is too large")
    rows.append(f"49,{sum_minor},{len(rows) + 1}/")
    return rows, sum_minor


def _line_rows(line: StatementLine) -> list[str]:
    for reference in (line.bank_reference, line.end_to_end_id):
        if reference:
            _check_name(reference, "a reference")
    kind = CREDIT if line.amount_minor >= 0 else DEBIT
    row = f"16,{kind},{abs(line.amount_minor)},Z,{line.bank_reference},{line.end_to_end_id or ''},"
    text = ascii_text(line.description.replace("/", " "), MAX_DESCRIPTION)
    if not text:
        return [f"{row}/"]
    # A continuation begins with a new word: where one is joined to its record stands a blank.
    first, *others = text.split(" ")
    rows = [row + first]
    for word in others:
        if len(rows[-1]) + len(word) < LINE_WIDTH:
            rows[-1] += f" {word}"
        else:
            rows.append(f"88,{word}")
    return rows


def _check_name(text: str, what: str) -> None:
    if not _NAME.fullmatch(text):
        raise BankFileError(None, f"{what} must have 1 to 35 characters, no comma, slash or blank")
