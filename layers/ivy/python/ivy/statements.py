"""Statements: what each of a merchant's balances was when a month began, and all that changed it.

A month is told by when things were booked, ``created_at``, in the merchant's time zone: once it is
over nothing is added to it, whatever day a late entry is valued on. What it opens with is the sum
of all entries before; what it closes with is what the ledger holds now less all entries since. A
statement in which these do not meet is not written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Literal, LiteralString
from uuid import UUID

from ivy import balance_transactions, balances, beancount, ids, money, report_files
from ivy.balance_transactions import BalanceTransaction
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, account_number
from ivy.models import Object, Time
from ivy.report_files import Form, UnbalancedError

Record = Literal["opening", "transaction", "day", "closing"]


@dataclass(frozen=True, slots=True)
class Period:
    """A time in one currency, cut into the days of a time zone."""

    currency: str
    begins_at: datetime
    ends_at: datetime
    time_zone: str


class Buckets(Object):
    """A merchant's balances, or changes of them, in minor units."""

    pending: int = 0
    available: int = 0
    reserved: int = 0
    disputed: int = 0
    in_transit: int = 0

    def plus(self, other: Buckets, sign: int = 1) -> Buckets:
        """Return the sum with another, or the difference."""
        theirs = other.model_dump()
        return Buckets(
            **{name: mine + sign * theirs[name] for name, mine in self.model_dump().items()}
        )


_CHART = {
    "pending": Chart.PENDING,
    "available": Chart.AVAILABLE,
    "reserved": Chart.RESERVE,
    "disputed": Chart.DISPUTE_HOLD,
    "in_transit": Chart.PAYOUTS_IN_TRANSIT,
}


class Entry(Object):
    """A ledger transaction and what it changed; ``amount`` and ``fee`` of what can be spent."""

    date: date
    created_at: Time
    type: str
    source: str
    balance_transaction: ids.BalanceTransactionId | None
    ledger_transaction: ids.LedgerTransactionId
    amount: int
    fee: int
    net: int
    changes: Buckets


class Day(Object):
    """What the balances were when a day ended on which one of them changed."""

    date: date
    closing: Buckets


class Statement(Object):
    """A month in one currency: of each balance, ``opening`` and all ``changes`` are ``closing``."""

    object: Literal["statement"] = "statement"
    livemode: bool
    month: str
    time_zone: str
    begins_at: Time
    ends_at: Time
    currency: str
    exponent: int
    opening: Buckets
    closing: Buckets
    days: list[Day]
    transactions: list[Entry]


class Line(Object):
    """One line of a statement as CSV.

    In a line ``transaction`` the five balances are changes, in the others what they are then.
    """

    record: Record
    date: date
    created_at: Time | None = None
    type: str | None = None
    source: str | None = None
    balance_transaction: ids.BalanceTransactionId | None = None
    ledger_transaction: ids.LedgerTransactionId | None = None
    currency: str
    exponent: int
    amount: int | None = None
    fee: int | None = None
    net: int | None = None
    pending: int
    available: int
    reserved: int
    disputed: int
    in_transit: int


def written(
    tx: Transaction, tenant: Tenant, month: str, period: Period, form: Form
) -> tuple[bytes, int]:
    """Return the bytes of a statement and how many transactions are in it, from one snapshot.

    Raises:
        UnbalancedError: Opening and all changes are not what the ledger holds.
    """
    statement = _statement(tx, tenant, month, period)
    if form == "json":
        content = statement.model_dump_json().encode()
    elif form == "csv":
        content = report_files.table(Line, list(_lines(statement)))
    else:
        lines = _journal(tx, tenant, statement, period)
        content = "".join(f"{line}\n" for line in lines).encode()
    return content, len(statement.transactions)


def _statement(tx: Transaction, tenant: Tenant, month: str, period: Period) -> Statement:
    which = _which(tenant, period)
    opening, later = (_sum(tx, _BEFORE, which), _sum(tx, _SINCE, which))
    closing = _held(tx, tenant, period.currency).plus(later, -1)
    entries = _entries(tx, period, which)
    days = list(_days(opening, entries))
    statement = Statement(
        livemode=tenant.livemode,
        month=month,
        time_zone=period.time_zone,
        begins_at=period.begins_at,
        ends_at=period.ends_at,
        currency=period.currency,
        exponent=money.currencies()[period.currency].exponent,
        opening=opening,
        closing=closing,
        days=days,
        transactions=entries,
    )
    check(statement)
    return statement


