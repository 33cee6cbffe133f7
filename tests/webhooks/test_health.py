"""How an endpoint's answers change what it is sent, over any story of answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ivy import endpoint_health as health
from ivy import ids
from ivy.endpoint_health import Health
from ivy.webhook_messages import Attempted

BEGIN = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DELIVERY, ENDPOINT = ids.new(BEGIN), ids.new(BEGIN)
WARNING, DISABLED = "webhook_endpoint.warning", "webhook_endpoint.disabled"
RECOVERED = "webhook_endpoint.recovered"

Step = tuple[timedelta, bool, int | None]
"""How long after the one before, whether it arrived, and what ``Retry-After`` asked for."""

waits = st.timedeltas(timedelta(0), timedelta(hours=30))
failures: st.SearchStrategy[Step] = st.tuples(
    waits, st.just(value=False), st.none() | st.integers(0, 24 * 60 * 60)
)
steps = st.one_of(failures, failures, failures, st.tuples(waits, st.booleans(), st.none()))


def attempt(at: datetime, *, delivered: bool = False, **fields: Any) -> Attempted:
    told: dict[str, Any] = {
        "number": 1,
        "status_code": 200 if delivered else 500,
        "error": None if delivered else "bad_status",
        "milliseconds": 10,
        "response": "",
        "retry_after_seconds": None,
        "gone": False,
    }
    return Attempted(
        delivery=DELIVERY,
        endpoint=ENDPOINT,
        account="1-test",
        at=at,
        outcome="delivered" if delivered else "failed",
        **told | fields,
    )


def failing(times: int, before: Health | None = None, **fields: Any) -> Health:
    found = before or Health()
    for _ in range(times):
        found, _ = health.after(found, attempt(BEGIN, **fields), BEGIN)
    return found


def test_what_may_be_under_way_grows_by_one_and_halves() -> None:
    found = Health()
    for expected in range(health.FIRST_ALLOWANCE + 1, health.MOST_ALLOWANCE + 1):
        found, _ = health.after(found, attempt(BEGIN, delivered=True), BEGIN)
        assert found.allowance == expected
    found, _ = health.after(found, attempt(BEGIN, delivered=True), BEGIN)
    assert found.allowance == health.MOST_ALLOWANCE
    halved = []
    for _ in range(9):
        found = failing(1, found)
        halved.append(found.allowance)
    assert halved == [25, 12, 6, 3, 1, 1, 1, 1, 1]


def test_a_slow_answer_is_no_reason_to_send_more() -> None:
    for milliseconds, grown in ((4_999, 1), (5_000, 0), (14_000, 0)):
        slow = attempt(BEGIN, delivered=True, milliseconds=milliseconds)
        assert health.after(Health(), slow, BEGIN)[0].allowance == health.FIRST_ALLOWANCE + grown


def test_the_fifth_failure_in_a_row_brings_a_rest_which_doubles_to_its_cap() -> None:
    found, rests = Health(), []
    for _ in range(12):
        found = failing(1, found)
        rests.append((found.resting_until or BEGIN) - BEGIN)
    assert [each.total_seconds() for each in rests] == [
        *(0, 0, 0, 0, 30, 60, 120, 240, 480, 600, 600, 600),
    ]
    assert failing(500).resting_until == BEGIN + health.LONGEST_REST


@given(st.integers(0, 40), st.integers(0, 24 * 60 * 60), st.integers(0, 40))
def test_a_rest_that_was_asked_for_is_never_shortened(before: int, asked: int, after: int) -> None:
    rested = failing(1, failing(before), retry_after_seconds=asked)
    until = BEGIN + timedelta(seconds=asked)
    assert rested.resting_until is None or rested.resting_until >= until
    assert (rested.resting_until is None) == (not asked and before + 1 < health.REST_AFTER)
    again = failing(after, rested).resting_until
    assert again is None or again >= (rested.resting_until or BEGIN)


def test_410_disables_at_once_and_spoils_no_record() -> None:
    for before in (Health(), failing(7)):
        gone = attempt(BEGIN, status_code=410, gone=True)
        assert health.after(before, gone, BEGIN) == (before, DISABLED)


def at_percent(percent: float) -> datetime:
    return BEGIN + health.DISABLE_AFTER * percent / 100


def test_each_warning_comes_at_its_moment_and_once() -> None:
    found = failing(1)
    heard = []
    for percent in (49.9, 50, 50.1, 69.9, 70, 70.1, 89.9, 90, 90.1, 99.9, 100, 100.1):
        at = at_percent(percent)
        found, event = health.after(found, attempt(at), at)
        if event:
            heard.append((percent, event, found.warned_percent))
    assert heard == [
        (50, WARNING, 50),
        (70, WARNING, 70),
        (90, WARNING, 90),
        (100, DISABLED, 90),
        (100.1, DISABLED, 90),  # it would be, were it sent anything
    ]


def test_nobody_is_disabled_without_half_a_day_to_act() -> None:
    """Not even one that nothing was sent to for a week."""
    found, event = health.after(failing(1), attempt(at_percent(140)), at_percent(140))
    assert (event, found.warned_percent) == (WARNING, 90)
    for hours, expected in ((1, None), (11.99, None), (12, DISABLED)):
        at = at_percent(140) + timedelta(hours=hours)
        assert health.after(found, attempt(at), at)[1] == expected


def test_a_success_clears_everything_and_says_so_only_after_a_warning() -> None:
    unwell = failing(9)
    found, event = health.after(unwell, attempt(BEGIN, delivered=True), BEGIN)
    assert (found, event) == (Health(allowance=2), None)
    warned = replace(unwell, warned_percent=50, warned_at=BEGIN)
    found, event = health.after(warned, attempt(BEGIN, delivered=True), BEGIN)
    assert (found, event) == (Health(allowance=2), RECOVERED)


@given(st.lists(steps, max_size=60))
def test_what_a_merchant_hears_makes_sense_in_any_story(story: list[Step]) -> None:
    found, at = Health(), BEGIN
    warned: list[tuple[datetime, int]] = []
    since: datetime | None = None
    for wait, delivered, asked in story:
        at += wait
        told = attempt(at, delivered=delivered, retry_after_seconds=asked)
        found, event = health.after(found, told, at)
        assert 1 <= found.allowance <= health.MOST_ALLOWANCE
        if delivered:
            assert event == (RECOVERED if warned else None)
            assert found == Health(allowance=found.allowance)
            warned, since = [], None
            continue
        since = since or at
        assert (found.failing_since, found.failures > 0) == (since, True)
        if event == WARNING:
            assert (at - since) / health.DISABLE_AFTER * 100 >= found.warned_percent
            assert found.warned_percent > (warned[-1][1] if warned else 0)
            warned.append((at, found.warned_percent))
        if event == DISABLED:
            assert at - since >= health.DISABLE_AFTER
            assert warned[-1][1] == 90
            assert at - warned[-1][0] >= health.LAST_WARNING_AHEAD
            return  # nothing is sent any more
