"""One merchant never sees another's rows, and test mode never sees live: in every table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from ivy import ids, ledger
from ivy.database import PREPARE_AFTER, Database, Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from tests.conftest import Store
from tests.driving import Account

SHARED = {
    "bank_holidays", "chart", "clearing_accounts", "currencies", "event_watermark", "fee_plans",
    "migrations", "posting_kinds", "rollup", "transitions",
}  # fmt: skip
"""Tables that hold nobody's rows."""

OF_TEST_MODE = {"acquirer_streams", "test_clocks"}
OURS = {
    "acquirer_settlements", "bank_files", "bank_lines", "bank_originators", "bank_receipts",
    "bank_statements", "matching_rules", "suspense_items",
}  # fmt: skip
"""Tables of what is between us and banks: fenced, and no merchant writes or owns their rows."""

WITHOUT_MODE = {"api_keys", "members", "merchant_changes", "merchants", "users"}
"""A merchant's two modes share their people and are managed together."""


@pytest.fixture(scope="module")
def root(shared_store: Store) -> Iterator[psycopg.Connection[Any]]:
    with shared_store.superuser() as connection:
        yield connection


def tables(root: psycopg.Connection[Any]) -> list[str]:
    found = root.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace AND relkind = 'r'"
    )
    return sorted(name for (name,) in found)


@pytest.fixture(scope="module")
def filled(root: psycopg.Connection[Any], ada: Account, bob: Account) -> dict[str, Tenant]:
    """Two merchants with rows in every table, in both modes."""
    tenants = {
        f"{name}-{mode}": Tenant(account.merchant_id, mode == "live")
        for name, account in (("ada", ada), ("bob", bob))
        for mode in ("test", "live")
    }
    for tenant in tenants.values():
        fill(root, tenant)
    return tenants


