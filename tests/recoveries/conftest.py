"""Fixtures of the recovery suites: a merchant who owes, and books that keep every law."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ivy import proof
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.recoveries.collector import Collector
from tests.recoveries.debtor import Debtor
from tests.simulation.sandbox import Sandbox, sandbox


@pytest.fixture
def here(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with sandbox(cloud, store, monkeypatch) as made:
        yield made


@pytest.fixture
def debtor(here: Sandbox) -> Debtor:
    return Debtor(here)


@pytest.fixture
def collector(debtor: Debtor) -> Collector:
    made = Collector(debtor)
    made.agree()
    return made


@pytest.fixture(autouse=True)
def _proven(here: Sandbox) -> Iterator[None]:
    """Whatever a test did, the books keep every law.

    But for one that is right to fail: what a merchant owes us is missing from the others' money.
    """
    yield
    for law in proof.LAWS:
        found = here.connection.execute(law.query).fetchall()
        if law.name != "L11":
            assert [witness for (witness,) in found if witness] == [], law.name
    broken = invariants.broken(here.connection)
    assert {name: found for name, found in broken.items() if not name.startswith("i12")} == {}
