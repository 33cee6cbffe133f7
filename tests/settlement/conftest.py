"""Fixtures of the settlement suites: a deployment whose time obeys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud
from tests.conftest import Store
from tests.settlement.till import Till
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with sandbox(cloud, store, monkeypatch) as made:
        yield made


@pytest.fixture
def till(here: Sandbox) -> Till:
    return Till(here)
