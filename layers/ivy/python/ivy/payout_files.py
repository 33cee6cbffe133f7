"""Files of payouts for banks: prepared in one transaction, written outside of any, sent in another.

Whoever dies on the way leaves a prepared file. The next run finds it, writes the same bytes under
the same key, and goes on. Runs as ``ivy_jobs``, which alone reads whole account numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from typing import Literal, LiteralString
from uuid import UUID

from ivy import calendars, faults, ids, observe, outbox
from ivy.bank_files import (
    MAX_TRACE,
    Account,
    BankFileError,
    CreditTransfer,
    IbanAccount,
    Originator,
    PaymentFile,
    UsAccount,
    nacha,
    pain001,
)
from ivy.database import Transaction
from ivy.outbox import Task

MAX_TRANSFERS = outbox.RELAY_LIMIT
"""In one file: as many promises as are made at once when it is sent."""

MAX_TOTAL_MINOR = 999_999_999_999
"""Of one file: twelve digits, in which ACH states its sum."""

MAX_FILES = 20
"""That one run finishes; more wait for the next."""

Rail = Literal["ach", "iso20022"]
_SUFFIXES: dict[Rail, str] = {"ach": "ach", "iso20022": "xml"}
_FILE = ids.Prefix("bf")
_PAYOUT = ids.Prefix("po")


class ChangedError(RuntimeError):
    """A prepared file would be written with other bytes than it was prepared with."""


@dataclass(frozen=True, slots=True)
class BankFile:
    """A file about to be sent, and what is in it."""

    id: UUID
    key: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Originating:
    """An account that payouts leave from, and the day on which they would today."""

    livemode: bool
    currency: str
    rail: Rail
    name: str
    company_id: str
    bank_name: str
    routing_number: str | None
    account_number: str | None
    account_type: Literal["checking", "savings"] | None
    iban: str | None
    bic: str | None
    holidays: list[date]

    def originator(self) -> Originator:
        return Originator(self.name, self.company_id, _account(self), self.bank_name)


@dataclass(frozen=True, slots=True)
class _Going:
    """One payout on its way into a file."""

    id: UUID
    trace: int
    amount: int
    currency: str
    name: str
    routing_number: str | None
    account_number: str | None
    account_type: Literal["checking", "savings"] | None
    iban: str | None
    bic: str | None

    def transfer(self) -> CreditTransfer:
        return CreditTransfer(
            end_to_end_id=_PAYOUT.write(self.id),
            trace=wrapped(self.trace),
            amount_minor=self.amount,
            currency=self.currency,
            creditor_name=self.name,
            creditor=_account(self),
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: UUID
    livemode: bool
    currency: str
    key: str
    sha256: str
    created_at: datetime
    execute_on: date


def wrapped(trace: int) -> int:
    """Return the number of at most seven digits that a payout's trace is in a file."""
    return (trace - 1) % MAX_TRACE + 1


def prepare(tx: Transaction, at: datetime) -> int:
    """Put pending payouts into new files, and return how many files.

    One that no bank could read by its name stays pending, and so does one whose bank account was
    deleted: both can be canceled. So do those of a mode and currency without an originator.
    """
    begun = 0
    for originating in tx.rows(_Originating, _ORIGINATORS, on=at.date()):
        going = tx.rows(
            _Going,
            _GOING,
            livemode=originating.livemode,
            currency=originating.currency,
            limit=MAX_TRANSFERS,
        )
        if going:
            begun += _begin(tx, originating, _within_the_total(going), at)
    faults.point("payouts.submit.before_commit")
    return begun


def _within_the_total(going: Sequence[_Going]) -> Sequence[_Going]:
    """Return the first payouts whose sum a file can state; the others go with the next."""
    sums = accumulate(each.amount for each in going)
    return [each for each, total in zip(going, sums, strict=True) if total <= MAX_TOTAL_MINOR]


def _begin(
    tx: Transaction, originating: _Originating, going: Sequence[_Going], at: datetime
) -> bool:
    """Write the row of a file, and of each payout that it is in it."""
    file_id = ids.new(at)
    execute_on = calendars.business_day_after(at.date(), 1, frozenset(originating.holidays))
    fitting, content = _fitting(originating, file_id, at, execute_on, going)
    if not fitting:
        return False
    mode = "live" if originating.livemode else "test"
    tx.run(
        _INSERT,
        id=file_id,
        livemode=originating.livemode,
        rail=originating.rail,
        currency=originating.currency,
        created_at=at,
        execute_on=execute_on,
        transfer_count=len(fitting),
        total=sum(each.amount for each in fitting),
        key=f"bank/out/{mode}/{_FILE.write(file_id)}.{_SUFFIXES[originating.rail]}",
        sha256=hashlib.sha256(content).hexdigest(),
    )
    tx.run(_PUT, file=file_id, ids=[each.id for each in fitting])
    return True


def _fitting(
    originating: _Originating,
    file_id: UUID,
    at: datetime,
    execute_on: date,
    going: Sequence[_Going],
) -> tuple[Sequence[_Going], bytes]:
    """Return the payouts that the format can carry, and the file of them: one must not stop all."""

    def written(some: Sequence[_Going]) -> bytes:
        return _render(originating, file_id, at, execute_on, some)

    try:
        return going, written(going)
    except BankFileError:
        fitting = [each for each in going if _fits(written, each)]
    return fitting, written(fitting) if fitting else b""


