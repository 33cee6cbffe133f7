"""Ten years of availability against the published rules, worked out here from first principles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from ivy import availability
from ivy.database import Database, Tenant
from tests.conftest import Store
from tests.driving import Account, Platform
from tests.settlement.till import Till

FIRST, LAST = date(2026, 1, 1), date(2035, 12, 31)
MONDAY, THURSDAY, SATURDAY = 0, 3, 5
DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)


# -- the rules


def easter(year: int) -> date:
    """Return Easter Sunday by the anonymous Gregorian algorithm."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def nth(year: int, month: int, weekday: int, number: int) -> date:
    """Return the n-th such weekday of a month; -1 is the last."""
    if number < 0:
        after = date(year + month // 12, month % 12 + 1, 1)
        return nth(after.year, after.month, weekday, 1) - 7 * DAY
    first = date(year, month, 1)
    return first + DAY * ((weekday - first.weekday()) % 7 + 7 * (number - 1))


def federal_reserve(year: int) -> Iterator[date]:
    """A holiday on a Sunday is kept on Monday; for one on a Saturday the banks stay open."""
    yield nth(year, 1, MONDAY, 3)
    yield nth(year, 2, MONDAY, 3)
    yield nth(year, 5, MONDAY, -1)
    yield nth(year, 9, MONDAY, 1)
    yield nth(year, 10, MONDAY, 2)
    yield nth(year, 11, THURSDAY, 4)
    for month, day in ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25)):
        fixed = date(year, month, day)
        yield fixed + DAY if fixed.weekday() > SATURDAY else fixed


def target(year: int) -> Iterator[date]:
    """Nothing is moved."""
    yield from (date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26))
    yield from (easter(year) - 2 * DAY, easter(year) + DAY)


def england_and_wales(year: int) -> Iterator[date]:
    """What falls on a weekend, or on a day that another took, is kept on the next weekday."""
    yield from (easter(year) - 2 * DAY, easter(year) + DAY)
    yield from (nth(year, 5, MONDAY, 1), nth(year, 5, MONDAY, -1), nth(year, 8, MONDAY, -1))
    taken: set[date] = set()
    for month, day in ((1, 1), (12, 25), (12, 26)):
        kept = date(year, month, day)
        while kept.weekday() >= SATURDAY or kept in taken:
            kept += DAY
        taken.add(kept)
    yield from taken


RULES: dict[str, Callable[[int], Iterator[date]]] = {
    "USD": federal_reserve, "EUR": target, "GBP": england_and_wales,
}  # fmt: skip


def second_banking_day(currency: str, captured_on: date) -> date:
    """Return the second day after a capture on which the banks of a currency are open."""
    years = range(captured_on.year, captured_on.year + 2)
    closed = {day for year in years for day in RULES[currency](year)}
    weeks = (captured_on + n * DAY for n in range(1, 30))
    opened = [day for day in weeks if day.weekday() < SATURDAY and day not in closed]
    return opened[1]


def test_easter_is_where_almanacs_have_it() -> None:
    known = {2024: (3, 31), 2025: (4, 20), 2026: (4, 5), 2027: (3, 28), 2035: (3, 25)}
    assert {year: (easter(year).month, easter(year).day) for year in known} == known


# -- the product, as the database answers it


class Asking:
    """One merchant's terms, and what it would be told."""

    def __init__(self, store: Store, account: Account) -> None:
        self.store = store
        self.tenant = Tenant(account.merchant_id, livemode=False)
        self.database = Database(store.url("ivy_app"))

    def agree(self, time_zone: str, cutoff: time | None = None) -> None:
        with self.store.superuser() as connection:
            connection.execute(
                "UPDATE merchants SET time_zone = %s, cutoff = %s", (time_zone, cutoff)
            )

    def days(self, currency: str, moments: list[datetime]) -> list[date]:
        with self.database.transaction(self.tenant) as tx:
            return [availability.expected_on(tx, currency, at) for at in moments]


@pytest.fixture
def asking(platform: Platform, store: Store) -> Iterator[Asking]:
    made = Asking(store, platform.open_account())
    yield made
    made.database.close()


@pytest.mark.parametrize("currency", sorted(RULES))
def test_ten_years_day_by_day(asking: Asking, currency: str) -> None:
    days = [FIRST + n * DAY for n in range((LAST - FIRST).days + 1)]
    found: list[date] = []
    for start in range(0, len(days), 500):
        part = days[start : start + 500]
        found += asking.days(currency, [datetime.combine(day, time(12), UTC) for day in part])
    expected = [second_banking_day(currency, day) for day in days]
    wrong = [each for each in zip(days, found, expected, strict=True) if each[1] != each[2]]
    assert wrong == []
    assert len(days) == 3652


CHANGES = {
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14)),
    "Pacific/Auckland": (date(2026, 4, 5), date(2026, 9, 27), date(2027, 4, 4)),
}
"""Sundays on which the clocks change, there and back."""


@pytest.mark.parametrize("cutoff", [None, time(2, 30), time(17)])
@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_every_quarter_of_an_hour_around_a_change_of_clocks(
    asking: Asking, zone: str, cutoff: time | None
) -> None:
    """The half hours that are missing, or there twice, belong to the day that the wall says."""
    asking.agree(zone, cutoff)
    for change in CHANGES[zone]:
        start = datetime.combine(change - 2 * DAY, time(), UTC)
        moments = [start + n * QUARTER for n in range(4 * 24 * 4)]
        expected = []
        for at in moments:
            wall = at.astimezone(ZoneInfo(zone))
            late = cutoff is not None and wall.time() >= cutoff
            expected.append(second_banking_day("USD", wall.date() + late * DAY))
        assert asking.days("USD", moments) == expected


@pytest.mark.parametrize(
    ("zone", "captured"),
    [(zone, change - 4 * DAY) for zone, changes in CHANGES.items() for change in changes]
    + [("America/New_York", date(2028, 2, 25)), ("Pacific/Auckland", date(2027, 12, 30))],
)
def test_a_day_is_settled_from_its_first_second_there(
    till: Till, zone: str, captured: date
) -> None:
    """Also on the Monday after the clocks changed, around a leap day, and over the year's end."""
    till.set(time_zone=zone)
    there = ZoneInfo(zone)
    noon = datetime.combine(captured + DAY, time(12), there).astimezone(UTC)
    till.be(noon.strftime("%Y-%m-%d %H:%M"))
    day = date.fromisoformat(till.see(till.charge())["available_on"])
    assert day == second_banking_day("USD", captured + DAY)
    midnight = datetime.combine(day, time(), there).astimezone(UTC)
    before = midnight - timedelta(seconds=1)
    assert till.close(before.strftime("%Y-%m-%d %H:%M:%S")) == []
    (batch,) = till.close(midnight.strftime("%Y-%m-%d %H:%M:%S"))
    assert batch["settled_on"] == day.isoformat()
