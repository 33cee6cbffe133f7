"""Fixtures of the clock's suites: two merchants in a deployment whose real time obeys the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ivy import clock_run
from tests.clock.era import Era
from tests.cloud import Cloud
from tests.conftest import Store
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    for wait in ("TURN_SECONDS", "POLL_SECONDS", "ASK_SECONDS"):
        monkeypatch.setattr(clock_run, wait, 0)
    monkeypatch.setattr(clock_run, "PATIENCE_TURNS", 30)  # a turn is one look at what is due
    with sandbox(cloud, store, monkeypatch) as made:
        yield made


@pytest.fixture
def ada(here: Sandbox) -> Era:
    return Era(here)


@pytest.fixture
def bob(here: Sandbox) -> Era:
    return Era(here, 1)
