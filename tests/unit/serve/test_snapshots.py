"""What a snapshot must not hold, and what is new in each environment that is started from it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ivy import aws, vault
from ivy.serve import snapshots

HOOKS = {snapshots.INITIALIZATION: snapshots.FROM_A_SNAPSHOT}


class Made:
    """A client or a database, with what it was told."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    monkeypatch.setattr(aws.client, "_made", {("sqs", False): made})
    return made


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    made = Made()
    secrets = {"username": "u", "password": "p", "host": "h", "port": "1", "dbname": "d"}
    monkeypatch.setattr(vault, "database", lambda: secrets)
    snapshots.database.cache_clear()
    monkeypatch.setattr(snapshots.database(), "_connection", made)
    yield made
    snapshots.database.cache_clear()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], None]]:
    """Stand for the module that only AWS has."""
    asked: dict[str, Any] = {}
    module = SimpleNamespace(
        register_before_snapshot=lambda hook: asked.update(before=hook),
        register_after_restore=lambda hook: asked.update(after=hook),
    )
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return asked


def test_both_hooks_where_a_snapshot_will_be_taken(
    runtime: dict[str, Callable[[], None]],
) -> None:
    snapshots.prepare(HOOKS)
    assert runtime == {"before": snapshots.before, "after": snapshots.after}


@pytest.mark.parametrize("environment", [{}, {snapshots.INITIALIZATION: "on-demand"}])
def test_none_where_none_is(
    runtime: dict[str, Callable[[], None]], environment: dict[str, str]
) -> None:
    snapshots.prepare(environment)
    assert runtime == {}


def test_no_connection_and_no_secret_is_in_it(
    client: Made, connected: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(vault, "forget", lambda: forgotten.append(True))
    before = snapshots.database()
    snapshots.before()
    assert (client.closed, connected.closed, forgotten) == (1, 1, [True])
    assert snapshots.database() is not before, "its password is read again"


def test_a_database_that_nobody_asked_for_is_not_made(client: Made) -> None:
    snapshots.database.cache_clear()
    snapshots.before()
    assert snapshots.database.cache_info().currsize == 0
    assert client.closed == 1


def test_two_environments_of_one_snapshot_do_not_wait_alike() -> None:
    kept = random.getstate()
    waits = []
    for _ in range(2):
        random.setstate(kept)
        snapshots.after()
        waits.append(random.random())  # noqa: S311 - a wait, no secret
    assert waits[0] != waits[1]
