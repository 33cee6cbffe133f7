"""Fixtures of the fault suites."""

from __future__ import annotations

import pytest

from ivy.serve import front
from tests.driving import Platform
from tests.faults.world import World


@pytest.fixture(autouse=True)
def _impatient_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a running request is turned away at once instead of being held for a second."""
    monkeypatch.setattr(front, "WAIT_SECONDS", 0)


@pytest.fixture
def world(platform: Platform) -> World:
    """A platform with two merchants whose invocations can die."""
    return World(platform, platform.open_account(), platform.open_account("bob@example.com", "GB"))
