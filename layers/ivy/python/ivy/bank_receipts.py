"""Files from banks, taken in once: what they say of orders, and of our accounts.

A file is accepted whole or rejected whole. What one says of no order of ours, or of another
amount, is kept with its receipt for an operator and does nothing. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, LiteralString
from uuid import UUID

from ivy import (
    bank_lines,
    bank_orders,
    bank_readings,
    bank_statements,
    faults,
    ids,
    late_refusals,
    micro_deposits,
    outbox,
)
from ivy.bank_files import MAX_FILE_BYTES, BankFileError
from ivy.bank_files.statements import Statement, StatementLine
from ivy.bank_orders import Kind
from ivy.bank_readings import Reading, Said
from ivy.bank_statements import Line
from ivy.database import Transaction
from ivy.outbox import Task

_FILE = ids.Prefix("bf")


@dataclass(frozen=True, slots=True)
class Received:
    """A file that a bank has put here, and what was read in it, or why nothing was."""

    livemode: bool
    name: str
    size: int
    sha256: str
    reading: Reading | BankFileError


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a file; ``again`` when its content had been accepted before."""

    id: UUID
    status: Literal["accepted", "rejected"]
    reason: str | None = None
    unmatched: int = 0
    again: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    id: UUID
    status: Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class _Order:
    """An order that a bank may speak of."""

    kind: Kind
    merchant_id: int
    livemode: bool
    id: UUID
    amount: int
    currency: str


