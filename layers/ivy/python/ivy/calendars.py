"""Banking days: when captured money becomes available."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from ivy.database import Transaction

SETTLEMENT_DAYS = 2
"""Business days from capture to availability."""

_SATURDAY = 5


def business_day_after(day: date, count: int, holidays: frozenset[date]) -> date:
    """Return the ``count``-th banking day after ``day``, whatever kind of day that is itself."""
    while count > 0:
        day += timedelta(days=1)
        if day.weekday() < _SATURDAY and day not in holidays:
            count -= 1
    return day


@dataclass(frozen=True, slots=True)
class _Holiday:
    day: date


def holidays(tx: Transaction, currency: str, after: date) -> frozenset[date]:
    """Return the bank holidays of a currency in the month that follows a day."""
    rows = tx.rows(
        _Holiday,
        "SELECT day FROM bank_holidays"
        " WHERE currency = %(currency)s AND day BETWEEN %(after)s AND %(after)s + 31",
        currency=currency,
        after=after,
    )
    return frozenset(row.day for row in rows)
