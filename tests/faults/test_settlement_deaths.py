"""Settlement dies anywhere, as often as it likes: the next run finishes it, and nothing is twice.

``IVY_KILLS=500 pytest tests/faults/test_settlement_deaths.py`` kills that many; ``IVY_SEED``
repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter

from functions.charges import create as create_charge
from functions.charges import process
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund
from ivy import ids, proof
from tests.faults import dying
from tests.faults.conftest import NewWorld
from tests.faults.world import CHARGE, World

EVERYDAY = 40
STORY = 50
"""Deaths that share one database."""

MOST_POINTS = 6
"""More than any invocation of settlement passes: then it lives."""


def test_whoever_dies_the_next_run_finishes(new_world: NewWorld) -> None:
    wanted = int(os.environ.get("IVY_KILLS", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    died: Counter[str] = Counter()
    batches = 0
    try:
        while died.total() < wanted:
            with new_world() as world:
                world.agree(reserve_basis_points=700, reserve_days=2)
                while world.deaths.total() < min(STORY, wanted - died.total()):
                    _sell(world, chance)
                    _settle_and_die(world, chance)
                world.platform.pass_time(days=10)
                world.drain()
                world.settle()
                assert _undone(world) == (0, 0)
                assert world.broken_when_drained(poison=world.dead()) == {}
                assert _broken_laws(world) == {}
                died += world.deaths
                batches += _count(world, "settlements")
    finally:
        print(f"\nIVY_SEED={seed}: {died.total()} deaths {dict(died)}, {batches} batches")  # noqa: T201 - the record of the run


def _sell(world: World, chance: random.Random) -> None:
    """Some charges of both merchants, some of them refunded in part, before days go by."""
    for _ in range(chance.randint(1, 3)):
        who = chance.choice(world.accounts)
        body = CHARGE | {"currency": chance.choice(("USD", "JPY"))}
        charge = world.platform.post(create_charge.handler, who, body).json()["id"]
        world.platform.drain(process.handler)
        if chance.random() < 0.3:
            part = {"charge": charge, "amount": chance.randint(1, 9_000)}
            world.platform.post(create_refund.handler, who, part)
            if chance.random() < 0.7:
                world.platform.drain(process_refund.handler)
        world.platform.pass_time(hours=chance.choice((0, 5, 24)))


def _settle_and_die(world: World, chance: random.Random) -> None:
    """Settle on some later day; invocations die, and then one run that may not."""
    world.platform.pass_time(days=chance.randint(1, 4))
    world.fate = lambda: dying.after(chance.randint(1, MOST_POINTS))
    world.settle()
    world.fate = None
    world.settle()
    assert _undone(world) == (0, 0), f"after {world.deaths}"
    assert world.broken() == {}, f"after {world.deaths}"


def _undone(world: World) -> tuple[int, int]:
    """Return how many charges and reserves are left whose day has come."""
    with world.platform.store.superuser() as connection:
        row = connection.execute(_UNDONE, {"at": ids.now()}).fetchone()
    assert row is not None
    return row[0], row[1]


_UNDONE = """
    SELECT (SELECT count(*) FROM charges JOIN merchants ON merchants.id = merchant_id
            JOIN settled_through USING (merchant_id, livemode, currency)
            WHERE available_on > settled_on
              AND available_on <= (%(at)s AT TIME ZONE time_zone)::date),
           (SELECT count(*) FROM reserves JOIN merchants ON merchants.id = merchant_id
            WHERE reserves.status = 'held'
              AND release_on <= (%(at)s AT TIME ZONE time_zone)::date)
"""


def _broken_laws(world: World) -> dict[str, list[str]]:
    with world.platform.store.superuser() as connection:
        found = {
            law.name: [witness for (witness,) in connection.execute(law.query.encode()) if witness]
            for law in proof.LAWS
        }
    return {name: witnesses for name, witnesses in found.items() if witnesses}


def _count(world: World, table: str) -> int:
    with world.platform.store.superuser() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])
