"""A deployment whose time stands still, whose cloud is in this process, and whose state is small.

The handlers are the deployed ones and the Postgres is real. What is not: the network (see
``pocket_cloud``), the clock, and the log. One connection per role is kept, as in a warm function.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from traceback import format_exc
from typing import Any, ClassVar, LiteralString

import boto3
import psycopg
import pytest

from functions.connectors import collect
from functions.events import sweep
from functions.reports import make
from functions.settlements import itemise, run, settle
from ivy import database, faults, ids, money, observe
from ivy.connectors import challenges
from ivy.database import Tenant
from ivy.outbox import Task
from ivy.serve import front, http
from ivy.serve.declaration import Consumer, Job, Route
from ivy.serve.schedules import JobError
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.driving import Account, Platform, Reply
from tests.simulation.pocket_cloud import Acquirer, PocketCloud


class Clock:
    """The present, for Python and for SQL, which is whatever it was last set to.

    In this database ``now()`` is found in a schema of the clock's own, before Postgres's.
    """

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = datetime.now(UTC)
        self._connection = store.superuser()
        self._connection.execute(_CLOCK)
        for role in ("ivy_app", "ivy_jobs", "ivy_settle"):
            self._connection.execute(
                f"ALTER ROLE {role} IN DATABASE {store.name}"
                " SET search_path = clock, ivy, pg_catalog"
            )
        monkeypatch.setattr(ids, "now", lambda: self.at)

    def set(self, at: datetime) -> None:
        self.at = at
        self._connection.execute("UPDATE clock.present SET at = %s", (at,))

    def close(self) -> None:
        self._connection.close()


_CLOCK = """
    CREATE SCHEMA clock;
    CREATE TABLE clock.present (at timestamptz NOT NULL);
    INSERT INTO clock.present VALUES (pg_catalog.now());
    CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql
        RETURN (SELECT at FROM clock.present);
    GRANT USAGE ON SCHEMA clock TO ivy_app, ivy_jobs, ivy_settle;
    GRANT SELECT ON clock.present TO ivy_app, ivy_jobs, ivy_settle;