def fill(root: psycopg.Connection[Any], tenant: Tenant) -> None:
    charge, ltx = ids.new(ids.now()), ids.new(ids.now())
    row = {"m": tenant.merchant_id, "live": tenant.livemode, "c": charge, "l": ltx}
    root.execute(
        "INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency, capture,"
        " method, payment_method, connector, fee_plan, fee_plan_version) VALUES (%(m)s, %(live)s,"
        " %(c)s, 100, now(), 'USD', true, 'card', 'tok', 'simulated', 'standard', 1)",
        row,
    )
    root.execute(
        "INSERT INTO refunds (merchant_id, livemode, id, charge_id, amount, created_at, currency,"
        " pending_reason) VALUES (%(m)s, %(live)s, %(l)s, %(c)s, 100, now(), 'USD',"
        " 'charge_pending')",
        row,
    )
    root.execute(
        "INSERT INTO disputes (merchant_id, livemode, id, charge_id, amount, fee, created_at,"
        " evidence_due_by, currency, reason, connector, reference) VALUES (%(m)s, %(live)s, %(l)s,"
        " %(c)s, 100, 0, now(), now(), 'USD', 'fraudulent', 'simulated', 'sim')",
        row,
    )
    root.execute(
        "INSERT INTO attempts (merchant_id, livemode, subject, number, connector, request_id,"
        " started_at) VALUES (%(m)s, %(live)s, %(c)s, 1, 'simulated', 'r', now())",
        row,
    )
    root.execute(
        "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data, created_at)"
        " VALUES (%(m)s, %(live)s, %(l)s, %(c)s, 1, 'charge.pending', '{}', now())",
        row,
    )
    root.execute(
        "INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,"
        " next_send_at, expected_at, created_at) VALUES (%(l)s, %(m)s, %(live)s, 'charges', %(c)s,"
        " 'authorize', '', now(), now(), now())",
        row,
    )
    root.execute(
        "INSERT INTO idempotency_keys (merchant_id, livemode, scope, fingerprint)"
        " VALUES (%(m)s, %(live)s, sha256('a'), sha256('b'))",
        row,
    )
    root.execute(
        "INSERT INTO event_numbers (merchant_id, livemode, sequence, event_id)"
        " VALUES (%(m)s, %(live)s, 1, %(l)s)",
        row,
    )
    root.execute(
        "INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at, url, events,"
        " api_version) VALUES (%(m)s, %(live)s, %(c)s, now(), 'https://example.com', '{*}', 'v')",
        row,
    )
    root.execute(
        "INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence,"
        " created_at, next_attempt_at) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, %(l)s, 1, now(),"
        " now())",
        row,
    )
    root.execute(
        "INSERT INTO delivery_attempts (merchant_id, livemode, delivery_id, number, at, outcome,"
        " milliseconds) VALUES (%(m)s, %(live)s, %(c)s, 1, now(), 'delivered', 1)",
        row,
    )
    root.execute("INSERT INTO settled_through VALUES (%(m)s, %(live)s, 'USD', '2026-11-27')", row)
    root.execute(
        "INSERT INTO settlements (merchant_id, livemode, id, charges, fees, refunds, returns, net,"
        " reserved, ledger_transaction, created_at, settled_on, charge_count, currency) VALUES"
        " (%(m)s, %(live)s, %(c)s, 100, 0, 0, 0, 100, 10, %(l)s, now(), '2026-11-27', 1, 'USD')",
        row,
    )
    root.execute(
        "INSERT INTO reserves (merchant_id, livemode, id, settlement_id, amount, created_at,"
        " release_on, currency) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, 10, now(), now(), 'USD')",
        row,
    )
    root.execute(
        "INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,"
        " account_holder_name, iban, last4, fingerprint, micro_deposits) VALUES (%(m)s, %(live)s,"
        " %(c)s, now(), 'DE', 'EUR', 'Ada', 'DE89370400440532013000', '3000', repeat('0', 64),"
        " '{32,45}')",
        row,
    )
    root.execute(
        "INSERT INTO micro_deposits (merchant_id, livemode, id, bank_account_id, amount,"
        " created_at, ordinal, currency) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, 32, now(), 1,"
        " 'EUR')",
        row,
    )
    root.execute(
        "INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount, created_at,"
        " currency, status) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, 1, now(), 'EUR',"
        " 'requires_approval')",
        row,
    )
    root.execute(
        "INSERT INTO balance_states (merchant_id, livemode, id, currency, available, created_at,"
        " status) VALUES (%(m)s, %(live)s, %(c)s, 'USD', 0, now(), 'available')",
        row,
    )
    root.execute(
        "INSERT INTO recoveries (merchant_id, livemode, id, currency, amount, created_at,"
        " negative_since) VALUES (%(m)s, %(live)s, %(c)s, 'EUR', 1, now(), now())",
        row,
    )
    root.execute(
        "UPDATE bank_accounts SET status = 'verified', version = 2, verified_at = now(),"
        " payable_from = now() WHERE id = %(c)s",
        row,
    )
    root.execute(
        "UPDATE merchants SET debit_mandate = 'M1', debit_mandate_signed_on = '2026-11-01'"
        " WHERE id = %(m)s",
        row,
    )
    root.execute(
        "INSERT INTO recovery_debits (merchant_id, livemode, id, recovery_id, bank_account_id,"
        " amount, created_at, currency, mandate, mandate_signed_on, opened_by, reason, status,"
        " canceled_by) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, %(c)s, 1, now(), 'EUR', 'M1',"
        " '2026-11-01', 'somebody', 'so', 'canceled', 'somebody')",
        row,
    )
    root.execute(
        "INSERT INTO reports (merchant_id, livemode, id, type, currency, month, format, time_zone,"
        " begins_at, ends_at, created_at) VALUES (%(m)s, %(live)s, %(c)s, 'statement', 'USD',"
        " '2026-10-01', 'csv', 'UTC', '2026-10-01', '2026-11-01', now())",
        row,
    )
    root.execute("INSERT INTO payout_items VALUES (%(m)s, %(live)s, %(l)s, %(c)s, 1)", row)
    root.execute(
        "INSERT INTO merchant_changes VALUES (%(m)s, 2, now(), 'somebody', NULL, '{}', '{}')"
        " ON CONFLICT DO NOTHING",
        row,
    )
    if not tenant.livemode:
        root.execute(
            "INSERT INTO test_clocks (merchant_id, livemode, id, created_at, target)"
            " VALUES (%(m)s, %(live)s, %(c)s, now(), now())",
            row,
        )
        root.execute("INSERT INTO acquirer_streams VALUES (%(m)s, %(live)s, 'USD', now())", row)
    root.execute(
        "INSERT INTO bank_receipts (id, livemode, size, received_at, sha256, name, kind, status)"
        " VALUES (%(c)s, %(live)s, 1, now(), encode(sha256(%(c)s::text::bytea), 'hex'), 'a',"
        " 'bai2', 'accepted')",
        row,
    )
    root.execute(
        "INSERT INTO bank_answers (merchant_id, livemode, id, payout_id, receipt_id, created_at,"
        " outcome) VALUES (%(m)s, %(live)s, %(c)s, %(c)s, %(c)s, now(), 'paid')",
        row,
    )
    number = tenant.merchant_id * 10_000_000 + 840_0_210 + tenant.livemode * 1_000
    root.execute(
        "INSERT INTO journal (id, source, owner, livemode, recorded_at, a1, v1, a2, v2, value_on,"
        " kind) VALUES (%(l)s, %(c)s, %(m)s, %(live)s, now(), %(p)s, 5, %(n)s, -5, now(), 1)",
        row | {"n": number, "p": 840_0_110 + tenant.livemode * 1_000},
    )


