"""Fixtures of the bank suites: a deployment whose time obeys, and its exchange with the bank."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ivy import proof
from tests.bank.exchange import Exchange
from tests.cloud import Cloud
from tests.conftest import Store
from tests.settlement.till import Till
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with sandbox(cloud, store, monkeypatch) as made:
        yield made


@pytest.fixture
def exchange(here: Sandbox) -> Exchange:
    return Exchange(Till(here))


@pytest.fixture(autouse=True)
def _proven(here: Sandbox) -> Iterator[None]:
    """Whatever a test did, the books keep every law."""
    yield
    for law in proof.LAWS:
        found = here.connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name
