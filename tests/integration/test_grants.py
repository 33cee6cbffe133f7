"""Who may do what: the catalogue is asked, then the roles try it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.conftest import ROLES, Store

WRITES = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"}


def inserting(*columns: str) -> set[str]:
    return {f"INSERT({column})" for column in columns}


def updating(*columns: str) -> set[str]:
    return {f"UPDATE({column})" for column in columns}


# Everything that a role may do beyond reading, by table; a change here is a change of trust.
ALLOWED: dict[str, dict[str, set[str]]] = {
    "ivy_app": {
        "accounts": {"INSERT(number)"},
        "api_keys": {"INSERT", *updating("expires_at", "last_used_at", "revoked_at")},
        "attempts": {"INSERT", *updating("milliseconds", "outcome", "reference", "resolved_by")},
        "bank_accounts": {
            *inserting("merchant_id", "livemode", "id", "created_at", "country", "currency"),
            *inserting("account_holder_name", "account_type", "routing_number", "account_number"),
            *inserting("iban", "bic", "last4", "fingerprint", "micro_deposits"),
            *updating("status", "version", "verification_attempts", "verified_at", "payable_from"),
            *updating("deposits_arrive_on", "failure_code", "last_attempt_at"),
        },
        "bank_answers": updating("applied_at"),
        "charges": {
            *inserting("merchant_id", "livemode", "id", "amount", "created_at", "currency"),
            *inserting("capture", "method", "payment_method", "connector"),
            *inserting("fee_plan", "fee_plan_version"),
            *inserting("description", "statement_descriptor", "metadata"),
            *updating("status", "version", "amount_captured", "fee", "cost", "available_on"),
            *updating("amount_refunded", "amount_refund_pending", "amount_disputed"),
            *updating("fee_returned", "ledger_transaction", "capture_before", "reference"),
            *updating("next_action_url", "failure_code", "decline_code"),
        },
        "disputes": {
            *inserting("merchant_id", "livemode", "id", "charge_id", "amount", "fee", "currency"),
            *inserting("created_at", "evidence_due_by", "reason", "connector", "reference"),
            *updating("status", "version", "evidence", "submitted_at"),
        },
        "deliveries": {
            *inserting("merchant_id", "livemode", "id", "endpoint_id", "event_id", "sequence"),
            *inserting("created_at", "next_attempt_at"),
            *updating("status", "attempts", "next_attempt_at", "failure_reason"),
        },
        "delivery_attempts": {"INSERT"},
        "events": inserting(
            *("merchant_id", "livemode", "id", "object_id", "version", "type", "data"),
            *("ledger_transaction", "created_at"),
        ),
        "idempotency_keys": {"INSERT", *updating("body", "event_id", "status", "provisional")},
        "journal": inserting(
            *("a1", "v1", "a2", "v2", "a3", "v3", "a4", "v4", "id", "source", "owner"),
            *("recorded_at", "value_on", "kind", "part", "livemode", "reverses", "reason"),
        ),
        "members": {"INSERT"},
        "recovery_debits": {
            *inserting("merchant_id", "livemode", "id", "recovery_id", "bank_account_id"),
            *inserting("amount", "created_at", "currency", "mandate", "mandate_signed_on"),
            *inserting("opened_by", "reason"),
            *updating("status", "version", "arrives_on", "returned_at", "failure_code"),
            *updating("canceled_by"),
        },
        "recoveries": updating(
            *("version", "status", "written_off", "proposed", "proposed_by", "proposed_at"),
            *("reason", "approved_by", "ledger_transaction"),
        ),
        "merchant_changes": {"INSERT"},
        "merchants": {
            *inserting("id", "public_id", "name", "country", "default_currency", "time_zone"),
            *inserting("created_at"),
            *updating("time_zone", "cutoff", "payout_schedule", "payout_minimum_cents"),
            *updating("payout_approval_cents", "payout_approval_decided_by"),
            *updating("payout_approval_proposed_cents", "payout_approval_proposed_by"),
            *updating("payout_approval_proposed_at", "settings_version"),
        },
        "micro_deposits": {
            *inserting("merchant_id", "livemode", "id", "bank_account_id", "amount", "created_at"),
            *inserting("ordinal", "currency"),
            *updating("canceled", "untold"),
        },
        "outbox": {
            "INSERT",
            "DELETE",
            *updating("action", "sends", "next_send_at", "expected_at", "due_at"),
        },
        "payout_items": {"INSERT"},
        "payouts": {
            *inserting("merchant_id", "livemode", "id", "bank_account_id", "amount", "fee"),
            *inserting("opening", "items", "closing", "item_count", "sequence"),
            *inserting("items_before_xid", "ledger_transaction", "created_by", "created_at"),
            *inserting("scheduled_on", "currency", "status", "description", "metadata"),
            *updating("status", "version", "fee", "opening", "items", "closing", "item_count"),
            *updating("sequence", "items_before_xid", "ledger_transaction", "decided_by"),
            *updating("arrives_on", "failure_code"),
        },
        "refunds": {
            *inserting("merchant_id", "livemode", "id", "charge_id", "amount", "currency"),
            *inserting("created_at", "pending_reason", "reason", "ledger_transaction", "metadata"),
            *updating("status", "version", "pending_reason", "fee_returned"),
            *updating("ledger_transaction", "failure_code", "reference"),
        },
        "reports": {
            *inserting("merchant_id", "livemode", "id", "type", "currency", "month", "format"),
            *inserting("time_zone", "begins_at", "ends_at", "created_at"),
            *updating("status", "version", "ready_at", "key", "size", "sha256", "line_count"),
        },
        "settled_through": {"INSERT", *updating("paid_through")},
        "settlements": updating(
            *("status", "version", "report_key", "report_size", "items_sha256", "item_count"),
            "reported_at",
        ),
        "test_clocks": {
            *inserting("merchant_id", "livemode", "id", "created_at", "target"),
            *updating("ahead", "target", "status", "version", "turns", "held_until"),
            *updating("passed_over"),
        },
        "webhook_endpoints": {
            *inserting("merchant_id", "livemode", "id", "created_at", "url", "description"),
            *inserting("events", "ordered", "api_version"),
            *updating("url", "description", "events", "ordered", "status", "disabled_reason"),
            *updating("disabled_at", "version", "allowance", "failures", "failing_since"),
            *updating("warned_percent", "warned_at", "resting_until"),
        },
        "users": inserting("id", "email", "password_hash", "created_at"),
    },
    "ivy_jobs": {
        "accounts": {"INSERT", "UPDATE"},
        "acquirer_settlements": {
            "INSERT",
            *updating("sent_at", "received_at", "line_id", "ledger_transaction", "status"),
            *updating("received_as"),
        },
        "acquirer_streams": {"INSERT", *updating("said_through", "untold_on")},
        "balance_states": {
            "INSERT",
            *updating("available", "negative_since", "version", "status"),
        },
        "bank_answers": {"INSERT", *updating("unstated")},
        "bank_holidays": {"INSERT", "DELETE"},
        "bank_files": {"INSERT", *updating("status", "sent_at")},
        "bank_lines": {"INSERT", *updating("outcome", "payout_id", "debit_id", "merchant_id")},
        "bank_receipts": {
            "INSERT",
            *updating("status", "name", "kind", "line", "reason", "unmatched", "answers"),
            *updating("lines", "received_at"),
        },
        "bank_statements": {"INSERT"},
        "deliveries": {
            *inserting("merchant_id", "livemode", "id", "endpoint_id", "event_id", "sequence"),
            *inserting("created_at", "next_attempt_at"),
            *updating("status", "next_attempt_at"),
            "DELETE",
        },
        "event_numbers": {"INSERT"},
        "events": inserting(
            *("merchant_id", "livemode", "id", "object_id", "version", "type", "data"),
            *("ledger_transaction", "created_at"),
        ),
        "event_watermark": updating("watermark"),
        "idempotency_keys": {"DELETE"},
        "journal": {  # of what is ours alone: a policy says so
            *inserting("id", "source", "owner", "recorded_at", "a1", "v1", "a2", "v2", "a3", "v3"),
            *inserting("a4", "v4", "value_on", "kind", "part", "livemode", "reverses", "reason"),
        },
        "matching_rules": {"INSERT", *updating("retired_at", "retired_by")},
        "merchant_changes": {"INSERT"},
        "merchants": updating(
            *("reserve_basis_points", "reserve_days", "overdraft_cents", "settings_version"),
            *("recovery_days", "debit_mandate", "debit_mandate_signed_on"),
        ),
        "micro_deposits": updating(
            *("bank_file", "arrives_on", "ledger_transaction", "returned_as", "failure_code"),
            "untold",
        ),
        "outbox": {"INSERT", *updating("next_send_at", "sends")},
        "payouts": updating("bank_file"),
        "recoveries": {
            *inserting("merchant_id", "livemode", "id", "amount", "created_at", "negative_since"),
            *inserting("currency"),
            *updating("version", "status"),
        },
        "recovery_debits": updating("bank_file", "status", "version", "canceled_by"),
        "rollup": updating("watermark"),
        "suspense_items": {
            "INSERT",
            *updating("resolution", "target", "resolved_at", "resolved_as", "resolved_by"),
            *updating("reason", "connector"),
        },
        "test_clocks": updating("looked_at"),
    },
    "ivy_settle": {
        "events": inserting(
            *("merchant_id", "livemode", "id", "object_id", "version", "type", "data"),
            *("ledger_transaction", "created_at"),
        ),
        "journal": inserting(
            *("a1", "v1", "a2", "v2", "a3", "v3", "a4", "v4", "id", "source", "owner"),
            *("recorded_at", "value_on", "kind", "part", "livemode", "reverses", "reason"),
        ),
        "outbox": inserting(
            *("id", "merchant_id", "livemode", "queue", "subject", "action", "correlation"),
            *("next_send_at", "expected_at", "due_at", "created_at"),
        ),
        "reserves": {"INSERT", *updating("status", "version", "ledger_transaction")},
        "settled_through": updating("settled_on"),
        "settlements": {"INSERT"},
    },
    "ivy_read": {},
}


@pytest.fixture(scope="module")
def root(shared_store: Store) -> Iterator[psycopg.Connection[Any]]:
    with shared_store.superuser() as connection:
        yield connection


@pytest.mark.parametrize("role", ROLES)
def test_each_role_writes_only_what_it_must(root: psycopg.Connection[Any], role: str) -> None:
    found: dict[str, set[str]] = {}
    for table, privilege in root.execute(
        "SELECT relname, privilege_type FROM pg_class, aclexplode(relacl)"
        " WHERE relnamespace = 'ivy'::regnamespace AND relkind IN ('r', 'v')"
        " AND grantee = %s::regrole",
        (role,),
    ):
        if privilege in WRITES:
            found.setdefault(table, set()).add(privilege)
    for table, column, privilege in root.execute(
        "SELECT relname, attname, privilege_type FROM pg_class"
        " JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)"
        " WHERE relnamespace = 'ivy'::regnamespace AND grantee = %s::regrole",
        (role,),
    ):
        if privilege in WRITES:
            found.setdefault(table, set()).add(f"{privilege}({column})")
    assert found == ALLOWED[role]


def test_nothing_is_granted_to_everybody(root: psycopg.Connection[Any]) -> None:
    found = root.execute(
        "SELECT relname FROM pg_class, aclexplode(relacl)"
        " WHERE relnamespace = 'ivy'::regnamespace AND grantee = 0"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize("role", ROLES)
def test_no_role_is_more_than_a_login(root: psycopg.Connection[Any], role: str) -> None:
    found = root.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication, rolcanlogin,"
        " NOT EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)"
        " FROM pg_roles WHERE rolname = %s",
        (role,),
    ).fetchone()
    assert found == (False, False, False, False, False, True, True)
    owned = root.execute(
        "SELECT relname FROM pg_class WHERE relowner = %s::regrole", (role,)
    ).fetchall()
    assert owned == []


@pytest.mark.parametrize("role", ROLES)
def test_time_limits_come_with_the_role(shared_store: Store, role: str) -> None:
    with psycopg.connect(shared_store.url(role)) as connection:
        limits = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("statement_timeout", "lock_timeout", "transaction_timeout", "timezone")
        ]
    assert limits == [("8s",), ("3s",), ("14s",), ("UTC",)]


def test_a_statement_of_a_merchant_has_one_plan(shared_store: Store) -> None:
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        assert connection.execute("SHOW plan_cache_mode").fetchone() == ("force_generic_plan",)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE journal DISABLE TRIGGER append_only",
        "ALTER TABLE journal DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE journal DROP CONSTRAINT legs_are_sound",
        "DROP TABLE journal",
        "DROP POLICY own ON charges",
        "CREATE TABLE mine (n integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1",
        "CREATE SCHEMA mine",
        "SET session_replication_role = replica",
        "SET ROLE ivy_owner",
        "GRANT UPDATE ON journal TO ivy_app",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "UPDATE migrations SET checksum = ''",
    ],
)
def test_no_role_can_loosen_its_bonds(shared_store: Store, role: str, statement: str) -> None:
    with psycopg.connect(shared_store.url(role)) as connection:
        if statement.startswith("GRANT"):  # perhaps a warning only: so look at what it changed
            with suppress(errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement.encode())
            allowed = "SELECT has_any_column_privilege('ivy_app', 'journal', 'UPDATE')"
            assert connection.execute(allowed.encode()).fetchone() == (False,)
            return
        with pytest.raises((errors.InsufficientPrivilege, errors.InvalidParameterValue)):
            connection.execute(statement.encode())


HIDDEN = (
    "INSERT INTO journal (id, source, owner, recorded_at, a1, v1, a2, v2, value_on, kind,"
    " livemode, xid) VALUES (gen_random_uuid(), gen_random_uuid(), 1042, now(), 8400110, 1,"
    " 10428400210, -1, now(), 1, false, 1)"
)


def test_the_app_cannot_invent_money(shared_store: Store) -> None:
    """A balance moves by journal rows alone, and no row can hide behind the watermark."""
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        connection.execute("SELECT set_config('app.merchant', '1042', false)")
        connection.execute("SELECT set_config('app.livemode', 'false', false)")
        connection.execute("INSERT INTO accounts (number) VALUES (10428400220)")
        connection.commit()
        for statement in (
            "INSERT INTO accounts (number, balance) VALUES (10428400230, -1)",
            "UPDATE accounts SET balance = -1",
            HIDDEN,
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.rollback()


def test_the_reader_never_sees_a_secret(shared_store: Store) -> None:
    with psycopg.connect(shared_store.url("ivy_read"), autocommit=True) as connection:
        for statement in ("SELECT password_hash FROM users", "SELECT hash FROM api_keys"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        connection.execute("SELECT email FROM users")
        connection.execute("SELECT last4 FROM api_keys")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT body FROM idempotency_keys")
