"""A process may die at any named point: the retry finishes the work, and nothing happens twice.

``IVY_FAULTS=10000 pytest tests/faults/test_kills.py -k many`` runs that many random deaths, with
lost messages and lost records in between; ``IVY_SEED`` repeats a run.
"""

from __future__ import annotations

import ast
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import dying
from tests.faults.conftest import NewWorld
from tests.faults.world import CHARGE, World

ROOT = Path(__file__).parents[2]
EVERYDAY = 60
STORY = 25
"""Random deaths that share one database."""

TOKENS = ("tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_processing_error")
CURRENCIES = ("USD", "JPY", "KWD")


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


POINTS = sorted(set(_points()))


def test_every_point_has_a_name_of_its_own() -> None:
    assert len(POINTS) >= 20
    assert [name for name, times in Counter(_points()).items() if times > 1] == []


@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_each_point(world: World, point: str) -> None:
    """The whole story of a charge, in which whoever first passes the point dies there."""
    world.arm(point)

    refused = world.pay("key", CHARGE | {"amount": 1})
    first = world.pay("key")
    again = world.pay("key")
    declined = world.pay("other", CHARGE | {"payment_method": "tok_declined"})
    world.platform.make_overdue()
    world.relay()
    world.drain()

    assert world.deaths == {point: 1}
    assert (refused.status, first.status, declined.status) == (422, 201, 201)
    assert (again.body, again.status, again.replayed) == (first.body, first.status, True)
    assert world.charges() == 2
    assert world.broken_when_drained() == {}


def test_many_random_deaths(new_world: NewWorld) -> None:
    """Deaths in any order with lost messages and records in between."""
    wanted = int(os.environ.get("IVY_FAULTS", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    died: Counter[str] = Counter()
    charged = 0
    try:
        while died.total() < wanted:
            with new_world() as world:
                keys = _story(world, chance, min(STORY, wanted - died.total()))
                assert world.charges() == len(keys)
                # a message whose consumer always died is dead too; another kept its promise
                dead = world.platform.messages(dead=True)
                assert world.broken_when_drained(poison=dead) == {}
                died += world.deaths
                charged += len(keys)
    finally:
        print(f"\nIVY_SEED={seed}: {died.total()} deaths at {len(died)} points, {charged} charges")  # noqa: T201 - the record of the run


def _story(world: World, chance: random.Random, deaths: int) -> set[tuple[int, str]]:
    """Charge until so many processes have died; returns the keys that were used."""
    used: set[tuple[int, str]] = set()
    world.fate = lambda: dying.after(chance.randint(1, 10)) if chance.random() < 0.7 else None
    while world.deaths.total() < deaths:
        who = chance.choice(world.accounts)
        key = f"key-{len(used)}"
        body = {
            "amount": chance.randint(1_000, 10**9),
            "currency": chance.choice(CURRENCIES),
            "payment_method": chance.choice(TOKENS),
        }
        if chance.random() < 0.3:
            assert world.pay(key, body | {"amount": 0}, who).status == 422
        first = world.pay(key, body, who)
        used.add((who.merchant_id, key))
        if chance.random() < 0.2:
            world.platform.empty_table()
        if chance.random() < 0.2:
            world.platform.lose_messages()
        if chance.random() < 0.5:
            assert world.pay(key, body, who).body == first.body
        chance.choice((world.deliver, world.relay, world.roll_up, world.platform.make_overdue))()
        if chance.random() < 0.3:
            world.drain()
        broken = world.broken()
        assert broken == {}, f"after {world.deaths}"
    world.fate = None
    world.drain()
    return used