@dataclass(slots=True)
class _Effects:
    """What an accepted file comes to."""

    livemode: bool
    kind: bank_readings.Kind | None = None
    answers: list[tuple[_Order, Said]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    unmatched: list[dict[str, object]] = field(default_factory=list)

    def missed(self, said: Said, reason: str) -> None:
        reference = said.end_to_end_id or said.file_id or str(said.trace)
        self.unmatched.append({"line": said.line, "reference": reference, "reason": reason})


def received(*, livemode: bool, name: str, content: bytes) -> Received:
    """Read a file, outside of any transaction."""
    reading: Reading | BankFileError
    try:
        reading = bank_readings.read(content)
    except BankFileError as error:
        reading = error
    return Received(livemode, name, len(content), hashlib.sha256(content).hexdigest(), reading)


def too_long(*, livemode: bool, name: str, size: int, etag: str) -> Received:
    """Return a file that is not read at all, known by its name and what its store says of it."""
    error = BankFileError(None, f"longer than {MAX_FILE_BYTES} bytes")
    known_by = hashlib.sha256(f"{name} {size} {etag}".encode()).hexdigest()
    return Received(livemode, name, size, known_by, error)


def record(tx: Transaction, file: Received, at: datetime) -> Receipt:
    """Write down a file and what it says; the same content a second time changes nothing.

    One that was rejected may be put again, and is looked at again.
    """
    known = tx.row(_Known, _KNOWN, livemode=file.livemode, sha256=file.sha256)
    if known is not None and known.status == "accepted":
        return Receipt(known.id, known.status, again=True)
    receipt_id = known.id if known else ids.new(at)
    try:
        if isinstance(file.reading, BankFileError):
            raise file.reading
        effects = _effects(tx, file, file.reading)
    except BankFileError as error:
        _write(tx, file, receipt_id, at, "rejected", error=error)
        return Receipt(receipt_id, "rejected", error.reason)
    _write(tx, file, receipt_id, at, "accepted", effects=effects)
    for order, said in effects.answers:
        _hear(tx, order, said, kind=effects.kind, receipt=receipt_id, at=at)
    bank_statements.keep(
        tx,
        effects.statements,
        effects.lines,
        receipt_id=receipt_id,
        livemode=file.livemode,
        at=at,
    )
    bank_lines.place(tx, at, receipt_id)
    faults.point("bank.receive.before_commit")
    return Receipt(receipt_id, "accepted", unmatched=len(effects.unmatched))


def answered(tx: Transaction) -> list[Task]:
    """Promise to carry out what banks have said of orders that they have.

    What has been carried out since gives lines of statements their place in the books. An answer
    about an order that was not noted as sent yet, or has something else under way, is left for the
    next time; that one is refused which was carried out waits for its money. Send what is returned
    after the commit.
    """
    at = ids.now()
    bank_lines.look_again(tx, at)
    late_refusals.state(tx)
    tasks = outbox.owe_each(tx, "payouts", "answer", _OPEN, at)
    return tasks + outbox.owe_each(tx, "payouts", "deposits", micro_deposits.UNTOLD, at)


def _effects(tx: Transaction, file: Received, reading: Reading) -> _Effects:
    """Return what a file comes to.

    Raises:
        BankFileError: It has a statement of an account that is not ours, one that contradicts
            what was stated before, or one that nobody can mean; or too many lines.
    """
    if sum(len(each.lines) for each in reading.statements) > bank_statements.MAX_LINES:
        most = f"{bank_statements.MAX_LINES:,} lines"
        raise BankFileError(None, f"its statements have more than {most}: let the bank split it")
    effects = _Effects(file.livemode, reading.kind)
    for said in reading.said:
        _match(tx, effects, said)
    for statement in reading.statements:
        _state(tx, effects, reading.kind, statement)
    return effects


def _match(tx: Transaction, effects: _Effects, said: Said) -> list[_Order]:
    """Find the orders that something is said of: one, or all of a file."""
    found = _orders(tx, effects, said)
    if not found:
        effects.missed(said, "no order of ours")
    agreeing = [each for each in found if said.amount_minor in (None, each.amount)]
    effects.answers += [(each, said) for each in agreeing]
    if len(agreeing) < len(found):
        effects.missed(said, "another amount than the order's")
    return agreeing


def _orders(tx: Transaction, effects: _Effects, said: Said) -> list[_Order]:
    """Return the orders that are named; one in another currency than was said is not meant."""
    found = _named(tx, effects, said)
    return [each for each in found if said.currency in (None, each.currency)]


def _named(tx: Transaction, effects: _Effects, said: Said) -> list[_Order]:
    livemode = effects.livemode
    if said.trace is not None:
        return tx.rows(_Order, _BY_TRACE, livemode=livemode, trace=said.trace)
    file_id = _id(_FILE, said.file_id)
    if said.file_id is not None and file_id is None:
        return []
    if said.end_to_end_id is None:
        return tx.rows(_Order, _BY_FILE, livemode=livemode, file=file_id)
    named = bank_orders.named(said.end_to_end_id)
    if named is None:
        return []
    return tx.rows(_Order, _BY_ID, livemode=livemode, kind=named[0], id=named[1], file=file_id)


def _id(prefix: ids.Prefix, text: str | None) -> UUID | None:
    """Return the id behind a reference, which may be anybody's."""
    try:
        return prefix.read(text)
    except ValueError:
        return None


def _state(
    tx: Transaction, effects: _Effects, kind: bank_readings.Kind, statement: Statement
) -> None:
    """Take a statement in, unless it was before."""
    bank_statements.require_plausible(statement)
    named = {"livemode": effects.livemode, "account": statement.account}
    if not tx.value(_OURS, **named, currency=statement.currency):
        raise BankFileError(statement.line or None, "a statement of an account that is not ours")
    if bank_statements.was_told(tx, statement, effects.statements, livemode=effects.livemode):
        return
    effects.statements.append(statement)
    for ordinal, line in bank_statements.moving(statement):
        effects.lines.append(_whose(tx, effects, kind, statement, line, ordinal))


def _whose(  # noqa: PLR0917 - a line, and where it stands
    tx: Transaction,
    effects: _Effects,
    kind: bank_readings.Kind,
    statement: Statement,
    line: StatementLine,
    ordinal: int,
) -> Line:
    """Return a line with the order that it is about, by its reference and its amount; hear it.

    A reference of somebody else's is no mistake: others pay into the account too.
    """
    found: list[_Order] = []
    named = bank_orders.named(line.end_to_end_id)
    if named is not None:
        collects = named[0] in bank_orders.COLLECTING
        said = bank_readings.said_by(kind, line, statement.currency, collects=collects)
        if said is not None:
            found = _match(tx, effects, said)
        else:
            back = Said("came_back", end_to_end_id=line.end_to_end_id, currency=statement.currency)
            found = _orders(tx, effects, back)
    order = next((each for each in found if each.amount == abs(line.amount_minor)), None)
    if order is None:
        return Line(statement, line, ordinal)
    if order.kind == "micro_deposit":
        return Line(statement, line, ordinal, deposit=order.id)
    return Line(statement, line, ordinal, merchant=order.merchant_id, **_columns(order))


def _columns(order: _Order) -> dict[str, UUID | None]:
    """Return by which column an answer or a line is about a payout or a debit."""
    return {
        "payout": order.id if order.kind == "payout" else None,
        "debit": order.id if order.kind == "recovery_debit" else None,
    }


def _write(
    tx: Transaction,
    file: Received,
    receipt_id: UUID,
    at: datetime,
    status: Literal["accepted", "rejected"],
    *,
    effects: _Effects | None = None,
    error: BankFileError | None = None,
) -> None:
    effects = effects or _Effects(file.livemode)
    tx.run(
        _RECEIPT,
        id=receipt_id,
        livemode=file.livemode,
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        status=status,
        kind=file.reading.kind if isinstance(file.reading, Reading) else None,
        line=error.line if error else None,
        reason=error.reason if error else None,
        unmatched=json.dumps(effects.unmatched),
        answers=len(effects.answers),
        lines=len(effects.lines),
        at=at,
    )


def _hear(
    tx: Transaction,
    order: _Order,
    said: Said,
    *,
    kind: bank_readings.Kind | None,
    receipt: UUID,
    at: datetime,
) -> None:
    """Write down what is said of an order: the lines of a statement move micro-deposits.

    A file of returns is money of the clearing itself; a report only says what becomes of a file.
    """
    if order.kind == "micro_deposit":
        if said.failure_code is not None:
            micro_deposits.came_back(tx, order.id, said.failure_code)
        return
    tx.run(
        _ANSWER,
        id=ids.new(at),
        receipt=receipt,
        at=at,
        livemode=order.livemode,
        merchant=order.merchant_id,
        line=said.line,
        outcome=said.outcome,
        code=said.code,
        failure_code=said.failure_code,
        unstated=kind == "pain.002" and said.outcome == "came_back",
        **_columns(order),
    )


_KNOWN = """
    SELECT id, status FROM bank_receipts
    WHERE (livemode, sha256) = (%(livemode)s, %(sha256)s) FOR UPDATE
"""

# Of two runs that take the same file in at once, the second fails here and finds it next time.
_RECEIPT = """
    INSERT INTO bank_receipts (id, livemode, name, size, sha256, status, kind, line, reason,
                               unmatched, answers, lines, received_at)
    VALUES (%(id)s, %(livemode)s, %(name)s, %(size)s, %(sha256)s, %(status)s, %(kind)s, %(line)s,
            %(reason)s, %(unmatched)s, %(answers)s, %(lines)s, %(at)s)
    ON CONFLICT (id) DO UPDATE
    SET (status, name, kind, line, reason, unmatched, answers, lines, received_at)
      = (excluded.status, excluded.name, excluded.kind, excluded.line, excluded.reason,
         excluded.unmatched, excluded.answers, excluded.lines, excluded.received_at)
"""

_ANSWER = """
    INSERT INTO bank_answers (merchant_id, livemode, id, payout_id, debit_id, receipt_id,
                              created_at, line, outcome, code, failure_code, unstated)
    VALUES (%(merchant)s, %(livemode)s, %(id)s, %(payout)s, %(debit)s, %(receipt)s, %(at)s,
            %(line)s, %(outcome)s, %(code)s, %(failure_code)s, %(unstated)s)
    ON CONFLICT DO NOTHING -- it was said before
"""

_ORDERS: LiteralString = """
    SELECT kind, merchant_id, livemode, id, amount, currency FROM bank_orders
    WHERE livemode = %(livemode)s AND bank_file IS NOT NULL
"""

# A trace has seven digits in a file: the newest order that has them in their place.
_BY_TRACE: LiteralString = (
    _ORDERS
    + """
      AND currency = 'USD'
      AND trace IN (SELECT generate_series(%(trace)s::bigint, max(trace), 9999999) FROM bank_orders)
    ORDER BY trace DESC LIMIT 1
    """
)

_BY_ID: LiteralString = (
    _ORDERS
    + " AND (kind, id) = (%(kind)s, %(id)s) AND (%(file)s::uuid IS NULL OR bank_file = %(file)s)"
)

_BY_FILE: LiteralString = _ORDERS + " AND bank_file = %(file)s"

_OURS = """
    SELECT true FROM bank_originators
    WHERE (livemode, currency) = (%(livemode)s, %(currency)s)
      AND coalesce(iban, account_number) = %(account)s
"""

_OPEN: LiteralString = """
    SELECT DISTINCT merchant_id, livemode, orders.id
    FROM bank_answers JOIN bank_orders AS orders USING (merchant_id, livemode)
    WHERE orders.id = coalesce(payout_id, debit_id) AND applied_at IS NULL
      AND orders.status <> 'pending'
      AND NOT (unstated AND orders.status IN ('paid', 'collected'))
      AND NOT EXISTS (SELECT FROM outbox WHERE subject = orders.id)
"""
