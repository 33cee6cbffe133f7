"""Two at once: what is decided in the moment of a claim or a fan-out stays decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from functions.webhooks import delete
from ivy import deliveries, dispatch, event_order, ids, webhooks
from ivy.callers import Caller
from ivy.database import Database, Tenant
from ivy.webhook_messages import Delivery as Message
from tests.conftest import Store
from tests.webhooks.shop import Shop

WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest.fixture
def jobs(store: Store) -> Iterator[Database]:
    database = Database(store.url("ivy_jobs"))
    yield database
    database.close()


def wait_for_lock(root: psycopg.Connection[Any], waiting: Future[Any]) -> None:
    """Wait until whoever is at work waits for somebody else; it must not be done before."""
    deadline = time.monotonic() + 30
    while (root.execute(WAITING).fetchone() or (0,))[0] == 0:
        assert not waiting.done(), f"it did not wait: {waiting.result()}"
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def claimed(jobs: Database) -> list[Message]:
    with jobs.transaction() as tx:
        return [message for message, _ in dispatch.claim(tx, ids.now())]


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
        dispatch.fan_out(tx, event_order.number(tx), ids.now())
    with ThreadPoolExecutor() as pool, store.superuser() as root, store.superuser() as other:
        with other.transaction():
            other.execute(f"UPDATE deliveries SET {ENDINGS[ending]}")
            after = other.execute("SELECT status, next_attempt_at FROM deliveries").fetchall()
            claiming = pool.submit(claimed, jobs)
            wait_for_lock(root, claiming)
        assert claiming.result() == []
        assert root.execute("SELECT status, next_attempt_at FROM deliveries").fetchall() == after
    assert len(shop.deliveries(endpoint)) == 1


def test_an_endpoint_deleted_while_events_are_fanned_out_gets_none(
    shop: Shop, store: Store, jobs: Database
) -> None:
    """Whoever deletes waits for the deliveries that are just being begun, and cancels them."""
    endpoint = shop.endpoint()
    shop.pay()
    loop = asyncio.new_event_loop()  # which only the main thread has from the beginning
    with (
        closing(loop),
        ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(loop,)) as pool,
        store.superuser() as root,
    ):
        with jobs.transaction() as tx:
            dispatch.fan_out(tx, event_order.number(tx), ids.now())
            begun: int = tx.value("SELECT count(*) FROM deliveries")
            deleting = pool.submit(shop.ask, delete.handler, id=endpoint)
            wait_for_lock(root, deleting)
        assert deleting.result().status == 200
        found = root.execute("SELECT endpoint_id, status FROM deliveries").fetchall()
    assert begun == 2
    assert found == [(UUID(endpoint.partition("_")[2]), "canceled")] * begun


def test_events_fanned_out_while_an_endpoint_is_deleted_do_not_reach_it(
    shop: Shop, store: Store, jobs: Database
) -> None:
    """Whoever fans out waits for who is deleting, and then finds one endpoint less."""
    endpoint = shop.endpoint()
    shop.pay()
    app = Database(store.url("ivy_app"))
    tenant = Tenant(shop.account.merchant_id, livemode=False)
    key = UUID(shop.account.key_id.partition("_")[2])
    caller = Caller(tenant, key, frozenset(), credential=key)

    def fan_out() -> None:
        with jobs.transaction() as tx:
            dispatch.fan_out(tx, event_order.number(tx), ids.now())

    with ThreadPoolExecutor() as pool, store.superuser() as root:
        with app.transaction(tenant) as tx:
            deleted = webhooks.delete(tx, caller, UUID(endpoint.partition("_")[2]))
            deliveries.give_up(tx, deleted.id, "endpoint_deleted")
            tx.value("SELECT 1")
            fanning = pool.submit(fan_out)
            wait_for_lock(root, fanning)
        fanning.result()
        assert root.execute("SELECT status FROM deliveries").fetchall() == []
    app.close()
