"""What cannot be done is refused with its documented code, and changes nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from local.postgres import Postgres
from tests.cloud import Cloud
from tests.conftest import copied
from tests.simulation.refusals import CASES
from tests.simulation.sandbox import Sandbox, sandbox
from tests.simulation.shop import Shop


@pytest.fixture(scope="module")
def shared(cloud: Cloud, cluster: Postgres) -> Iterator[Sandbox]:
    """One sandbox for all cases: none of them may leave anything behind."""
    with (
        pytest.MonkeyPatch.context() as patch,
        copied(cluster) as store,
        sandbox(cloud, store, patch) as made,
    ):
        yield made


def everything(here: Sandbox) -> dict[str, list[Any]]:
    """Return every row of every table, and what the acquirer has."""
    tables = here.connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
        " AND relkind IN ('r', 'p')"
    ).fetchall()
    rows: dict[str, list[Any]] = {
        name: here.connection.execute(
            f"SELECT each::text FROM {name} AS each ORDER BY 1".encode()
        ).fetchall()
        for (name,) in tables
    }
    return rows | {"acquirer": [here.payments()]}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_changes_nothing(shared: Sandbox, name: str) -> None:
    case, refusal = CASES[name]
    request = case(Shop(shared, 0), Shop(shared, 1))
    shared.messages()
    before = everything(shared)
    reply = request()
    assert (reply.status, reply.code) == refusal, reply.body
    assert everything(shared) == before
    assert shared.messages() == []
