"""Bank holidays: shown to operators, and changed by them when a central bank changes its calendar.

A charge keeps the day that it got when it was captured. What counts banking days later goes by the
table as it is then: captures, payouts by schedule, the days on which files are debited.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ivy import calendars, observe
from ivy.database import Transaction
from ivy.models import CurrencyCode, Input, Object, ShortText, example

MAX_SHOWN = 1_000
FIRST_YEAR, LAST_YEAR = 2000, 2100
"""Of the calendars; days are counted a little beyond what is asked for, and dates end in 9999."""


class HolidayQuery(Input):
    """Which holidays to show."""

    model_config = example(currency="USD", year=2026)

    currency: CurrencyCode | None = None
    year: int | None = Field(default=None, strict=True, ge=FIRST_YEAR, le=LAST_YEAR)


class Holiday(Input):
    """A day on which the banks of a currency do not settle."""

    model_config = example(
        currency="USD", day="2026-12-24", by="operator@example.com", reason="executive order"
    )

    currency: CurrencyCode
    day: date
    by: ShortText
    reason: ShortText

    @field_validator("day")
    @classmethod
    def _counts(cls, day: date) -> date:
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise PydanticCustomError(
                "year",
                "must lie in the years {first} to {last}",
                {"first": FIRST_YEAR, "last": LAST_YEAR},
            )
        if calendars.at_weekend(day):
            raise PydanticCustomError("weekend", "is at a weekend, which no bank settles on anyway")
        return day


class ListedHoliday(Object):
    """One day of a currency's calendar."""

    currency: str
    day: date


class HolidayList(Object):
    """Days of calendars, in their order."""

    object: Literal["holiday_list"] = "holiday_list"
    data: list[ListedHoliday]


class HolidayChange(Object):
    """What became of a day; ``changed`` is false where it was so already."""

    object: Literal["holiday_change"] = "holiday_change"
    currency: str
    day: date
    holiday: bool
    changed: bool


def find(tx: Transaction, query: HolidayQuery) -> HolidayList:
    """Return holidays by currency and day."""
    found = tx.rows(
        ListedHoliday, _SELECT, currency=query.currency, year=query.year, limit=MAX_SHOWN
    )
    return HolidayList(data=found)


def add(tx: Transaction, holiday: Holiday) -> HolidayChange:
    """Make a day a holiday; runs as ``ivy_jobs``."""
    added = tx.value(
        "INSERT INTO bank_holidays (currency, day) VALUES (%(currency)s, %(day)s)"
        " ON CONFLICT DO NOTHING RETURNING true",
        currency=holiday.currency,
        day=holiday.day,
    )
    return _changed(holiday, is_one=True, changed=added is not None)


def remove(tx: Transaction, holiday: Holiday) -> HolidayChange:
    """Make a day a banking day again; runs as ``ivy_jobs``."""
    removed = tx.value(
        "DELETE FROM bank_holidays WHERE (currency, day) = (%(currency)s, %(day)s) RETURNING true",
        currency=holiday.currency,
        day=holiday.day,
    )
    return _changed(holiday, is_one=False, changed=removed is not None)


def _changed(holiday: Holiday, *, is_one: bool, changed: bool) -> HolidayChange:
    observe.line(
        "holiday.changed" if changed else "holiday.unchanged",
        currency=holiday.currency,
        day=holiday.day.isoformat(),
        holiday=is_one,
        by=holiday.by,
        reason=holiday.reason,
    )
    return HolidayChange(
        currency=holiday.currency, day=holiday.day, holiday=is_one, changed=changed
    )


_SELECT = """
    SELECT currency, day FROM bank_holidays
    WHERE (%(currency)s::text IS NULL OR currency = %(currency)s)
      AND (%(year)s::integer IS NULL OR extract(year FROM day) = %(year)s)
    ORDER BY currency, day
    LIMIT %(limit)s
"""