OWNER_OF_ROW = {
    "accounts": "(number / 10000000, number / 1000 % 10 = 1)",
    "journal": "(owner, livemode)",
    "entries": "(owner, livemode)",
    "api_keys": "(merchant_id, NULL::boolean)",
    "members": "(merchant_id, NULL::boolean)",
    "merchant_changes": "(merchant_id, NULL::boolean)",
    "merchants": "(id, NULL::boolean)",
    "users": "((SELECT merchant_id FROM members WHERE user_id = users.id), NULL::boolean)",
}


def owners(connection: psycopg.Connection[Any], table: str) -> set[tuple[int, bool | None]]:
    """Whose rows a connection can see in a table."""
    expression = OWNER_OF_ROW.get(table, "(merchant_id, livemode)").strip("()")
    if table == "users":
        expression = OWNER_OF_ROW[table][1:-1]
    found = connection.execute(f"SELECT DISTINCT {expression} FROM ivy.{table}".encode())
    return {(merchant, livemode) for merchant, livemode in found.fetchall()}


def test_every_table_of_merchants_is_fenced(root: psycopg.Connection[Any]) -> None:
    fenced = {
        name
        for (name,) in root.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
            " AND relkind = 'r' AND relrowsecurity AND relforcerowsecurity"
        )
    }
    assert fenced == set(tables(root)) - SHARED


def test_no_policy_lets_the_app_see_everything(root: psycopg.Connection[Any]) -> None:
    policies = root.execute(
        "SELECT tablename, qual FROM pg_policies WHERE schemaname = 'ivy'"
        " AND permissive = 'PERMISSIVE' AND 'ivy_app' = ANY (roles)"
    ).fetchall()
    assert {table for table, _ in policies} - OURS == set(tables(root)) - SHARED - OURS
    for table, qualification in policies:
        assert "current_merchant()" in qualification or "presented()" in qualification, table


def test_views_ask_the_caller(root: psycopg.Connection[Any]) -> None:
    views = root.execute(
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relnamespace = 'ivy'::regnamespace AND relkind IN ('v', 'm')"
    ).fetchall()
    assert sorted(views) == [
        (name, ["security_invoker=true"]) for name in ("answers", "bank_orders", "entries")
    ]


