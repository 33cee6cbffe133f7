from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ivy import ids, pages
from ivy.database import Transaction
from ivy.models import Object, Time

START = datetime(2026, 1, 1, tzinfo=UTC)


class Thing(Object):
    id: ids.ChargeId
    created_at: Time


def thing(at: datetime) -> Thing:
    return Thing(id=ids.new(at), created_at=at)


def page(things: list[Thing], query: pages.Page) -> pages.Listing[Thing]:
    """What the SQL of every list does."""
    lowest, below = query.bounds()
    found = sorted((t for t in things if lowest <= t.id < below), key=lambda t: t.id, reverse=True)
    return pages.listing(Thing, found[: query.limit + 1], query.limit)


class Things(pages.Page):
    of = "ch"


def ask(**values: Any) -> pages.Page:
    return Things.model_validate(values)


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.lists(st.integers(0, 2), max_size=40),
    st.integers(1, 9),
)
@settings(max_examples=150, deadline=None)
def test_paging_gives_each_older_object_once_while_new_ones_arrive(
    steps_ms: list[int], inserts: list[int], limit: int
) -> None:
    at, things = START, []
    for step in steps_ms:  # several in one millisecond among them
        at += timedelta(milliseconds=step)
        things.append(thing(at))
    older = {t.id for t in things}
    at += timedelta(milliseconds=1)
    seen: list[UUID] = []
    arriving = iter(inserts)
    answer = page(things, ask(limit=limit))
    while True:
        seen += [t.id for t in answer.data]
        assert answer.has_more == (answer.next_cursor is not None)
        if answer.next_cursor is None:
            break
        things += [thing(at) for _ in range(next(arriving, 0))]
        answer = page(things, ask(limit=limit, cursor=answer.next_cursor))
    assert seen == sorted(older, reverse=True)


moments_near = st.integers(-3_000, 9_000).map(lambda us: START + timedelta(microseconds=us))


@given(
    st.lists(st.integers(0, 6), max_size=20),
    st.dictionaries(
        st.sampled_from(["created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]"]),
        moments_near,
    ),
)
@example([0, 1], {"created_at[gte]": START + timedelta(microseconds=500)})
@example([0, 1], {"created_at[lt]": START + timedelta(microseconds=500)})
@settings(max_examples=300, deadline=None)
def test_time_filters_agree_with_comparing_times(
    offsets_ms: list[int], filters: dict[str, datetime]
) -> None:
    things = [thing(START + timedelta(milliseconds=offset)) for offset in offsets_ms]
    compare = {
        "created_at[gt]": datetime.__gt__,
        "created_at[gte]": datetime.__ge__,
        "created_at[lt]": datetime.__lt__,
        "created_at[lte]": datetime.__le__,
    }
    wanted = {
        t.id for t in things if all(compare[name](t.created_at, at) for name, at in filters.items())
    }
    assert {t.id for t in page(things, ask(limit=100, **filters)).data} == wanted


@pytest.mark.parametrize("name", ["gt", "gte", "lt", "lte"])
@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1960, 5, 5, 0, 0, 0, 1, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_far_moments_are_bounds_like_any_other(name: str, moment: datetime) -> None:
    found = page([thing(START)], ask(**{f"created_at[{name}]": moment})).data
    assert bool(found) is ((moment < START) is name.startswith("g"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "ten"},
        {"cursor": "ch_019ab2c4d5e67f8091a2b3c4d5e6f708"},
        {"cursor": "cur_019ab2c4d5e67f8091a2b3c4d5e6f708"},
        {"cursor": "cur_re_019ab2c4d5e67f8091a2b3c4d5e6f708"},
        {"cursor": "cur_ch_re_019ab2c4d5e67f8091a2b3c4d5e6f708"},
        {"cursor": "cur_ch_"},
        {"created_at[gte]": "yesterday"},
        {"created_at[gte]": 1_700_000_000},
        {"created_at[gte]": "1700000000"},
        {"created_at[lt]": "9999-12-31T23:59:59-12:00"},
        {"created_at[gte]": "2026-01-01T00:00:00"},
        {"created_at": "2026-01-01T00:00:00Z"},
        {"order": "asc"},
    ],
)
def test_other_queries_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask(**wrong)


def test_the_default_is_ten_and_the_cursor_is_an_id_of_its_own() -> None:
    things = [thing(START) for _ in range(11)]
    answer = page(things, ask())
    assert len(answer.data) == 10
    assert answer.model_dump()["next_cursor"] == f"cur_ch_{answer.data[-1].id.hex}"


class Noted:
    """Stands in for a transaction and notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def rows(self, _shape: type[Any], statement: str, **values: Any) -> list[Any]:
        self.sent.append((statement, values))
        return []


@pytest.mark.parametrize(
    ("asked", "conditions"),
    [
        ({}, ""),
        ({"status": None, "currency": None}, ""),
        ({"status": "in_transit", "currency": None}, " AND status = 'in_transit'"),
        ({"currency": "USD"}, " AND currency = %(currency)s"),
        ({"a": "x' OR 'x' = 'x", "b": "x" * 31}, " AND a = %(a)s AND b = %(b)s"),
        ({"a": 1, "b": 0}, " AND a = %(a)s AND b = %(b)s"),
    ],
)
def test_the_statement_of_a_page_has_the_filters_that_are_asked(
    asked: dict[str, Any], conditions: str
) -> None:
    noted = Noted()
    select = "SELECT * FROM things WHERE"
    pages.read(cast("Transaction", noted), Thing, select, ask(limit=3), asked)
    [(statement, values)] = noted.sent
    assert statement == (
        "SELECT * FROM things WHERE id >= %(lowest)s AND id < %(below)s"
        f"{conditions} ORDER BY id DESC LIMIT 4"
    )
    given = {name: value for name, value in asked.items() if value is not None}
    assert given.items() <= values.items()
    assert set(values) - set(given) == {"lowest", "below"}