"""


class _Warm(database.Database):
    """Keeps a role's connection while the process is another function for a while.

    A fork makes its own, and leaves its parent's alone.
    """

    kept: ClassVar[dict[tuple[int, str], psycopg.Connection[Any]]] = {}

    def _connected(self) -> psycopg.Connection[Any]:
        mine = (os.getpid(), self._conninfo)
        self._connection = self.kept.get(mine)
        connection = self.kept[mine] = super()._connected()
        return connection

    def close(self) -> None:
        """Stay connected."""


class DiedError(RuntimeError):
    """The invocation ended here."""


class Sandbox:
    """A deployment with two merchants."""

    def __init__(
        self,
        platform: Platform,
        pocket: PocketCloud,
        clock: Clock,
        accounts: list[Account],
        failures: deque[str],
    ) -> None:
        self.platform = platform
        self.pocket = pocket
        self.clock = clock
        self.connection = platform.store.superuser()
        self.accounts = accounts
        self.failures = failures
        """The last errors that would have been logged."""
        self.operations = 0
        """Requests, messages and runs of jobs so far."""

    def price(self, account: Account, terms: dict[str, Any], overdraft_cents: int) -> None:
        """Give a merchant an overdraft, and a plan of its own that begins with these terms."""
        self.reprice(account, 1, terms)
        self.connection.execute(
            "UPDATE merchants SET fee_plan = %s, overdraft_cents = %s WHERE id = %s",
            (f"plan_{account.merchant_id}", overdraft_cents, account.merchant_id),
        )

    def hold_back(self, account: Account, basis_points: int, days: int) -> None:
        """Agree on a reserve with a merchant."""
        self.connection.execute(
            "UPDATE merchants SET reserve_basis_points = %s, reserve_days = %s WHERE id = %s",
            (basis_points, days, account.merchant_id),
        )

    def reprice(self, account: Account, version: int, terms: dict[str, Any]) -> None:
        """Add a version to a merchant's plan; it is gone after the next reset."""
        self.connection.execute(
            "INSERT INTO fee_plans (code, version, terms) VALUES (%s, %s, %s)",
            (f"plan_{account.merchant_id}", version, json.dumps(terms)),
        )

    # -- invoking

    def request(
        self, route: Route, body: Any, account: Account, key: str | None = None, **path: Any
    ) -> Reply:
        self.operations += 1
        headers = {"Idempotency-Key": key} if key is not None else None
        return self.platform.request(
            route, body, bearer=account.secret_key, headers=headers, **path
        )

    def get(self, route: Route, account: Account, query: Any = None, **path: Any) -> Reply:
        self.operations += 1
        return self.platform.request(route, bearer=account.secret_key, query=query, **path)

    def hand_over(self, consumer: Consumer, *bodies: str) -> list[str]:
        self.operations += len(bodies)
        return self.platform.hand_over(consumer, *bodies)

    def run(self, job: Job) -> dict[str, Any]:
        self.operations += 1
        return self.platform.run(job)

    @contextmanager
    def dying_at(self, point: str | None) -> Iterator[list[str]]:
        """End the first invocation that passes a point, as far as an exception can."""
        died: list[str] = []

        def react(name: str) -> None:
            if name == point and not died:
                died.append(name)
                raise DiedError(name)

        faults.arm(react)
        try:
            yield died
        finally:
            faults.arm(None)

    def messages(self) -> list[Task]:
        """Take what was sent to the queues since the last call."""
        return [
            Task.from_message(body)
            for queue in ("charges", "refunds", "disputes")
            for body in self.pocket.take(queue)
        ]

    def payer_answers(self, charge: str, *, approve: bool) -> None:
        """Answer the acquirer's challenge as the payer of a charge."""
        self.operations += 1
        self.platform.enter(collect.handler.needs)
        challenges.answer(charge.replace("ch_", "sim_"), approve=approve)

    def settle(self, death: str | None = None) -> None:
        """Run settlement as the schedule does, with everything that it sends to its queue.

        Whoever dies on the way is followed by another.
        """
        with self.dying_at(death) as died:
            try:
                self.run(run.handler)
            except JobError:
                assert died, self.failures
                self.run(run.handler)
            bodies = self.pocket.take("settlements")
            if failed := self.hand_over(settle.handler, *bodies):
                assert died, self.failures
                assert self.hand_over(settle.handler, *failed) == [], self.failures
            self.itemise()

    def report(self) -> None:
        """Make the reports that were asked for."""
        bodies = self.pocket.take("reports")
        if failed := self.hand_over(make.handler, *bodies):
            assert self.hand_over(make.handler, *failed) == [], self.failures

    def itemise(self) -> None:
        """Write the reports that were promised, as the queue and the relay have it done."""
        self.pocket.take("settlement_reports")  # and whose message was lost is found again
        with self.platform.store.superuser() as own:  # a racer has no share in our connection
            promised = own.execute(
                "SELECT id, queue, merchant_id, livemode, subject, correlation FROM outbox"
                " WHERE queue = 'settlement_reports' ORDER BY id"
            ).fetchall()
        bodies = [
            Task(task, queue, Tenant(merchant, livemode), subject, correlation).message()
            for task, queue, merchant, livemode, subject, correlation in promised
        ]
        if failed := self.hand_over(itemise.handler, *bodies):
            assert self.hand_over(itemise.handler, *failed) == [], self.failures

    def payments(self) -> dict[str, Any]:
        """Return what the acquirer knows of each charge, by its name."""
        return self.pocket.acquirer.payments()

    def forget_answers(self) -> None:
        """Wipe the idempotency table that stands before Postgres."""
        self.pocket.tables.get(self.platform.name, {}).clear()

    # -- looking

    def state(self) -> dict[str, Any]:
        """Return everything there is, in the form that the model is held against."""
        row = self.connection.execute(_STATE).fetchone()
        assert row is not None
        found: dict[str, Any] = row[0]
        return found

    def holidays(self) -> dict[str, set[date]]:
        found: dict[str, set[date]] = {}
        for currency, day in self.connection.execute("SELECT currency, day FROM bank_holidays"):
            found.setdefault(currency, set()).add(day)
        return found

    def left_over(self) -> list[str]:
        """Return what is still to be done when even the events have been published."""
        self.run(sweep.handler)
        return invariants.i12_nothing_is_left_over(self.connection)

    def reset(self, at: datetime) -> None:
        """Begin again at a time, with the same merchants and nothing else."""
        self.pocket.forget()
        self.platform.empty_bucket()
        self.clock.set(at)
        self.connection.execute(_RESET)


