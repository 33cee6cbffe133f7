"""Availability: on which day captured money can be spent, and whether that day is over.

A charge's day never changes, so the batch that it is settled in is known at capture: that of its
merchant, mode, currency and day. Settlement holds one lock for each merchant, mode and currency;
whoever must know where a charge's money is holds the same lock, shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from ivy import calendars
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, account_number

SETTLED: LiteralString = """
    coalesce(available_on <= (
        SELECT settled_on FROM settled_through
        WHERE (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
            = (charges.merchant_id, charges.livemode, charges.currency)), false)
"""
"""Says of a row of ``charges`` whether its money has moved from pending to available."""


def hold(tx: Transaction, tenant: Tenant, currency: str) -> None:
    """Let no settlement of these charges run until the transaction ends; wait for one that does.

    What is read after this stays true. Captures, refunds and returns hold it at the same time.
    """
    tx.run("SELECT pg_advisory_xact_lock_shared(%(lock)s)", lock=lock_number(tenant, currency))


def lock_number(tenant: Tenant, currency: str) -> int:
    """Return the lock under which a merchant's pending money in a currency is settled."""
    return account_number(Chart.PENDING, currency, tenant)


@dataclass(frozen=True, slots=True)
class _Terms:
    captured_on: date
    holidays: list[date]
    settled_on: date | None


def expected_on(tx: Transaction, currency: str, at: datetime) -> date:
    """Return the day on which money captured at ``at`` would become available."""
    return _day(_terms(tx, currency, at))


def available_on(tx: Transaction, tenant: Tenant, currency: str, at: datetime) -> date:
    """Return the day on which money captured at ``at`` becomes available, for good.

    The second banking day after the day of capture, which ends at the merchant's cut-off in its
    time zone. A capture that was so late that its day is settled already gets the next one.
    """
    hold(tx, tenant, currency)
    terms = _terms(tx, currency, at)
    if terms.settled_on is None:
        tx.run(
            "INSERT INTO settled_through (merchant_id, livemode, currency, settled_on)"
            " VALUES (%(merchant_id)s, %(livemode)s, %(currency)s, %(captured_on)s)"
            " ON CONFLICT DO NOTHING",
            merchant_id=tenant.merchant_id,
            livemode=tenant.livemode,
            currency=currency,
            captured_on=terms.captured_on,
        )
    return _day(terms)


def _terms(tx: Transaction, currency: str, at: datetime) -> _Terms:
    terms = tx.row(_Terms, _TERMS, currency=currency, at=at)
    assert terms is not None  # noqa: S101 - every tenant is a merchant
    return terms


def _day(terms: _Terms) -> date:
    closed = frozenset(terms.holidays)
    day = calendars.business_day_after(terms.captured_on, calendars.SETTLEMENT_DAYS, closed)
    if terms.settled_on is not None and day <= terms.settled_on:
        return calendars.business_day_after(terms.settled_on, 1, closed)
    return day


_TERMS = """
    SELECT captured_on, settled_on,
           ARRAY(SELECT day FROM bank_holidays
                 WHERE currency = %(currency)s
                   AND day BETWEEN captured_on
                               AND greatest(captured_on, coalesce(settled_on, captured_on)) + 31
           ) AS holidays
    FROM (
        SELECT id, (local + CASE WHEN local::time >= cutoff THEN interval '1 day'
                                 ELSE interval '0' END)::date AS captured_on
        FROM merchants CROSS JOIN LATERAL (SELECT %(at)s AT TIME ZONE time_zone AS local) AS wall
    ) AS moment
    LEFT JOIN settled_through ON settled_through.currency = %(currency)s
"""