def check(statement: Statement) -> None:
    """Refuse a statement that does not add up.

    Raises:
        UnbalancedError: Which balance, and by how much.
    """
    reached = statement.opening
    for entry in statement.transactions:
        reached = reached.plus(entry.changes)
    last = statement.days[-1].closing if statement.days else statement.opening
    for found in (reached, last):
        if found != statement.closing:
            off = found.plus(statement.closing, -1)
            raise UnbalancedError(f"{statement.month} {statement.currency} is off by {off!r}")


def _which(tenant: Tenant, period: Period) -> dict[str, Any]:
    return {
        "merchant_id": tenant.merchant_id,
        "livemode": tenant.livemode,
        "currency": money.currencies()[period.currency].number,
        "begins_at": period.begins_at,
        "ends_at": period.ends_at,
        "time_zone": period.time_zone,
    }


def _sum(tx: Transaction, statement: LiteralString, which: dict[str, Any]) -> Buckets:
    found = tx.row(Buckets, statement, **which)
    assert found is not None  # noqa: S101 - sums are one row
    return found


def _held(tx: Transaction, tenant: Tenant, currency: str) -> Buckets:
    """Return what the ledger holds for the merchant now: what it stores, and what came after."""
    for line in balances.balance(tx, tenant, tx.now()).balances:
        if line.currency == currency:
            return Buckets(**line.model_dump(include=set(Buckets.model_fields)))
    return Buckets()


@dataclass(frozen=True, slots=True)
class _Row:
    id: UUID
    day: date
    created_at: datetime
    type: str
    source_prefix: str
    source: UUID
    pending: int
    available: int
    reserved: int
    disputed: int
    in_transit: int


def _entries(tx: Transaction, period: Period, which: dict[str, Any]) -> list[Entry]:
    spendable = {
        each.ledger_transaction: each
        for each in balance_transactions.between(
            tx, period.currency, period.begins_at, period.ends_at
        )
    }
    return [_entry(row, spendable.get(row.id)) for row in tx.rows(_Row, _ROWS, **which)]


def _entry(row: _Row, spendable: BalanceTransaction | None) -> Entry:
    return Entry(
        date=row.day,
        created_at=row.created_at,
        type=row.type,
        source=ids.Prefix(row.source_prefix).write(row.source),
        balance_transaction=spendable.id if spendable else None,
        ledger_transaction=row.id,
        amount=spendable.amount if spendable else 0,
        fee=spendable.fee if spendable else 0,
        net=spendable.net if spendable else 0,
        changes=Buckets(**{name: getattr(row, name) for name in _CHART}),
    )


def _days(opening: Buckets, entries: Sequence[Entry]) -> Iterator[Day]:
    reached = opening
    for day, theirs in groupby(entries, lambda entry: entry.date):
        for entry in theirs:
            reached = reached.plus(entry.changes)
        yield Day(date=day, closing=reached)


def _lines(statement: Statement) -> Iterator[Line]:
    """Yield the opening, each transaction, each day after its last one, and the closing."""
    same = {"currency": statement.currency, "exponent": statement.exponent}
    first = date.fromisoformat(f"{statement.month}-01")
    yield Line(record="opening", date=first, **same, **statement.opening.model_dump())
    closings = {day.date: day.closing for day in statement.days}
    for day, theirs in groupby(statement.transactions, lambda entry: entry.date):
        for entry in theirs:
            told = {name: getattr(entry, name) for name in Entry.model_fields if name != "changes"}
            yield Line(record="transaction", **told, **same, **entry.changes.model_dump())
        yield Line(record="day", date=day, **same, **closings[day].model_dump())
    yield Line(record="closing", date=_last(first), **same, **statement.closing.model_dump())


def _last(first: date) -> date:
    """Return the last day of a month."""
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Held:
    account: int
    amount: int


def _journal(
    tx: Transaction, tenant: Tenant, statement: Statement, period: Period
) -> Iterator[str]:
    """Yield a journal of the month, which asserts each account at the end of each of its days.

    Also our own accounts are in it, with the merchant's share of them: so every transaction is
    whole, and what it opens with balances.
    """
    which, first = _which(tenant, period), date.fromisoformat(f"{statement.month}-01")
    opening = [(row.account, row.amount) for row in tx.rows(_Held, _OPENING, **which)]
    rows = tx.rows(beancount.Transaction, _TRANSACTIONS, **which)
    asserted = tx.rows(beancount.Balance, _BY_DAY, **which)
    known = {account for account, _ in opening} | {each.account for each in asserted}
    closing = statement.closing.model_dump()
    for name, chart in _CHART.items():
        account = account_number(chart, period.currency, tenant)
        if account in known:
            asserted.append(beancount.Balance(account, _last(first), -closing[name]))
    mode = "live" if tenant.livemode else "test"
    title = f"Ivy, {mode} mode, {statement.month} {statement.currency}"
    names = beancount.chart(tx)
    yield from beancount.journal(
        title, names, rows, asserted, beancount.Opening(first, tuple(opening))
    )


