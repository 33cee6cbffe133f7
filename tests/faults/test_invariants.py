"""Each invariant catches its own kind of corruption, and only that one does.

A corruption is planted past every grant, trigger and constraint in a small honest database, in a
transaction that is rolled back afterwards.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from functions.charges import cancel, capture
from functions.charges import create as create_charge
from functions.disputes import accept, evidence
from functions.disputes import list as list_disputes
from functions.ledger import roll_up
from functions.outbox import relay
from functions.refunds import create as create_refund
from ivy.serve.declaration import Route
from local.postgres import Postgres
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import copied
from tests.driving import Account, Platform
from tests.faults.corruptions import CORRUPTIONS
from tests.invariants import Acknowledged
from tests.webhook_target import WebhookTarget
from tests.webhooks.shop import Shop

Planted = tuple["psycopg.Connection[Any]", list[Acknowledged]]


class _Author:
    """Writes a small honest database through the handlers, and remembers what it was told."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.told: list[Acknowledged] = []
        self._numbers = itertools.count()

    def post(self, route: Route, who: Account, **body: Any) -> dict[str, Any]:
        key = f"key-{next(self._numbers)}"
        subject = {"id": body.pop("id")} if "id" in body else {}
        reply = self.platform.post(route, who, body, key=key, **subject)
        assert reply.status == route.status, reply.body
        if body.get("description") != "nobody was told":
            self.told.append(Acknowledged(who.merchant_id, key, reply.status, reply.body))
        answer: dict[str, Any] = reply.json()
        return answer

    def charge(self, who: Account, payment_method: str = "tok_visa", **more: Any) -> str:
        body = {"amount": 5_000, "currency": "USD", "payment_method": payment_method} | more
        made = self.post(create_charge.handler, who, **body)
        self.platform.drain()
        return str(made["id"])

    def life(self, who: Account) -> None:
        """Everything that can become of a charge."""
        self.charge(who, "tok_declined")
        self.charge(who, description="nobody was told")
        self.post(capture.handler, who, id=self.charge(who, capture=False), amount=3_000)
        self.post(cancel.handler, who, id=self.charge(who, capture=False, amount=7_000))
        self.charge(who, capture=False)
        self.platform.drain()
        for amount in (2_000, 3_000):
            self.post(create_refund.handler, who, charge=self.charge(who), amount=amount)
        self.post(create_refund.handler, who, charge=self.charge(who, "tok_refund_fails"))
        for _ in range(3):
            self.charge(who, "tok_dispute")
        self.platform.hear()
        first, second, _ = self.platform.read(list_disputes.handler, who)["data"]
        won = {"text": "winning_evidence", "submit": True}
        self.post(evidence.handler, who, id=first["id"], **won)
        self.post(accept.handler, who, id=second["id"])
        self.charge(who, "tok_ach_r01")
        self.platform.drain()

    def later(self) -> None:
        """What time brings: decisions, bank debits and their returns."""
        self.platform.pass_time(days=6)
        self.platform.make_overdue()
        self.platform.run(relay.handler)
        self.platform.drain()
        with self.platform.store.superuser() as connection:
            connection.execute("UPDATE merchants SET reserve_basis_points = 500, reserve_days = 1")
        self.platform.settle()
        self.platform.pass_time(days=6)
        self.platform.settle()
        self.platform.hear()


@pytest.fixture(scope="module")
def honest(cluster: Postgres, cloud: Cloud) -> Iterator[Planted]:
    """Two merchants whose charges went every way, rolled up half-way; the last is under way."""
    with (
        copied(cluster) as store,
        Platform(cloud, store) as platform,
        WebhookTarget() as target,
    ):
        author = _Author(platform)
        *accounts, cy = [
            platform.open_account(f"{who}@example.com") for who in ("ada", "bob", "cy")
        ]
        for account in accounts:
            Shop(platform, account, target).endpoint("ok")
            author.life(account)
        platform.run(roll_up.handler)
        author.later()
        author.post(create_refund.handler, cy, charge=author.charge(cy))  # but our fee stays
        platform.drain()
        platform.publish()
        for account in accounts:
            body = {"amount": 5_000, "currency": "USD", "payment_method": "tok_visa"}
            author.post(create_charge.handler, account, **body)
        with store.superuser() as connection:
            yield connection, author.told


def test_an_honest_database_breaks_nothing(honest: Planted) -> None:
    connection, told = honest
    assert invariants.broken(connection, told) == {}


@pytest.mark.parametrize(
    ("invariant", "corruption"),
    CORRUPTIONS,
    ids=[f"{name}-{number}" for number, (name, _) in enumerate(CORRUPTIONS)],
)
def test_a_corruption_is_found_by_its_invariant_alone(
    honest: Planted, invariant: str, corruption: LiteralString
) -> None:
    connection, told = honest
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(corruption)
        connection.execute("SET LOCAL session_replication_role = origin")
        assert list(invariants.broken(connection, told)) == [invariant]


def test_an_acknowledged_charge_that_vanished_is_found(honest: Planted) -> None:
    connection, told = honest
    lost = told[-1]
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(
            "DELETE FROM idempotency_keys WHERE scope IN"
            " (SELECT scope FROM answers WHERE body = %s)",
            (lost.body,),
        )
        for table, column in (("charges", "id"), ("events", "object_id"), ("outbox", "subject")):
            connection.execute(
                f"DELETE FROM {table} WHERE {column} = %s".encode(), (lost.object_id[3:],)
            )
        found = invariants.broken(connection, told)
        assert list(found) == ["i8_a_key_has_one_answer", "i13_acknowledged_is_kept"]
        assert "i13_acknowledged_is_kept" not in invariants.broken(connection, told[:-1])


def test_two_answers_to_one_key_are_found(honest: Planted) -> None:
    connection, told = honest
    twice = [*told, Acknowledged(told[0].merchant_id, told[0].key, 201, told[2].body)]
    assert list(invariants.broken(connection, twice)) == ["i8_a_key_has_one_answer"]


def test_what_is_left_over_is_found(honest: Planted) -> None:
    connection, _ = honest
    with connection.transaction(force_rollback=True):
        found = invariants.i12_nothing_is_left_over(connection)
        kinds = Counter(line.split()[0] for line in found)
        assert kinds == {"charge": 2, "promise": 2, "event": 2}
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM charges WHERE status = 'pending'; DELETE FROM outbox")
        connection.execute(
            "DELETE FROM events WHERE id NOT IN (SELECT event_id FROM event_numbers)"
        )
        left = invariants.i12_nothing_is_left_over
        assert left(connection, dead=["bad"], poison=["bad"]) == []
        assert left(connection, queued=["one"]) == ["message one"]
        assert left(connection, dead=["bad", "bad"], poison=["bad"]) == ["dead: bad"]
        assert left(connection, poison=["bad"]) == ["poison that did not die: bad"]


def test_every_invariant_has_a_corruption() -> None:
    planted = {name for name, _ in CORRUPTIONS}
    always = {invariant.__name__ for invariant in invariants.ALWAYS}
    assert planted == always | {"i8_a_key_has_one_answer"}
