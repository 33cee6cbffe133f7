"""What banks state of a month, and what the books say of it.

Lines count on the day that the bank booked them, postings on their value date. A payout or debit is
posted when the bank says so in whichever file, so between the two there may be what is on its way;
everything else that differs is a mistake, and ``difference`` shows it. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal, LiteralString

from ivy import ledger, suspense
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart
from ivy.models import CurrencyCode, Input, Month, Object, example
from ivy.suspense import SuspenseItem, SuspenseQuery

LineKind = Literal[
    "payouts",
    "payouts_returned",
    "debits",
    "debits_returned",
    "acquirers",
    "micro_deposits",
    "suspense",
    "not_posted",
]
AcquirerKind = Literal["expected", "overdue", "received"]


class ReportQuery(Input):
    """Of which month."""

    model_config = example(currency="USD", month="2026-11")

    currency: CurrencyCode
    month: Month
    livemode: bool = False


class LineSum(Object):
    """Lines of one kind."""

    kind: LineKind
    count: int
    amount: int


class StatementSide(Object):
    """What banks state: ``opening`` and all lines are ``closing``."""

    opening: int
    lines: list[LineSum]
    closing: int


class BooksSide(Object):
    """What ``bank:client`` came to at the beginning and at the end of the month."""

    opening: int
    closing: int


class OnItsWay(Object):
    """At the end of the month: on a statement and not posted, or posted and on no statement."""

    not_posted: int
    not_stated: int


class StatedBalances(Object):
    """The balances on the statements of the month themselves.

    ``continuous`` when each opens where the one before it closed, as a bank's do; the simulated
    bank has an account for each file.
    """

    statements: int
    opening: int | None
    closing: int | None
    continuous: bool


class AcquirerSum(Object):
    """What an acquirer said that it pays in the month, by what has become of it.

    ``amount`` is what it said, ``stated`` what the lines of statements show of it.
    """

    connector: str
    kind: AcquirerKind
    count: int
    amount: int
    stated: int


class ReconciliationReport(Object):
    """A month of our account in one currency and mode, in minor units.

    ``difference`` is what the books have more than the statements, beyond what is on its way.
    """

    object: Literal["reconciliation_report"] = "reconciliation_report"
    livemode: bool
    currency: str
    month: str
    statement: StatementSide
    books: BooksSide
    on_its_way: OnItsWay
    difference: int
    stated: StatedBalances
    acquirers: list[AcquirerSum]
    open_items: list[SuspenseItem]
    open_items_total: int


@dataclass(frozen=True, slots=True)
class _Moment:
    stated: int
    booked: int
    not_posted: int
    not_stated: int

    @property
    def difference(self) -> int:
        return self.booked - (self.stated - self.not_posted + self.not_stated)


def report(tx: Transaction, query: ReportQuery) -> ReconciliationReport:
    """Return the report of a month. It may be asked for while the month goes on."""
    first = date.fromisoformat(f"{query.month}-01")
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    span: dict[str, object] = {
        "livemode": query.livemode,
        "currency": query.currency,
        "first": first,
        "after": after,
        "bank": ledger.account_number(
            Chart.BANK_CLIENT, query.currency, Tenant(ledger.OURS, query.livemode)
        ),
    }
    opening, closing = _at(tx, first, span), _at(tx, after, span)
    stated = tx.row(StatedBalances, _BALANCES, **span)
    assert stated is not None  # noqa: S101 - an aggregate returns one row
    items = suspense.find(tx, SuspenseQuery(currency=query.currency, livemode=query.livemode))
    return ReconciliationReport(
        livemode=query.livemode,
        currency=query.currency,
        month=query.month,
        statement=StatementSide(
            opening=opening.stated,
            lines=tx.rows(LineSum, _SUMS, **span),
            closing=closing.stated,
        ),
        books=BooksSide(opening=opening.booked, closing=closing.booked),
        on_its_way=OnItsWay(not_posted=closing.not_posted, not_stated=closing.not_stated),
        difference=closing.difference,
        stated=stated,
        acquirers=tx.rows(AcquirerSum, _ACQUIRERS, **span),
        open_items=items.data,
        open_items_total=items.total,
    )


def _at(tx: Transaction, day: date, span: dict[str, object]) -> _Moment:
    """Return what was stated and booked before a day began."""
    found = tx.row(_Moment, _MOMENT, **{**span, "day": day})
    assert found is not None  # noqa: S101 - sums are one row
    return found


_MOMENT: LiteralString = """
    WITH lines AS (
        SELECT * FROM bank_lines
        WHERE (livemode, currency) = (%(livemode)s, %(currency)s) AND booked_on < %(day)s),
    moves AS (
        SELECT source, kind, value_on, leg.amount
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
        WHERE leg.account = %(bank)s),
    orders_moved AS (
        SELECT moves.*, booked_on
        FROM moves
        LEFT JOIN bank_lines ON outcome IN ('payout', 'debit')
            AND coalesce(payout_id, debit_id) = source
            AND (bank_lines.amount > 0) = (moves.amount > 0)
        WHERE kind IN (41, 43, 52, 54))
    SELECT (SELECT coalesce(sum(amount), 0)::bigint FROM lines) AS stated,
           (SELECT coalesce(sum(amount), 0)::bigint FROM moves
            WHERE value_on < %(day)s) AS booked,
           (SELECT coalesce(sum(amount), 0)::bigint FROM lines WHERE outcome = 'new')
           + (SELECT coalesce(sum(amount), 0)::bigint FROM orders_moved
              WHERE booked_on < %(day)s AND value_on >= %(day)s) AS not_posted,
           (SELECT coalesce(sum(amount), 0)::bigint FROM orders_moved
            WHERE value_on < %(day)s AND coalesce(booked_on >= %(day)s, true)) AS not_stated