@contextmanager
def sandbox(
    cloud: Cloud,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    acquirer: Acquirer | None = None,
) -> Iterator[Sandbox]:
    """Open a sandbox; what it patches is undone by ``monkeypatch``.

    Several processes may share an acquirer; otherwise it has its own.
    """
    with Platform(cloud, store) as platform:
        accounts = [platform.open_account(), platform.open_account("bob@example.com")]
        pocket = PocketCloud(cloud.endpoint, acquirer or Acquirer())
        clock = Clock(store, monkeypatch)
        monkeypatch.setattr(boto3, "client", pocket.client)
        monkeypatch.setattr(database, "Database", _Warm)
        monkeypatch.setattr(front, "WAIT_SECONDS", 0)
        monkeypatch.setattr(http, "WAIT_SECONDS", 0)
        monkeypatch.setattr(http, "POLL_SECONDS", 0)
        failures: deque[str] = deque(maxlen=10)
        monkeypatch.setattr(observe, "line", _say_nothing)
        monkeypatch.setattr(observe, "count", _say_nothing)
        monkeypatch.setattr(observe, "failure", lambda *_, **__: failures.append(format_exc()))
        platform.forget()
        made = Sandbox(platform, pocket, clock, accounts, failures)
        yield made
        made.connection.close()
        clock.close()
        for connection in _Warm.kept.values():
            connection.close()
        _Warm.kept.clear()


def _say_nothing(*_: Any, **__: Any) -> None:
    """Write no log and no metric."""


def number_of(currency: str) -> int:
    return money.currencies()[currency].number


_STATE: LiteralString = """
    SELECT json_build_object(
        'charges', (SELECT json_object_agg('ch_' || replace(id::text, '-', ''), json_build_array(
            merchant_id, status, version, amount_captured, amount_refunded, amount_refund_pending,
            amount_disputed, fee, fee_returned, failure_code, decline_code, available_on,
            (extract(epoch FROM capture_before) * 1000)::bigint)) FROM charges),
        'refunds', (SELECT json_object_agg('re_' || replace(id::text, '-', ''), json_build_array(
            merchant_id, status, version, amount, pending_reason, fee_returned, failure_code))
            FROM refunds),
        'disputes', (SELECT json_object_agg('dp_' || replace(id::text, '-', ''), json_build_array(
            merchant_id, status, version, amount, fee, evidence,
            (extract(epoch FROM evidence_due_by) * 1000)::bigint)) FROM disputes),
        'work', (SELECT json_object_agg(
            CASE queue WHEN 'charges' THEN 'ch_' WHEN 'refunds' THEN 're_' ELSE 'dp_' END
            || replace(subject::text, '-', ''), json_build_array(
            id, action, amount, sends, (extract(epoch FROM next_send_at) * 1000)::bigint,
            (extract(epoch FROM expected_at) * 1000)::bigint)) FROM outbox),
        'attempts', (SELECT json_object_agg(subject, number) FROM (
            SELECT replace(subject::text, '-', '') AS subject, count(*) AS number
            FROM attempts GROUP BY subject) AS asked),
        'books', (SELECT json_object_agg(account, amount) FROM (
            SELECT account, sum(amount) AS amount FROM entries
            GROUP BY account HAVING sum(amount) <> 0) AS held),
        'settlements', (SELECT json_object_agg(
            merchant_id || ' ' || currency || ' ' || settled_on, json_build_array(
            charges, fees, refunds, returns, net, reserved, charge_count)) FROM settlements),
        'reserves', (SELECT json_object_agg(
            merchant_id || ' ' || reserves.currency || ' ' || settled_on, json_build_array(
            amount, release_on, reserves.status))
            FROM reserves JOIN settlements USING (merchant_id, livemode)
            WHERE settlements.id = settlement_id),
        'settled_through', (SELECT json_object_agg(merchant_id || ' ' || currency, settled_on)
            FROM settled_through),
        'postings', (SELECT count(*) FROM journal),
        'events', (SELECT count(*) FROM events),
        'keys', (SELECT count(*) FROM idempotency_keys))
"""

_RESET = """
    SET session_replication_role = replica;
    TRUNCATE charges, refunds, disputes, attempts, events, event_numbers, outbox, journal,
        idempotency_keys;
    TRUNCATE settlements, reserves, settled_through, test_clocks, payouts, payout_items,
        bank_accounts, bank_files, bank_receipts, bank_answers, bank_lines, bank_statements,
        suspense_items, balance_states, recoveries, recovery_debits, acquirer_settlements,
        acquirer_streams, matching_rules, micro_deposits;
    UPDATE accounts SET balance = 0;
    DELETE FROM fee_plans WHERE code LIKE 'plan%' AND version > 1;
    SET session_replication_role = origin;
"""
