"""Banking days: when captured money becomes available."""

from __future__ import annotations

from datetime import date, timedelta

SETTLEMENT_DAYS = 2
"""Business days from capture to availability."""

_SATURDAY = 5


def business_day_after(day: date, count: int, holidays: frozenset[date]) -> date:
    """Return the ``count``-th banking day after ``day``, whatever kind of day that is itself."""
    while count > 0:
        day += timedelta(days=1)
        if not at_weekend(day) and day not in holidays:
            count -= 1
    return day


def at_weekend(day: date) -> bool:
    """Say whether a day is a Saturday or a Sunday."""
    return day.weekday() >= _SATURDAY
