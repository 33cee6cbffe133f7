"""A network that loses, repeats, reorders and delays everything: no event is lost, none misplaced.

``IVY_DELIVERIES=100000 pytest tests/webhooks/test_disorder.py`` hands that many messages over
instead of two thousand; ``IVY_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from ivy import delivery_outcomes, dispatch, events, ids, publishing
from ivy.database import Database, Tenant
from ivy.webhook_messages import Attempted, Delivery
from tests.conftest import Store
from tests.webhooks.test_streams import change

EVERYDAY = 2_000
STORY = 400
"""Events of one story; then the books are looked at and the next begins."""

ENDPOINTS = ("any order", "any order", "in order")
TENANTS = (Tenant(5001, livemode=False), Tenant(5002, livemode=True))
LOST, KEPT_AND_FAILED, FAILED = 0.05, 0.1, 0.15
COPIES = (1, 1, 1, 1, 2, 2, 3, 5)
MOST_ROUNDS = 5_000

Thing = TypeVar("Thing")


@dataclass
class Network:
    """Where messages and results are on their way, and what has arrived."""

    chance: random.Random
    now: datetime
    handed_over: int = 0
    messages: list[Delivery] = field(default_factory=list)
    results: list[Attempted] = field(default_factory=list)
    arrived: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)

    def send(self, claimed: list[dispatch.Waiting]) -> int:
        """Take messages as the queue does, and be careless with them."""
        for message, _ in claimed:
            self.messages += self._copies(message)
        return len(claimed)

    def _copies(self, thing: Thing) -> list[Thing]:
        return [] if self.chance.random() < LOST else [thing] * self.chance.choice(COPIES)

    def some(self, waiting: list[Thing]) -> list[Thing]:
        """Take some of what is on its way, in any order; the rest is delayed."""
        self.chance.shuffle(waiting)
        cut = self.chance.randint(0, len(waiting))
        taken, waiting[:] = waiting[:cut], waiting[cut:]
        self.handed_over += len(taken)
        return taken

    def deliver(self, message: Delivery) -> None:
        """Let an endpoint receive a message; it may answer badly, also after it has kept it."""
        luck = self.chance.random()
        if luck >= FAILED:
            sequence = events.Notification[dict[str, object]].model_validate_json(message.body)
            key = (message.account, message.endpoint.hex)
            self.arrived.setdefault(key, []).append((sequence.sequence, message.event))
        failed = luck < FAILED + KEPT_AND_FAILED
        self.results += self._copies(
            Attempted(
                delivery=message.id,
                account=message.account,
                endpoint=message.endpoint,
                number=message.number,
                at=self.now,
                outcome="failed" if failed else "delivered",
                status_code=500 if failed else 200,
                error="bad_status" if failed else None,
                milliseconds=self.chance.randint(1, 9_000),
                response="",
                retry_after_seconds=None,
                gone=False,
            )
        )


@pytest.fixture
def databases(store: Store) -> Iterator[tuple[Database, Database]]:
    app, jobs = Database(store.url("ivy_app")), Database(store.url("ivy_jobs"))
    yield app, jobs
    app.close()
    jobs.close()


def test_nothing_is_lost_and_nothing_misplaced(
    store: Store, databases: tuple[Database, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = int(os.environ.get("IVY_DELIVERIES", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    network = Network(random.Random(seed), ids.now())  # noqa: S311 - repeatable on purpose
    monkeypatch.setattr(ids, "now", lambda: network.now)
    monkeypatch.setattr(dispatch, "send", network.send)
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(delivery_outcomes.random, "uniform", network.chance.uniform)
    with store.superuser() as root:
        for tenant in TENANTS:
            for order in ENDPOINTS:
                root.execute(
                    "INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at, url,"
                    " events, api_version, ordered) VALUES (%s, %s, uuidv7(), now(),"
                    " 'https://example.com/', '{*}', '2026-12-01', %s)",
                    (tenant.merchant_id, tenant.livemode, order == "in order"),
                )
    try:
        recorded: Counter[Tenant] = Counter()
        while network.handed_over < wanted:
            tell(network, databases, store, recorded)
            verify(network, store, recorded)
    finally:
        print(f"\nIVY_SEED={seed}: {network.handed_over} messages handed over")  # noqa: T201 - the record of the run


def tell(
    network: Network,
    databases: tuple[Database, Database],
    store: Store,
    recorded: Counter[Tenant],
) -> None:
    """Record events while others are on their way, until everything has arrived."""
    app, jobs = databases
    left = STORY
    for _ in range(MOST_ROUNDS):
        for _ in range(min(left, network.chance.randint(0, 20))):
            tenant = network.chance.choice(TENANTS)
            with app.transaction(tenant) as tx:
                change(tx, tenant, ids.new(ids.now()), 1)
            recorded[tenant] += 1
            left -= 1
        publishing.publish(jobs)
        for message in network.some(network.messages):
            network.deliver(message)
        for attempted in network.some(network.results):
            tenant = next(t for t in TENANTS if attempted.account.startswith(str(t.merchant_id)))
            with app.transaction(tenant) as tx:
                delivery_outcomes.record(tx, tenant, attempted)
        if not left and not still_open(store):
            return
        network.now += timedelta(seconds=network.chance.choice((1, 5, 30, 300, 3_600)))
    raise AssertionError("it never ended")


def still_open(store: Store) -> bool:
    with store.superuser() as root:
        found = root.execute("SELECT FROM deliveries WHERE next_attempt_at IS NOT NULL LIMIT 1")
        return bool(found.rowcount)


def verify(network: Network, store: Store, recorded: Counter[Tenant]) -> None:
    """Every endpoint has every event; those that want order got it; nothing was given up."""
    with store.superuser() as root:
        ended = root.execute("SELECT DISTINCT status FROM deliveries").fetchall()
        in_order = {
            row[0].hex
            for row in root.execute("SELECT id FROM webhook_endpoints WHERE ordered").fetchall()
        }
    assert ended == [("succeeded",)]
    assert len(network.arrived) == len(TENANTS) * len(ENDPOINTS)
    for (account, endpoint), told in network.arrived.items():
        tenant = next(each for each in TENANTS if account.startswith(str(each.merchant_id)))
        first_seen = list(dict.fromkeys(told))
        assert {sequence for sequence, _ in first_seen} == set(range(1, recorded[tenant] + 1))
        assert len(first_seen) == recorded[tenant]  # a number names one event, for ever
        if endpoint in in_order:
            assert first_seen == sorted(first_seen)
