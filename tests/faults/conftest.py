"""Fixtures of the fault suites."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from ivy.serve import front, http
from local.postgres import Postgres
from tests.cloud import Cloud
from tests.conftest import copied
from tests.driving import Platform
from tests.faults.world import World


@pytest.fixture(autouse=True)
def _impatient_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a running request is turned away at once instead of being held for a second.

    Whoever waits for an outcome does so for an instant: nobody works on it meanwhile.
    """
    monkeypatch.setattr(front, "WAIT_SECONDS", 0)
    monkeypatch.setattr(http, "WAIT_SECONDS", 0)


NewWorld = Callable[[], AbstractContextManager[World]]


@pytest.fixture(scope="session")
def new_world(cluster: Postgres, cloud: Cloud) -> NewWorld:
    """Make platforms with two merchants whose invocations can die, one after the other."""

    @contextmanager
    def made() -> Iterator[World]:
        with copied(cluster) as store, Platform(cloud, store) as platform:
            ada, bob = platform.open_account(), platform.open_account("bob@example.com", "GB")
            yield World(platform, ada, bob)

    return made


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    """A platform of the test's own."""
    with new_world() as made:
        yield made
