"""A process may die at any named point: the retry finishes the work, and nothing happens twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults import points, stories
from tests.faults.conftest import NewWorld
from tests.faults.world import World


def test_every_point_has_a_name_of_its_own() -> None:
    named = Counter(points.every())
    assert len(named) >= 20
    assert [name for name, times in named.items() if times > 1] == []


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """One world for all single deaths: what one left behind would break the next."""
    with new_world() as made:
        yield made


@pytest.mark.parametrize("point", points.anywhere_else())
def test_a_death_at_each_point(shared_world: World, point: str) -> None:
    points.die_at(shared_world, point)


BOOKS = ("charge.conclude.before_commit", "charge.process.after_connector", "notice.after_commit")


@pytest.mark.parametrize("point", BOOKS)
def test_a_death_on_the_way_of_a_bank_debit(shared_world: World, point: str) -> None:
    shared_world.deaths.clear()
    shared_world.arm(point)
    stories.bank_debits(shared_world, f"debit {point}")
    assert shared_world.deaths == {point: 1}
    assert shared_world.broken_when_drained() == {}


@pytest.mark.parametrize(
    "point",
    [
        "charge.begin.before_commit",
        "charge.process.after_connector",
        "charge.conclude.before_commit",
    ],
)
def test_a_death_between_a_hold_and_what_becomes_of_it(shared_world: World, point: str) -> None:
    """The acquirer is asked again, and has captured, released or let expire what it was told to."""
    shared_world.deaths.clear()
    shared_world.arm(point)
    stories.holds(shared_world, f"hold {point}")
    assert shared_world.deaths == {point: 1}
    assert shared_world.broken_when_drained() == {}
