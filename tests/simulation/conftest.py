"""Fixtures of the simulations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud
from tests.conftest import Store
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A deployment in this process, whose time and network obey."""
    with sandbox(cloud, store, monkeypatch) as made:
        yield made
