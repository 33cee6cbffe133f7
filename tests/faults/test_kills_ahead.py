"""Whoever moves a merchant's test clock may die at any named point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import points
from tests.faults.conftest import NewWorld
from tests.faults.world import World


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """One world for all of them: what one death left behind would break the next."""
    with new_world() as made:
        yield made


@pytest.mark.parametrize("point", points.of(*points.AHEAD))
def test_a_death_at_each_point(shared_world: World, point: str) -> None:
    points.die_at(shared_world, point)
