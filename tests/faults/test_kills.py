"""A process may die at any named point: the retry finishes the work, and nothing happens twice."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import stories
from tests.faults.conftest import NewWorld
from tests.faults.world import World

ROOT = Path(__file__).parents[2]


def _points() -> Iterator[str]:
    for part in ("layers/ivy", "functions"):
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name("faults"), attr="point"),
                        args=[ast.Constant(str(name))],
                    ):
                        yield name


AT_THE_BANK = ("bank.", "payouts.submit.", "payout.process.")
"""Passed with files of a bank in hand: ``tests/bank/test_deaths.py`` dies there."""

POINTS = sorted(name for name in set(_points()) if not name.startswith(AT_THE_BANK))


def test_every_point_has_a_name_of_its_own() -> None:
    assert len(POINTS) >= 20
    assert [name for name, times in Counter(_points()).items() if times > 1] == []


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """One world for all single deaths: what one left behind would break the next."""
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def later_world(new_world: NewWorld) -> Iterator[World]:
    """Another, in which months go by: the database's own clock stays behind, and with it retries
    of webhooks, which no other story should wait for."""
    with new_world() as made:
        yield made


@pytest.fixture(scope="module")
def ahead_world(new_world: NewWorld) -> Iterator[World]:
    """A third, in which one merchant's test clock is weeks ahead of everything else."""
    with new_world() as made:
        yield made


SETTLING = [point for point in POINTS if point.startswith(("settlements", "queues", "payout"))]
CLOCK = [point for point in POINTS if point.startswith("clock")]


@pytest.mark.parametrize("point", [point for point in POINTS if point not in (*SETTLING, *CLOCK)])
def test_a_death_at_each_point(shared_world: World, point: str) -> None:
    _die_at(shared_world, point)


@pytest.mark.parametrize("point", SETTLING)
def test_a_death_at_each_point_of_settlement(later_world: World, point: str) -> None:
    _die_at(later_world, point)


@pytest.mark.parametrize("point", CLOCK)
def test_a_death_at_each_point_of_a_clock(ahead_world: World, point: str) -> None:
    _die_at(ahead_world, point)


def _die_at(world: World, point: str) -> None:
    """Tell a whole story, in which whoever first passes the point dies there."""
    world.deaths.clear()
    world.arm(point)
    stories.passing(point)(world, point)
    assert world.deaths == {point: 1}
    assert world.broken_when_drained() == {}


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
