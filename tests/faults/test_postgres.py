"""Postgres may lose a connection, a process or its power at any moment: nothing is lost or doubled.

These tests have a durable cluster of their own. ``IVY_FAULTS=10000`` cuts the power 100 times.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from ivy import faults
from local.postgres import Postgres
from tests.cloud import Cloud
from tests.conftest import copied, migrated
from tests.driving import Platform
from tests.faults import dying, stories
from tests.faults.wire import Cut, Wire
from tests.faults.world import CHARGE, World

LONG = int(os.environ.get("IVY_FAULTS", "0"))
POWER_CUTS = max(2, LONG // 100)
CLIENTS = 6

POINTS = (
    "idempotency.before_claim",
    "once.before_commit",
    "once.after_commit",
    "charge.begin.before_commit",
    "charge.conclude.before_commit",
    "charge.capture.before_commit",
    "refund.conclude.before_commit",
    "dispute.opened.before_commit",
    "outbox.relay.before_commit",
    "ledger.roll_up.before_commit",
)
FEW_POINTS = ("once.before_commit", "charge.conclude.before_commit")
"""Where Postgres itself is killed in the everyday run; each takes it a second to recover."""


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with migrated(tmp_path_factory.mktemp("durable") / "data", durable=True) as server:
        yield server


@pytest.fixture
def world(cloud: Cloud, durable: Postgres) -> Iterator[World]:
    with copied(durable) as store, Platform(cloud, store) as platform:
        yield World(platform, platform.open_account())


def _end_connections(world: World, _: Postgres) -> None:
    """End every connection of the functions, as an administrator or a failover would."""
    with world.platform.store.superuser() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename LIKE 'ivy%'"
        )


def _kill_a_backend(world: World, _: Postgres) -> None:
    """End one server process with -9, at which Postgres restarts all of them."""
    with contextlib.suppress(psycopg.OperationalError), world.platform.store.superuser() as admin:
        found = admin.execute("SELECT pid FROM pg_stat_activity WHERE usename LIKE 'ivy%'")
        for (pid,) in found.fetchall()[:1]:
            os.kill(pid, signal.SIGKILL)
        while True:  # until the server has noticed and ends this connection too
            admin.execute("SELECT pg_sleep(0.01)")
    _wait_until_it_answers(world)


def _wait_until_it_answers(world: World) -> None:
    while True:
        with contextlib.suppress(psycopg.OperationalError), world.platform.store.superuser():
            return


def _cut_the_power(_: World, durable: Postgres) -> None:
    durable.kill()
    durable.start()


STRIKES: dict[str, Callable[[World, Postgres], None]] = {
    "connections ended": _end_connections,
    "backend killed": _kill_a_backend,
    "power cut": _cut_the_power,
}


@contextlib.contextmanager
def _once_at(point: str, strike: Callable[[], None]) -> Iterator[list[str]]:
    """Strike when this process first passes a point."""
    struck: list[str] = []

    def react(name: str) -> None:
        if name == point and not struck:
            struck.append(name)
            strike()

    faults.arm(react)
    try:
        yield struck
    finally:
        faults.arm(None)


@pytest.mark.parametrize(
    ("how", "point"),
    [
        (how, point)
        for how in STRIKES
        for point in (POINTS if LONG or how == "connections ended" else FEW_POINTS)
    ],
)
def test_the_server_goes_away_at_a_point(
    world: World, durable: Postgres, how: str, point: str
) -> None:
    with _once_at(point, lambda: STRIKES[how](world, durable)) as struck:
        stories.passing(point)(world, "key")
    assert struck == [point]
    assert world.broken_when_drained() == {}


@pytest.fixture
def wire(world: World, durable: Postgres) -> Iterator[Wire]:
    """A wire that the functions' connections go through."""
    wire = Wire(durable.port)
    for role in ("ivy_app", "ivy_jobs"):
        url = world.platform.store.url(role)
        world.platform.connect_role(role, url.replace(f":{durable.port}/", f":{wire.port}/"))
    yield wire
    world.platform.forget()
    wire.close()


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize(
    ("whose", "just_before"),
    [
        ("the request's", "once.before_commit"),
        ("the attempt's", "charge.begin.before_commit"),
        ("the outcome's", "charge.conclude.before_commit"),
        ("the refund's", "refund.conclude.before_commit"),
        ("the relay's", "outbox.relay.before_commit"),
        ("the roll-up's", "ledger.roll_up.before_commit"),
    ],
)
def test_a_commit_is_lost_on_the_wire(
    world: World, wire: Wire, whose: str, just_before: str, cut: Cut
) -> None:
    """Nobody can know whether it was committed; whoever asks again finds out."""
    with _once_at(just_before, lambda: setattr(wire, "cut", cut)) as struck:
        stories.passing(just_before)(world, "key")
    assert (struck, wire.cut) == ([just_before], None), whose
    assert world.broken_when_drained() == {}


def test_what_was_acknowledged_survives_power_cuts(world: World, durable: Postgres) -> None:
    """Clients charge at once, and the power goes while some have their answer and some have not."""
    ada = world.accounts[0]
    for cut in range(POWER_CUTS):
        keys = [f"{cut} {client}" for client in range(CLIENTS)]
        clients = {key: dying.start(world.request(key, CHARGE, ada)) for key in keys}
        first, *rest = clients
        world.note(ada, first, clients[first].wait().result)
        _cut_the_power(world, durable)
        for key in rest:
            world.note(ada, key, clients[key].wait().result)
        assert world.broken() == {}
        for key in keys:
            world.pay(key)
    world.drain()
    assert world.charges() == POWER_CUTS * CLIENTS
    assert world.broken_when_drained() == {}
    print(f"\n{POWER_CUTS} power cuts, {len(world.acknowledged)} answers kept")  # noqa: T201 - the record of the run
