"""Deaths in any order, in lives of any kind, with lost messages and records in between.

``IVY_FAULTS=10000 pytest tests/faults/test_random_deaths.py`` lets that many processes die;
``IVY_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from tests.faults import dying
from tests.faults.conftest import NewWorld
from tests.faults.random_life import RandomLife

EVERYDAY = 60
STORY = 60
"""Random deaths that share one database."""


def test_many_random_deaths(new_world: NewWorld) -> None:
    wanted = int(os.environ.get("IVY_FAULTS", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    died: Counter[str] = Counter()
    charged = 0
    try:
        while died.total() < wanted:
            with new_world() as world:
                life = RandomLife(world, chance)
                _live(life, min(STORY, wanted - died.total()))
                assert world.charges() == len(life.charges)
                # a message whose consumer always died is dead too; another kept its promise
                assert world.broken_when_drained(poison=world.dead()) == {}
                died += world.deaths
                charged += len(life.charges)
    finally:
        print(f"\nIVY_SEED={seed}: {died.total()} deaths at {len(died)} points, {charged} charges")  # noqa: T201 - the record of the run


def _live(life: RandomLife, deaths: int) -> None:
    """Live until so many processes have died, and to the end."""
    world, chance = life.world, life.chance
    world.fate = lambda: dying.after(chance.randint(1, 10)) if chance.random() < 0.6 else None
    while world.deaths.total() < deaths:
        life.step()
        broken = world.broken()
        assert broken == {}, f"after {world.deaths}"
    life.end()
