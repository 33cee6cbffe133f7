"""Two at once: what is decided in the moment of a claim stays decided."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg
import pytest

from ivy import deliveries, events, ids
from ivy.database import Database
from ivy.webhook_messages import Delivery as Message
from tests.conftest import Store
from tests.webhooks.shop import Shop

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def jobs(store: Store) -> Iterator[Database]:
    database = Database(store.url("ivy_jobs"))
    yield database
    database.close()


def wait_for_lock(root: psycopg.Connection[Any]) -> None:
    """Wait until somebody waits for somebody else."""
    deadline = time.monotonic() + 5
    while (root.execute(WAITING).fetchone() or (0,))[0] == 0:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def claimed(jobs: Database) -> list[Message]:
    with jobs.transaction() as tx:
        return [message for message, _ in deliveries.claim(tx, ids.now())]


ENDINGS: dict[str, LiteralString] = {
    "arrived": "status = 'succeeded', next_attempt_at = NULL",
    "given_up": "status = 'canceled', failure_reason = 'endpoint_deleted', next_attempt_at = NULL",
    "put_off": "attempts = 1, next_attempt_at = now() + interval '2 hours'",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_while_it_is_claimed_is_not_sent_again(
    shop: Shop, store: Store, jobs: Database, ending: str
) -> None:
    """The claim has seen it as it was and waits for whoever writes what came of it."""
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    with jobs.transaction() as tx:
        deliveries.fan_out(tx, events.number(tx), ids.now())
    with ThreadPoolExecutor() as pool, store.superuser() as root, store.superuser() as other:
        with other.transaction():
            other.execute(f"UPDATE deliveries SET {ENDINGS[ending]}")
            after = other.execute("SELECT status, next_attempt_at FROM deliveries").fetchall()
            claiming = pool.submit(claimed, jobs)
            wait_for_lock(root)
        assert claiming.result() == []
        assert root.execute("SELECT status, next_attempt_at FROM deliveries").fetchall() == after
    assert len(shop.deliveries(endpoint)) == 1
