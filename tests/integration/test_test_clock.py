"""What a clock costs: nothing in live mode, and no round trip in test mode."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ivy import ids
from ivy.database import Database, Tenant
from tests.conftest import Store
from tests.driving import Account

DAY = timedelta(days=1)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that a connection is asked for."""
    found: list[str] = []
    execute = psycopg.Connection.execute

    def spied(self: psycopg.Connection[Any], query: Any, *rest: Any, **more: Any) -> Any:
        found.append(str(query))
        return execute(self, query, *rest, **more)

    monkeypatch.setattr(psycopg.Connection, "execute", spied)
    return found


def ahead(store: Store, account: Account, ahead: timedelta) -> None:
    with store.superuser() as root:
        root.execute(
            "INSERT INTO test_clocks (merchant_id, id, created_at, ahead, status)"
            " VALUES (%s, gen_random_uuid(), now(), %s, 'ready')"
            " ON CONFLICT (merchant_id, livemode) DO UPDATE SET ahead = excluded.ahead",
            (account.merchant_id, ahead),
        )


def test_live_mode_asks_for_no_clock(shared_store: Store, ada: Account, sent: list[str]) -> None:
    ahead(shared_store, ada, DAY)
    database = Database(shared_store.url("ivy_app"))
    sent.clear()
    with database.transaction(Tenant(ada.merchant_id, livemode=True)) as tx:
        before = ids.now()
        assert before <= tx.now() <= ids.now()
        assert tx.ahead() == timedelta()
    database.close()
    assert len([each for each in sent if "set_config" in each]) == len(sent) == 1


def test_test_mode_asks_once_for_each_tenant_that_is_chosen(
    shared_store: Store, ada: Account, bob: Account, sent: list[str]
) -> None:
    ahead(shared_store, ada, 2 * DAY)
    database = Database(shared_store.url("ivy_app"))
    sent.clear()
    with database.transaction(Tenant(ada.merchant_id, livemode=False)) as tx:
        for _ in range(3):
            assert abs(tx.now() - ids.now() - 2 * DAY) < timedelta(seconds=1)
        assert len(sent) == 2
        tx.choose(Tenant(bob.merchant_id, livemode=False))
        assert tx.ahead() == timedelta()
    with database.transaction() as tx:
        assert abs(tx.now() - ids.now()) < timedelta(seconds=1)
    database.close()


def test_time_does_not_go_back(shared_store: Store, ada: Account) -> None:
    ahead(shared_store, ada, 3 * DAY)
    with pytest.raises(psycopg.errors.CheckViolation, match="time does not go back"):
        ahead(shared_store, ada, 2 * DAY)
    with pytest.raises(psycopg.errors.CheckViolation, match="ahead_within_limits"):
        ahead(shared_store, ada, 2_000 * DAY)