def test_nothing_runs_with_the_rights_of_its_owner(root: psycopg.Connection[Any]) -> None:
    found = root.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ivy'::regnamespace AND prosecdef"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize("who", ["ada-test", "ada-live", "bob-test", "bob-live"])
def test_a_tenant_sees_its_own_rows_alone(
    shared_store: Store, root: psycopg.Connection[Any], filled: dict[str, Tenant], who: str
) -> None:
    tenant = filled[who]
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        connection.execute(
            "SELECT set_config('app.merchant', %s, true), set_config('app.livemode', %s, true)",
            (str(tenant.merchant_id), str(tenant.livemode)),
        )
        for table in [*sorted(set(tables(root)) - SHARED - OURS), "entries"]:
            everyone = owners(root, table)
            mode = None if table in WITHOUT_MODE else tenant.livemode
            assert len(everyone) >= (2 if table in WITHOUT_MODE | OF_TEST_MODE else 4), table
            mine = set() if mode and table in OF_TEST_MODE else {(tenant.merchant_id, mode)}
            assert owners(connection, table) == mine, table


def test_without_a_tenant_nothing_is_seen(
    shared_store: Store, root: psycopg.Connection[Any], filled: dict[str, Tenant]
) -> None:
    assert filled
    for settings in ("", "-c app.merchant= -c app.livemode="):
        with psycopg.connect(shared_store.url("ivy_app"), options=settings) as connection:
            for table in [*sorted(set(tables(root)) - SHARED - OURS), "entries"]:
                assert owners(connection, table) == set(), table


def test_a_merchant_without_a_mode_sees_no_money(
    shared_store: Store, root: psycopg.Connection[Any], filled: dict[str, Tenant]
) -> None:
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        merchant = str(filled["ada-test"].merchant_id)
        connection.execute("SELECT set_config('app.merchant', %s, true)", (merchant,))
        for table in set(tables(root)) - SHARED - OURS - WITHOUT_MODE:
            assert owners(connection, table) == set(), table


