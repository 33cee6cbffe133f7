"""Files of orders for banks: prepared in one transaction, written outside of any, sent in another.

Whoever dies on the way leaves a prepared file. The next run finds it, writes the same bytes under
the same key, and goes on. A live file is everybody's; one of test mode is one merchant's, because
each has a present of its own there. Runs as ``ivy_jobs``, which alone reads whole account numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from typing import Literal, LiteralString
from uuid import UUID

from ivy import bank_orders, calendars, faults, ids, micro_deposits, observe, outbox
from ivy.bank_files import (
    MAX_TRACE,
    Account,
    BankFileError,
    IbanAccount,
    Mandate,
    Originator,
    Payment,
    PaymentFile,
    UsAccount,
    nacha,
    pain001,
    pain008,
)
from ivy.bank_orders import Kind
from ivy.database import Tenant, Transaction
from ivy.operations import account_name
from ivy.outbox import Task

MAX_TRANSFERS = outbox.RELAY_LIMIT
"""In one file: as many promises as are made at once when it is sent."""

MAX_TOTAL_MINOR = 999_999_999_999
"""Of one file: twelve digits, in which ACH states its sum."""

MAX_FILES = 100
"""That one run begins, and finishes; more wait for the next."""

Rail = Literal["ach", "iso20022"]
_SUFFIXES: dict[Rail, str] = {"ach": "ach", "iso20022": "xml"}
_FILE = ids.Prefix("bf")


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
    """An account that orders of a kind leave from, whose, and what time it is for those."""

    kind: Kind
    merchant_id: int | None
    present: datetime
    livemode: bool
    currency: str
    rail: Rail
    name: str
    company_id: str
    bank_name: str
    creditor_id: str | None
    routing_number: str | None
    account_number: str | None
    account_type: Literal["checking", "savings"] | None
    iban: str | None
    bic: str | None
    holidays: list[date]

    def originator(self) -> Originator:
        return Originator(
            self.name, self.company_id, _account(self), self.bank_name, self.creditor_id or ""
        )


@dataclass(frozen=True, slots=True)
class _Going:
    """One order on its way into a file."""

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
    mandate: str | None
    mandate_signed_on: date | None

    def transfer(self, kind: Kind) -> Payment:
        mandate = None
        if self.mandate is not None and self.mandate_signed_on is not None:
            mandate = Mandate(self.mandate, self.mandate_signed_on)
        return Payment(
            end_to_end_id=bank_orders.PREFIXES[kind].write(self.id),
            trace=wrapped(self.trace),
            amount_minor=self.amount,
            currency=self.currency,
            party_name=self.name,
            party=_account(self),
            remittance=() if kind == "payout" else (bank_orders.DESCRIPTIONS[kind],),
            mandate=mandate,
        )


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: UUID
    kind: Kind
    merchant_id: int | None
    livemode: bool
    currency: str
    key: str
    sha256: str
    created_at: datetime
    execute_on: date


def wrapped(trace: int) -> int:
    """Return the number of at most seven digits that an order's trace is in a file."""
    return (trace - 1) % MAX_TRACE + 1


def prepare(tx: Transaction, at: datetime, tenant: Tenant | None = None) -> int:
    """Put what waits into new files, all or one tenant's, and return how many files.

    A payout that no bank could read by its name stays pending, and so does one whose bank account
    was deleted: both can be canceled. So does a debit whose mandate was withdrawn or which is more
    than is owed by now, and what is of a mode and currency without an originator.
    """
    begun = 0
    for originating in tx.rows(_Originating, _WAITING, at=at, limit=MAX_FILES, **_of(tenant)):
        going = tx.rows(
            _Going,
            bank_orders.GOING[originating.kind],
            merchant=originating.merchant_id,
            livemode=originating.livemode,
            currency=originating.currency,
            limit=MAX_TRANSFERS,
        )
        if going:
            begun += _begin(tx, originating, _within_the_total(going))
    faults.point("payouts.submit.before_commit")
    return begun


def _within_the_total(going: Sequence[_Going]) -> Sequence[_Going]:
    """Return the first orders whose sum a file can state; the others go with the next."""
    sums = accumulate(each.amount for each in going)
    return [each for each, total in zip(going, sums, strict=True) if total <= MAX_TOTAL_MINOR]


def _of(tenant: Tenant | None) -> dict[str, int | bool | None]:
    """Return whose orders are meant: everybody's where there is no tenant."""
    return {
        "only": tenant.merchant_id if tenant else None,
        "only_mode": tenant.livemode if tenant else None,
    }