"""

_SUMS: LiteralString = """
    SELECT CASE outcome WHEN 'new' THEN 'not_posted' WHEN 'suspense' THEN 'suspense'
                        WHEN 'acquirer' THEN 'acquirers'
                        WHEN 'deposit' THEN 'micro_deposits'
                        WHEN 'debit' THEN
                            CASE WHEN amount > 0 THEN 'debits' ELSE 'debits_returned' END
                        ELSE CASE WHEN amount < 0 THEN 'payouts' ELSE 'payouts_returned' END
           END AS kind,
           count(*) AS count, sum(amount)::bigint AS amount
    FROM bank_lines
    WHERE (livemode, currency) = (%(livemode)s, %(currency)s)
      AND booked_on >= %(first)s AND booked_on < %(after)s
    GROUP BY 1 ORDER BY 1
"""

_ACQUIRERS: LiteralString = """
    SELECT connector,
           CASE WHEN status = 'received' THEN 'received'
                WHEN expected_on < now()::date THEN 'overdue' ELSE 'expected' END AS kind,
           count(*) AS count, sum(net)::bigint AS amount,
           coalesce(sum(bank_lines.amount), 0)::bigint AS stated
    FROM acquirer_settlements AS said LEFT JOIN bank_lines ON bank_lines.id = line_id
    WHERE (said.livemode, said.currency) = (%(livemode)s, %(currency)s)
      AND expected_on >= %(first)s AND expected_on < %(after)s
    GROUP BY 1, 2 ORDER BY 1, 2
"""

_BALANCES: LiteralString = """
    WITH stated AS (
        SELECT *, lag(closing) OVER by_day AS before,
               row_number() OVER by_day AS n, row_number() OVER (
                   ORDER BY closed_on DESC, created_at DESC, id DESC) AS backwards
        FROM bank_statements
        WHERE (livemode, currency) = (%(livemode)s, %(currency)s)
          AND closed_on >= %(first)s AND closed_on < %(after)s
        WINDOW by_day AS (ORDER BY closed_on, created_at, id))
    SELECT count(*) AS statements, min(opening) FILTER (WHERE n = 1) AS opening,
           min(closing) FILTER (WHERE backwards = 1) AS closing,
           coalesce(bool_and(coalesce(before = opening, true)), true) AS continuous
    FROM stated
"""
