"""Each invariant catches its own kind of corruption, and only that one does.

A corruption is planted past every grant, trigger and constraint in a small honest database, in a
transaction that is rolled back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from functions.charges import create, process
from functions.ledger import roll_up
from local.postgres import Postgres
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import copied
from tests.driving import Platform
from tests.invariants import Acknowledged

CORRUPTIONS: list[tuple[str, LiteralString]] = [
    (
        "i1_entries_sum_to_zero",
        # two rows that make up for each other: each is unbalanced, the whole is not
        (
            "ALTER TABLE journal DROP CONSTRAINT legs_sum_to_zero;"
            "UPDATE rollup SET watermark = 0; UPDATE accounts SET balance = 0;"
            "UPDATE journal SET v1 = v1 + 1 WHERE id = (SELECT min(id::text)::uuid FROM journal);"
            "UPDATE journal SET v1 = v1 - 1 WHERE id = (SELECT max(id::text)::uuid FROM journal)"
        ),
    ),
    (
        "i1_entries_sum_to_zero",
        (
            "ALTER TABLE journal DROP CONSTRAINT legs_share_currency_and_mode;"
            "UPDATE rollup SET watermark = 0; UPDATE accounts SET balance = 0;"
            "UPDATE journal SET a1 = a1 + 10000, a4 = a4 + 10000"
            " WHERE id = (SELECT min(id::text)::uuid FROM journal)"
        ),
    ),
    (
        "i2_balances_equal_entries",
        "UPDATE accounts SET balance = balance + 1 WHERE number % 1000 = 210 AND balance <> 0",
    ),
    (
        "i2_balances_equal_entries",
        # a watermark past a row that was never rolled up
        (
            "UPDATE rollup SET watermark = 0; UPDATE accounts SET balance = 0;"
            "UPDATE rollup SET watermark = (SELECT max(xid) + 1 FROM journal)"
        ),
    ),
    (
        "i3_charges_are_posted_once",
        (
            "ALTER TABLE journal DROP CONSTRAINT posted_once;"
            "INSERT INTO journal (id, source, owner, recorded_at, a1, v1, a2, v2, value_on, kind,"
            " livemode) SELECT gen_random_uuid(), source, owner, recorded_at, 8400110,"
            " 5, 8400410, -5,"
            " value_on, kind, livemode FROM journal LIMIT 1"
        ),
    ),
    (
        "i3_charges_are_posted_once",
        (
            "INSERT INTO journal (id, source, owner, recorded_at, a1, v1, a2, v2, value_on, kind,"
            " livemode) SELECT gen_random_uuid(), id, merchant_id, now(), 8400110, 5, 8400410, -5,"
            " current_date, 1, livemode FROM charges WHERE status = 'failed' LIMIT 1"
        ),
    ),
    (
        "i4_refunded_within_captured",
        (
            "ALTER TABLE charges DROP CONSTRAINT refunded_within_captured;"
            "UPDATE charges SET amount_refunded = -1 WHERE status = 'failed'"
        ),
    ),
    (
        "i5_available_is_not_negative",
        (
            "INSERT INTO journal (id, source, owner, recorded_at, a1, v1, a2, v2, value_on, kind,"
            " livemode) SELECT gen_random_uuid(), gen_random_uuid(), owner, now(),"
            " owner * 10000000 + 8400220, 7, owner * 10000000 + 8400210, -7, current_date, 99,"
            " false FROM journal LIMIT 1"
        ),
    ),
    (
        "i6_merchants_hold_their_net_charges",
        (
            "INSERT INTO journal (id, source, owner, recorded_at, a1, v1, a2, v2, value_on, kind,"
            " livemode) SELECT gen_random_uuid(), gen_random_uuid(), owner, now(),"
            " 8400150, 7, owner * 10000000 + 8400210, -7, current_date, 99, false FROM"
            " journal LIMIT 1"
        ),
    ),
    (
        "i7_each_change_has_one_event",
        "DELETE FROM events WHERE type = 'charge.failed'",
    ),
    (
        "i7_each_change_has_one_event",
        (
            "UPDATE events SET data = jsonb_set(data, '{ledger_transaction}', 'null')"
            " WHERE type = 'charge.succeeded'"
        ),
    ),
    (
        "i7_each_change_has_one_event",
        (
            "ALTER TABLE events DROP CONSTRAINT events_merchant_id_livemode_object_id_version_key;"
            "INSERT INTO events SELECT merchant_id, livemode, gen_random_uuid(),"
            " object_id, version,"
            " type, data, created_at FROM events WHERE type = 'charge.succeeded' LIMIT 1"
        ),
    ),
    (
        "i7_each_change_has_one_event",
        (
            "INSERT INTO events SELECT merchant_id, livemode, gen_random_uuid(), gen_random_uuid(),"
            " version, type, data, created_at FROM events WHERE version = 1 LIMIT 1"
        ),
    ),
    (
        "i8_a_key_has_one_answer",
        "UPDATE idempotency_keys SET body = body || ' '::bytea",
    ),
    (
        "i8_a_key_has_one_answer",
        (
            "UPDATE idempotency_keys SET body = convert_to(replace(convert_from(body, 'UTF8'),"
            " '\"USD\"', '\"EUR\"'), 'UTF8')"
        ),
    ),
    (
        "i8_a_key_has_one_answer",
        (
            "INSERT INTO idempotency_keys SELECT merchant_id, livemode, sha256(scope), fingerprint,"
            " status, body FROM idempotency_keys LIMIT 1"
        ),
    ),
    (
        "i8_a_key_has_one_answer",
        (
            "INSERT INTO idempotency_keys (merchant_id, livemode, scope, fingerprint)"
            " SELECT merchant_id, livemode, sha256(scope), fingerprint FROM"
            " idempotency_keys LIMIT 1"
        ),
    ),
    (
        "i8_a_key_has_one_answer",
        (
            "ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey;"
            "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys LIMIT 1"
        ),
    ),
    (
        "i9_only_legal_states",
        (
            "UPDATE events SET version = 3 WHERE type = 'charge.succeeded';"
            "UPDATE charges SET version = 3 WHERE status = 'succeeded';"
            "INSERT INTO events SELECT merchant_id, livemode, gen_random_uuid(), object_id, 2,"
            " 'charge.failed', data, created_at FROM events WHERE type = 'charge.succeeded'"
        ),
    ),
    (
        "i9_only_legal_states",
        "INSERT INTO charge_transitions VALUES ('failed', 'succeeded')",
    ),
    ("i10_no_row_of_another_tenant", "ALTER TABLE events DISABLE ROW LEVEL SECURITY"),
    (
        "i10_no_row_of_another_tenant",
        "CREATE POLICY careless ON charges TO ivy_app USING (livemode = current_livemode())",
    ),
    (
        "i10_no_row_of_another_tenant",
        # both modes of one merchant
        (
            "CREATE POLICY careless ON accounts TO ivy_app"
            " USING (number / 10000000 = current_merchant())"
        ),
    ),
    ("i10_no_row_of_another_tenant", "CREATE TABLE refunds (merchant_id bigint)"),
    ("i11_journal_is_append_only", "GRANT DELETE ON journal TO ivy_jobs"),
    ("i11_journal_is_append_only", "GRANT UPDATE (v1) ON journal TO ivy_app"),
    ("i11_journal_is_append_only", "ALTER TABLE journal DISABLE TRIGGER append_only"),
]

Planted = tuple["psycopg.Connection[Any]", list[Acknowledged]]


@pytest.fixture(scope="module")
def honest(cluster: Postgres, cloud: Cloud) -> Iterator[Planted]:
    """Two merchants with a succeeded, a failed and a pending charge each, rolled up half-way."""
    told: list[Acknowledged] = []
    with copied(cluster) as store, Platform(cloud, store) as platform:
        accounts = [platform.open_account(f"{who}@example.com") for who in ("ada", "bob")]
        for token in ("tok_visa", "tok_declined", "tok_visa"):
            for account in accounts:
                key = f"{token}-{len(told)}"
                reply = platform.request(
                    create.handler,
                    {"amount": 5_000, "currency": "USD", "payment_method": token},
                    bearer=account.secret_key,
                    headers={"Idempotency-Key": key},
                )
                told.append(Acknowledged(account.merchant_id, key, reply.status, reply.body))
            if len(told) <= 4:
                platform.drain(process.handler)
            platform.run(roll_up.handler)
        with store.superuser() as connection:
            yield connection, told


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
        for table, column in (("charges", "id"), ("events", "object_id"), ("outbox", "subject")):
            connection.execute(
                f"DELETE FROM {table} WHERE {column} = %s".encode(), (lost.charge_id,)
            )
        connection.execute("DELETE FROM idempotency_keys WHERE body = %s", (lost.body,))
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
        assert [line.split()[0] for line in found] == ["charge", "charge", "promise", "promise"]
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM charges WHERE status = 'pending'; DELETE FROM outbox")
        left = invariants.i12_nothing_is_left_over
        assert left(connection, dead=["bad"], poison=["bad"]) == []
        assert left(connection, queued=["one"]) == ["message one"]
        assert left(connection, dead=["bad", "bad"], poison=["bad"]) == ["dead: bad"]
        assert left(connection, poison=["bad"]) == ["poison that did not die: bad"]


def test_every_invariant_has_a_corruption() -> None:
    planted = {name for name, _ in CORRUPTIONS}
    assert planted == {invariant.__name__ for invariant in invariants.ALWAYS} | {
        "i8_a_key_has_one_answer"
    }