def _fits(written: Callable[[Sequence[_Going]], bytes], going: _Going) -> bool:
    try:
        written([going])
    except BankFileError as error:
        observe.line("payout.unwritable", payout=going.id.hex, reason=error.reason)
        observe.count("PayoutUnwritable")
        return False
    return True


def prepared(tx: Transaction) -> tuple[list[BankFile], list[str]]:
    """Return files that are to be sent, oldest first, and the names of those that may not be.

    One that would not be what it was when it was prepared waits for an operator; others do not
    wait for it.
    """
    files: list[BankFile] = []
    changed: list[str] = []
    for each in tx.rows(_Prepared, _PREPARED, limit=MAX_FILES):
        content = _content(tx, each)
        if content is not None and hashlib.sha256(content).hexdigest() == each.sha256:
            files.append(BankFile(each.id, each.key, content))
        else:
            changed.append(_FILE.write(each.id))
    return files, changed


def _content(tx: Transaction, file: _Prepared) -> bytes | None:
    """Return what a file would be now; None when it could not be written any more."""
    originating = tx.row(
        _Originating,
        _ORIGINATORS + " WHERE (livemode, currency) = (%(livemode)s, %(currency)s)",
        on=file.execute_on,
        livemode=file.livemode,
        currency=file.currency,
    )
    if originating is None:
        return None
    going = tx.rows(_Going, _IN_FILE, file=file.id)
    try:
        return _render(originating, file.id, file.created_at, file.execute_on, going)
    except BankFileError:
        return None


def sent(tx: Transaction, file: BankFile) -> list[Task]:
    """Note that a file is at the bank, and promise to say so of each payout in it.

    Send what is returned after the commit.
    """
    tx.run(_SENT, id=file.id)
    tasks = outbox.owe_each(tx, "payouts", "submit", _SUBMITTED, ids.now())
    faults.point("payouts.submit.before_sent")
    return tasks


def _render(
    originating: _Originating,
    file_id: UUID,
    at: datetime,
    execute_on: date,
    going: Sequence[_Going],
) -> bytes:
    file = PaymentFile(
        file_id=_FILE.write(file_id),
        created_at=at,
        execute_on=execute_on,
        originator=originating.originator(),
        currency=originating.currency,
        transfers=tuple(each.transfer() for each in going),
    )
    return nacha.write(file) if originating.rail == "ach" else pain001.write(file)


def _account(holder: _Originating | _Going) -> Account:
    if holder.iban is not None:
        return IbanAccount(holder.iban, holder.bic)
    return UsAccount(
        holder.routing_number or "", holder.account_number or "", holder.account_type or "checking"
    )


_ORIGINATORS: LiteralString = """
    SELECT livemode, currency, rail, name, company_id, bank_name, routing_number, account_number,
           account_type, iban, bic,
           ARRAY(SELECT day FROM bank_holidays
                 WHERE bank_holidays.currency = bank_originators.currency
                   AND day BETWEEN %(on)s AND %(on)s::date + 31) AS holidays
    FROM bank_originators
"""

_ACCOUNTS: LiteralString = """
    SELECT payouts.id, trace, amount, payouts.currency, account_holder_name AS name,
           routing_number, account_number, account_type, iban, bic
    FROM payouts JOIN bank_accounts
      ON (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.id)
       = (payouts.merchant_id, payouts.livemode, bank_account_id)
"""

# Whoever is just canceling one holds its row: it is looked at again by the next run.
_GOING: LiteralString = (
    _ACCOUNTS
    + """
    WHERE payouts.status = 'pending' AND bank_file IS NULL
      AND payouts.livemode = %(livemode)s AND payouts.currency = %(currency)s
      AND bank_accounts.status = 'verified'
    ORDER BY trace LIMIT %(limit)s
    FOR NO KEY UPDATE OF payouts SKIP LOCKED
    """
)

_IN_FILE: LiteralString = _ACCOUNTS + " WHERE bank_file = %(file)s ORDER BY trace"

_INSERT = """
    INSERT INTO bank_files (id, livemode, rail, currency, created_at, execute_on, transfer_count,
                            total, key, sha256)
    VALUES (%(id)s, %(livemode)s, %(rail)s, %(currency)s, %(created_at)s, %(execute_on)s,
            %(transfer_count)s, %(total)s, %(key)s, %(sha256)s)
"""

_PUT = "UPDATE payouts SET bank_file = %(file)s WHERE id = ANY(%(ids)s)"

_PREPARED = """
    SELECT id, livemode, currency, key, sha256, created_at, execute_on
    FROM bank_files WHERE status = 'prepared' ORDER BY id LIMIT %(limit)s
"""

_SENT = """
    UPDATE bank_files SET status = 'sent', sent_at = now()
    WHERE id = %(id)s AND status = 'prepared'
"""

_SUBMITTED: LiteralString = """
    SELECT payouts.merchant_id, payouts.livemode, payouts.id
    FROM payouts JOIN bank_files ON bank_files.id = bank_file
    WHERE payouts.status = 'pending' AND bank_files.status = 'sent'
      AND NOT EXISTS (SELECT FROM outbox WHERE subject = payouts.id)
    ORDER BY payouts.trace
"""