INSERTS = {
    "attempts": "INSERT INTO attempts (merchant_id, livemode, subject, number, connector,"
    " request_id, started_at) VALUES (%(m)s, %(live)s, gen_random_uuid(), 1, 'simulated', 'r',"
    " now())",
    "charges": "INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency,"
    " capture, method, payment_method, connector, fee_plan, fee_plan_version) VALUES (%(m)s,"
    " %(live)s, gen_random_uuid(), 100, now(), 'USD', true, 'card', 'tok', 'simulated',"
    " 'standard', 1)",
    "disputes": "INSERT INTO disputes (merchant_id, livemode, id, charge_id, amount, fee,"
    " created_at, evidence_due_by, currency, reason, connector, reference) VALUES (%(m)s,"
    " %(live)s, gen_random_uuid(), %(c)s, 1, 0, now(), now(), 'USD', 'fraudulent', 'simulated',"
    " gen_random_uuid()::text)",
    "refunds": "INSERT INTO refunds (merchant_id, livemode, id, charge_id, amount, created_at,"
    " currency, pending_reason) VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s, 1, now(), 'USD',"
    " 'charge_pending')",
    "events": "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,"
    " created_at) VALUES (%(m)s, %(live)s, gen_random_uuid(), gen_random_uuid(), 1, 'x', '{}',"
    " now())",
    "outbox": "INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,"
    " next_send_at, expected_at, created_at) VALUES (gen_random_uuid(), %(m)s, %(live)s,"
    " 'charges', gen_random_uuid(), 'authorize', '', now(), now(), now())",
    "idempotency_keys": "INSERT INTO idempotency_keys (merchant_id, livemode, scope, fingerprint)"
    " VALUES (%(m)s, %(live)s, sha256('x'), sha256('y'))",
    "webhook_endpoints": "INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at,"
    " url, events, api_version) VALUES (%(m)s, %(live)s, gen_random_uuid(), now(),"
    " 'https://example.com', '{*}', 'v')",
    "deliveries": "INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id,"
    " sequence, created_at, next_attempt_at) VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s,"
    " gen_random_uuid(), 2, now(), now())",
    "delivery_attempts": "INSERT INTO delivery_attempts (merchant_id, livemode, delivery_id,"
    " number, at, outcome, milliseconds) VALUES (%(m)s, %(live)s, %(c)s, 2, now(), 'delivered', 1)",
    "payouts": "INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount,"
    " created_at, currency, status) VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s, 1, now(),"
    " 'EUR', 'requires_approval')",
    "payout_items": "INSERT INTO payout_items VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s,"
    " 1)",
    "reports": "INSERT INTO reports (merchant_id, livemode, id, type, currency, month, format,"
    " time_zone, begins_at, ends_at, created_at) VALUES (%(m)s, %(live)s, gen_random_uuid(),"
    " 'statement', 'USD', '2026-10-01', 'csv', 'UTC', '2026-10-01', '2026-11-01', now())",
    "settled_through": "INSERT INTO settled_through VALUES (%(m)s, %(live)s, 'EUR', now())",
    "bank_accounts": "INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country,"
    " currency, account_holder_name, iban, last4, fingerprint, micro_deposits) VALUES (%(m)s,"
    " %(live)s, gen_random_uuid(), now(), 'DE', 'EUR', 'Ada', 'DE89370400440532013000', '3000',"
    " repeat('1', 64), '{32,45}')",
    "micro_deposits": "INSERT INTO micro_deposits (merchant_id, livemode, id, bank_account_id,"
    " amount, created_at, ordinal, currency) VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s,"
    " 45, now(), 2, 'EUR')",
    "recovery_debits": "INSERT INTO recovery_debits (merchant_id, livemode, id, recovery_id,"
    " bank_account_id, amount, created_at, currency, mandate, mandate_signed_on, opened_by, reason)"
    " VALUES (%(m)s, %(live)s, gen_random_uuid(), %(c)s, %(c)s, 1, now(), 'EUR', 'M1',"
    " '2026-11-01', 'somebody', 'so')",
    "test_clocks": "INSERT INTO test_clocks (merchant_id, livemode, id, created_at, target)"
    " VALUES (%(m)s, %(live)s, gen_random_uuid(), now(), now())"
    " ON CONFLICT DO NOTHING",
    "accounts": "INSERT INTO accounts (number) VALUES"
    " (%(m)s::bigint * 10000000 + 9780220 + 1000 * %(live)s::boolean::integer)",
}


def test_every_table_that_a_tenant_writes_is_tried(root: psycopg.Connection[Any]) -> None:
    written = {
        name
        for (name,) in root.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
            " AND relkind = 'r' AND has_any_column_privilege('ivy_app', pg_class.oid, 'INSERT')"
        )
    }
    assert set(INSERTS) == written - WITHOUT_MODE - {"journal"}  # which posts, below


@pytest.mark.parametrize("table", INSERTS)
def test_nobody_writes_into_anothers_books(
    shared_store: Store,
    root: psycopg.Connection[Any],
    filled: dict[str, Tenant],
    table: str,
) -> None:
    mine = filled["ada-test"]
    charges = {
        Tenant(merchant, livemode): charge
        for merchant, livemode, charge in root.execute(
            "SELECT merchant_id, livemode, id FROM charges"
        )
    }
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        for theirs in filled.values():
            connection.execute(
                "SELECT set_config('app.merchant', %s, true), set_config('app.livemode', %s, true)",
                (str(mine.merchant_id), str(mine.livemode)),
            )
            row = {"m": theirs.merchant_id, "live": theirs.livemode, "c": charges[theirs]}
            statement = sql.SQL(INSERTS[table])
            if theirs == mine:
                connection.execute(statement, row)
            else:
                with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
                    connection.execute(statement, row)
            connection.rollback()