def _begin(tx: Transaction, originating: _Originating, going: Sequence[_Going]) -> bool:
    """Write the row of a file, and of each order that it is in it."""
    at = originating.present
    file_id = ids.new(at)
    execute_on = calendars.business_day_after(at.date(), 1, frozenset(originating.holidays))
    fitting, content = _fitting(originating, file_id, at, execute_on, going)
    if not fitting:
        return False
    tx.run(
        _INSERT,
        id=file_id,
        kind=originating.kind,
        merchant=originating.merchant_id,
        livemode=originating.livemode,
        rail=originating.rail,
        currency=originating.currency,
        created_at=at,
        execute_on=execute_on,
        transfer_count=len(fitting),
        total=sum(each.amount for each in fitting),
        key=_key(originating, file_id),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    tx.run(bank_orders.PUT[originating.kind], file=file_id, ids=[each.id for each in fitting])
    return True


def _key(originating: _Originating, file_id: UUID) -> str:
    """Return where a file goes; the simulated bank learns from its name whose it is."""
    mode, name = "live", _FILE.write(file_id)
    if originating.merchant_id is not None:
        tenant = Tenant(originating.merchant_id, originating.livemode)
        mode, name = "test", f"{name}.{account_name(tenant)}"
    return f"bank/out/{mode}/{name}.{_SUFFIXES[originating.rail]}"


def _fitting(
    originating: _Originating,
    file_id: UUID,
    at: datetime,
    execute_on: date,
    going: Sequence[_Going],
) -> tuple[Sequence[_Going], bytes]:
    """Return the orders that the format can carry, and the file of them: one must not stop all."""

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
        observe.line("order.unwritable", order=going.id.hex, reason=error.reason)
        observe.count("PayoutUnwritable")
        return False
    return True


def prepared(tx: Transaction, tenant: Tenant | None = None) -> tuple[list[BankFile], list[str]]:
    """Return files to be sent, all or one tenant's, and the names of those that may not be.

    One that would not be what it was when it was prepared waits for an operator; others do not
    wait for it.
    """
    files: list[BankFile] = []
    changed: list[str] = []
    for each in tx.rows(_Prepared, _PREPARED, limit=MAX_FILES, **_of(tenant)):
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
        _ORIGINATOR,
        kind=file.kind,
        merchant=file.merchant_id,
        created_at=file.created_at,
        livemode=file.livemode,
        currency=file.currency,
    )
    if originating is None:
        return None
    going = tx.rows(_Going, bank_orders.IN_FILE, file=file.id)
    try:
        return _render(originating, file.id, file.created_at, file.execute_on, going)
    except BankFileError:
        return None


def sent(tx: Transaction, file: BankFile) -> list[Task]:
    """Note that a file is at the bank, and promise to say so of each order in it.

    Send what is returned after the commit.
    """
    tx.run(_SENT, id=file.id)
    micro_deposits.sent(tx, file.id)
    at = ids.now()
    tasks = outbox.owe_each(tx, "payouts", "submit", _SUBMITTED, at)
    tasks += outbox.owe_each(tx, "payouts", "deposits", micro_deposits.UNTOLD, at)
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
        transfers=tuple(each.transfer(originating.kind) for each in going),
    )
    collects = originating.kind in bank_orders.COLLECTING
    if originating.rail == "ach":
        description = bank_orders.DESCRIPTIONS[originating.kind]
        return nacha.write(file, description=description, collects=collects)
    return pain008.write(file) if collects else pain001.write(file)


def _account(holder: _Originating | _Going) -> Account:
    if holder.iban is not None:
        return IbanAccount(holder.iban, holder.bic)
    return UsAccount(
        holder.routing_number or "", holder.account_number or "", holder.account_type or "checking"
    )


_COLUMNS: LiteralString = """
    livemode, currency, rail, name, company_id, bank_name, creditor_id, routing_number,
    account_number, account_type, iban, bic,
    ARRAY(SELECT day FROM bank_holidays
          WHERE bank_holidays.currency = bank_originators.currency
            AND day BETWEEN present::date AND present::date + 31) AS holidays
"""

# Live mode comes first: no number of merchants who test holds it up.
_WAITING: LiteralString = (
    "SELECT kind, merchant_id, present, "
    + _COLUMNS
    + """
    FROM bank_originators
    JOIN (
        SELECT DISTINCT kind, CASE WHEN NOT livemode THEN merchant_id END AS merchant_id, livemode,
               currency, %(at)s + coalesce(ahead, '0') AS present
        FROM bank_orders LEFT JOIN test_clocks USING (merchant_id, livemode)
        WHERE waiting
          AND (%(only)s::bigint IS NULL OR (merchant_id, livemode) = (%(only)s, %(only_mode)s))
    ) AS waiting USING (livemode, currency)
    ORDER BY livemode DESC, kind DESC, currency, merchant_id LIMIT %(limit)s
    """
)

_ORIGINATOR: LiteralString = (
    "SELECT %(kind)s::text AS kind, %(merchant)s::bigint AS merchant_id, present, "
    + _COLUMNS
    + """
    FROM bank_originators CROSS JOIN (SELECT %(created_at)s::timestamptz AS present) AS file
    WHERE (livemode, currency) = (%(livemode)s, %(currency)s)
    """
)

_INSERT = """
    INSERT INTO bank_files (id, kind, merchant_id, livemode, rail, currency, created_at,
                            execute_on, transfer_count, total, key, sha256)
    VALUES (%(id)s, %(kind)s, %(merchant)s, %(livemode)s, %(rail)s, %(currency)s, %(created_at)s,
            %(execute_on)s, %(transfer_count)s, %(total)s, %(key)s, %(sha256)s)
"""

_PREPARED = """
    SELECT id, kind, merchant_id, livemode, currency, key, sha256, created_at, execute_on
    FROM bank_files
    WHERE status = 'prepared'
      AND (%(only)s::bigint IS NULL OR (merchant_id, livemode) = (%(only)s, %(only_mode)s))
    ORDER BY livemode DESC, id LIMIT %(limit)s
"""

_SENT = """
    UPDATE bank_files SET status = 'sent', sent_at = now()
    WHERE id = %(id)s AND status = 'prepared'
"""

_SUBMITTED: LiteralString = """
    SELECT orders.merchant_id, orders.livemode, orders.id
    FROM bank_orders AS orders JOIN bank_files ON bank_files.id = bank_file
    WHERE orders.status = 'pending' AND bank_files.status = 'sent'
      AND NOT EXISTS (SELECT FROM outbox WHERE subject = orders.id)
    ORDER BY orders.trace
"""