# Credit is positive here, as merchants see it. ``moved`` are the changes of their five balances.
_MOVED: LiteralString = """
    FROM journal
    CROSS JOIN LATERAL (
        SELECT -coalesce(sum(v) FILTER (WHERE mod(a, 1000) = 210), 0)::bigint AS pending,
               -coalesce(sum(v) FILTER (WHERE mod(a, 1000) = 220), 0)::bigint AS available,
               -coalesce(sum(v) FILTER (WHERE mod(a, 1000) = 230), 0)::bigint AS reserved,
               -coalesce(sum(v) FILTER (WHERE mod(a, 1000) = 240), 0)::bigint AS disputed,
               -coalesce(sum(v) FILTER (WHERE mod(a, 1000) = 250), 0)::bigint AS in_transit
        FROM (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (a, v)) AS moved
"""

_OWN: LiteralString = """
    WHERE owner = %(merchant_id)s AND livemode = %(livemode)s
      AND mod(a1 / 10000, 1000) = %(currency)s
"""

_WITHIN: LiteralString = " AND recorded_at >= %(begins_at)s AND recorded_at < %(ends_at)s "

_SUM: LiteralString = (
    """
    SELECT coalesce(sum(pending), 0)::bigint AS pending,
           coalesce(sum(available), 0)::bigint AS available,
           coalesce(sum(reserved), 0)::bigint AS reserved,
           coalesce(sum(disputed), 0)::bigint AS disputed,
           coalesce(sum(in_transit), 0)::bigint AS in_transit
    """
    + _MOVED
    + _OWN
)
_BEFORE: LiteralString = _SUM + " AND recorded_at < %(begins_at)s"
_SINCE: LiteralString = _SUM + " AND recorded_at >= %(ends_at)s"

_ROWS: LiteralString = (
    """
    SELECT journal.id, (recorded_at AT TIME ZONE %(time_zone)s)::date AS day,
           recorded_at AS created_at, name AS type, source_prefix, source, moved.*
    """
    + _MOVED
    + " JOIN posting_kinds ON code = kind "
    + _OWN
    + _WITHIN
    + """
      AND (pending, available, reserved, disputed, in_transit) <> (0, 0, 0, 0, 0)
    ORDER BY recorded_at, journal.id
    """
)

_LEGS: LiteralString = """
    FROM journal
    CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
"""

_OPENING: LiteralString = (
    "SELECT account, sum(amount)::bigint AS amount "
    + _LEGS
    + _OWN
    + """
      AND recorded_at < %(begins_at)s AND account IS NOT NULL
    GROUP BY account HAVING sum(amount) <> 0 ORDER BY account
    """
)

_TRANSACTIONS: LiteralString = (
    """
    SELECT id, name AS kind, source_prefix, source, owner, recorded_at,
           (recorded_at AT TIME ZONE %(time_zone)s)::date AS value_on,
           ARRAY[a1, a2, a3, a4] AS accounts, ARRAY[v1, v2, v3, v4] AS amounts
    FROM journal JOIN posting_kinds ON code = kind
    """
    + _OWN
    + _WITHIN
    + "ORDER BY recorded_at, id"
)

# Added up from the beginning: what was before the month counts as of no day.
_BY_DAY: LiteralString = (
    """
    SELECT account, day, amount FROM (
        SELECT account, day, (sum(sum(amount)) OVER (
            PARTITION BY account ORDER BY day NULLS FIRST))::bigint AS amount
        FROM (
            SELECT account, amount, CASE WHEN recorded_at >= %(begins_at)s
                THEN (recorded_at AT TIME ZONE %(time_zone)s)::date END AS day
    """
    + _LEGS
    + _OWN
    + """
              AND recorded_at < %(ends_at)s AND account IS NOT NULL) AS dated
        GROUP BY account, day) AS reached
    WHERE day IS NOT NULL
    """
)