def test_the_tenant_ends_with_its_transaction(
    shared_store: Store, filled: dict[str, Tenant]
) -> None:
    database = Database(shared_store.url("ivy_app"))
    with database.transaction(filled["ada-test"]) as tx:
        assert tx.value("SELECT count(*) FROM charges") > 0
    with database.transaction() as tx:
        assert tx.value("SELECT count(*) FROM charges") == 0
    with pytest.raises(RuntimeError), database.transaction(filled["ada-test"]):
        raise RuntimeError
    with database.transaction() as tx:
        assert tx.value("SELECT current_merchant()") is None
    database.close()


def test_a_prepared_statement_belongs_to_no_tenant(
    shared_store: Store, filled: dict[str, Tenant]
) -> None:
    """Its plan is made for whoever asks first, and shows each what is theirs."""
    database = Database(shared_store.url("ivy_app"))
    seen: dict[str, set[tuple[int, bool]]] = {name: set() for name in filled}
    for _ in range(2 * PREPARE_AFTER):
        for name, tenant in filled.items():
            with database.transaction(tenant) as tx:
                rows = tx.value(
                    "SELECT json_agg(DISTINCT jsonb_build_array(owner, livemode)) FROM journal"
                )
                seen[name].update(map(tuple, rows))
                assert tx.value("SELECT count(*) FROM charges") > 0
    assert seen == {name: {(of.merchant_id, of.livemode)} for name, of in filled.items()}
    database.close()


def test_a_posting_for_another_merchant_is_refused(
    shared_store: Store, filled: dict[str, Tenant]
) -> None:
    database = Database(shared_store.url("ivy_app"))

    def attempt(chosen: Tenant, posted: Tenant) -> None:
        at = ids.now()
        posting = Posting(
            id=ids.new(at),
            kind=PostingKind.CHARGE_CAPTURED,
            source=ids.new(at),
            currency="USD",
            legs=(debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, 1), credit(Chart.PENDING, 1)),
            value_on=at.date(),
            recorded_at=at,
        )
        with database.transaction(chosen) as tx:
            ledger.post(tx, posted, posting)

    attempt(filled["ada-test"], filled["ada-test"])
    for theirs in ("ada-live", "bob-test", "bob-live"):
        with pytest.raises(errors.InsufficientPrivilege):
            attempt(filled["ada-test"], filled[theirs])
    database.close()


def test_presenting_a_credential_shows_its_rows_alone(
    shared_store: Store, ada: Account, bob: Account
) -> None:
    database = Database(shared_store.url("ivy_app"))
    with database.transaction() as tx:
        tx.present("ada@example.com")
        assert tx.value("SELECT array_agg(email) FROM users") == ["ada@example.com"]
        assert visible(tx, "merchants") == visible(tx, "api_keys") == visible(tx, "members") == 0
        user = tx.value("SELECT id FROM users")
        tx.present(str(user))
        assert tx.value("SELECT array_agg(merchant_id) FROM members") == [ada.merchant_id]
    with shared_store.superuser() as root:
        (key_hash,) = root.execute(
            "SELECT hash FROM api_keys WHERE id = %s", (UUID(hex=bob.key_id[4:]),)
        ).fetchone() or ("",)
    with database.transaction() as tx:
        tx.present(key_hash)
        assert tx.value("SELECT array_agg(merchant_id) FROM api_keys") == [bob.merchant_id]
        assert visible(tx, "users") == visible(tx, "charges") == visible(tx, "accounts") == 0
    database.close()


def visible(tx: Transaction, table: str) -> int:
    counts = {
        "accounts": "SELECT count(*) FROM accounts",
        "api_keys": "SELECT count(*) FROM api_keys",
        "charges": "SELECT count(*) FROM charges",
        "members": "SELECT count(*) FROM members",
        "merchants": "SELECT count(*) FROM merchants",
        "users": "SELECT count(*) FROM users",
    }
    return int(tx.value(counts[table]))
