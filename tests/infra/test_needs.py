"""Needs that cannot be met fail at synthesis, with the fix, not at run time."""

from __future__ import annotations

import pytest

from infra import needs
from infra.needs import NeedError, Shared, all_granted
from ivy.needs import Need

EMPTY = Shared(
    table=None,  # type: ignore[arg-type] # never asked
    acquirer_table=None,  # type: ignore[arg-type] # same
    webhook_table=None,  # type: ignore[arg-type] # same
    webhook_key=None,  # type: ignore[arg-type] # same
    queues={},
    connectors={},
    documents=None,  # type: ignore[arg-type] # same
    secrets={},
)


def test_a_queue_that_nothing_consumes() -> None:
    with pytest.raises(NeedError, match="@consumer\\('charges'\\)"):
        all_granted((Need.CHARGES_QUEUE,), EMPTY)


def test_two_roles_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def grant(need: Need, _shared: Shared) -> needs.Grant:
        return needs.Grant(environment={"IVY_DATABASE_SECRET": need})

    monkeypatch.setattr(needs, "granted", grant)
    with pytest.raises(NeedError, match="cannot be needed together"):
        all_granted((Need.DATABASE, Need.DATABASE_JOBS), EMPTY)


def test_connectors_where_there_are_none() -> None:
    with pytest.raises(NeedError, match="@connector"):
        all_granted((Need.CONNECTORS,), EMPTY)
