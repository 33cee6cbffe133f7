from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import holidays
from ivy import calendars

SQL = files("ivy.schema").joinpath("0006_bank_holidays.sql").read_text("utf-8")


def closed(currency: str) -> frozenset[date]:
    return frozenset(
        date.fromisoformat(day) for day in re.findall(rf"'{currency}', '([\d-]+)'", SQL)
    )


def test_the_committed_days_are_what_the_generator_prints() -> None:
    assert holidays.migration() == SQL


@pytest.mark.parametrize(
    ("captured", "available"),
    [
        (date(2026, 11, 24), date(2026, 11, 27)),  # Thanksgiving in between
        (date(2026, 11, 25), date(2026, 11, 30)),
        (date(2026, 12, 31), date(2027, 1, 5)),
        (date(2027, 6, 17), date(2027, 6, 21)),  # Juneteenth is a Saturday: banks open on Friday
        (date(2026, 7, 2), date(2026, 7, 6)),  # 4 July is a Saturday: the 3rd counts
        (date(2028, 2, 28), date(2028, 3, 1)),  # a leap day counts
        (date(2026, 11, 28), date(2026, 12, 1)),  # captured on a Saturday
    ],
)
def test_two_days_on_the_federal_calendar(captured: date, available: date) -> None:
    found = calendars.business_day_after(captured, calendars.SETTLEMENT_DAYS, closed("USD"))
    assert found == available


def test_juneteenth_2027_is_a_saturday_and_moves_nothing() -> None:
    assert date(2027, 6, 18) not in closed("USD")


def test_easter_closes_the_euro() -> None:
    assert calendars.business_day_after(date(2026, 4, 2), 2, closed("EUR")) == date(2026, 4, 8)


def naive(day: date, count: int, is_open: Callable[[date], bool]) -> date:
    days = (day + timedelta(days=n) for n in range(1, 400))
    return [candidate for candidate in days if is_open(candidate)][count - 1]


@given(
    st.dates(date(2024, 1, 1), date(2050, 6, 1)),
    st.integers(1, 10),
    st.sampled_from(["USD", "EUR", "GBP", "JPY"]),
)
@settings(max_examples=200, deadline=None)
def test_counting_days_agrees_with_listing_them(day: date, count: int, currency: str) -> None:
    shut = closed(currency)
    found = calendars.business_day_after(day, count, shut)
    assert found == naive(day, count, lambda d: d.isoweekday() < 6 and d not in shut)
