"""Every sample under events/ is run by its function, and is what that function really gets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from infra import layers
from infra.catalogue import Function, read_functions
from ivy import credentials, ids
from ivy.connectors import Order, remote
from ivy.needs import Need
from ivy.serve.declaration import (
    Authorizer,
    Command,
    ConnectorFunction,
    Consumer,
    Job,
    Route,
)
from tests.asking import ask
from tests.cloud import Cloud
from tests.conftest import ROLES, Store, copied
from tests.driving import LambdaContext, Platform

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "events"
FUNCTIONS = {function.name: function for function in read_functions()}

MERCHANT_ID = 1001
MERCHANT = UUID("019ab2c4d0007a01b2c3d4e5f6071829")
USER = UUID("019ab2c4d0007b02b2c3d4e5f6071829")
KEY = UUID("019ab2c4d0007c03b2c3d4e5f6071829")
LEDGER_TRANSACTION = UUID("019ab2c4d7117a3c9e55d02f8b1c4e6a")
PENDING = UUID("019ab2c4d5e6700191a2b3c4d5e6f70a")
TASK = UUID("019ab2c4d5e6700091a2b3c4d5e6f709")
AT = "2025-11-24T09:30:00Z"


def made(number: str) -> UUID:
    """The id of an object that samples speak of, by its last digits."""
    return UUID(f"019ab2c4d5e67f8091a2b3c4d5e6{number}")


CHARGE, CHALLENGED, DISPUTED = made("f708"), made("f70b"), made("f710")
ROWS = {
    "m": MERCHANT_ID, "merchant": MERCHANT, "ltx": LEDGER_TRANSACTION, "at": AT,
    "charge": CHARGE, "pending": PENDING, "disputed": DISPUTED,
    "captured": made("f711"), "canceled": made("f712"), "expired": made("f713"),
    "stuck": made("f714"), "refund": made("f720"), "answered": made("f730"),
    "accepted": made("f731"), "contested": made("f732"), "lapsed": made("f733"),
    "task": TASK, "refund_task": made("f740"), "dispute_task": made("f741"),
    "stuck_task": made("f742"), "report_task": UUID("019ab2c4-d5e6-7000-91a2-b3c4d5e6f745"),
    "itemised": made("f715"), "earned": made("f764"), "moved": made("f765"),
    "endpoint": made("f750"), "delivery": made("f751"),
    "event": made("f752"), "unwanted": made("f753"), "sending": made("f754"),
    "account": made("f760"), "former": made("f761"),
    "settlement": UUID("019ac2c4d5e67f8091a2b3c4d5e6f708"),
    "unreported": UUID("019ac2c4d5e67f8091a2b3c4d5e6f709"), "paid_to": made("f762"),
    "asked": UUID("019ac2c9b1c27d3e8f4a5b6c7d8e9f02"), "funds": made("f763"),
    "refused": UUID("019ac2c9b1c27d3e8f4a5b6c7d8e9f03"),
    "asked_for": UUID("019ac2c4d5e67f8091a2b3c4d5e6f70d"),
    "wanted": UUID("019ac2c4d5e67f8091a2b3c4d5e6f70e"),
    "make_task": UUID("019ab2c4-d5e6-7000-91a2-b3c4d5e6f746"),
    "report": f"reports/test/mer_{MERCHANT.hex}/stl_019ac2c4d5e67f8091a2b3c4d5e6f708.csv",
    "withdrawn": UUID("019ac2c9b1c27d3e8f4a5b6c7d8e9f04"),
    "owed": UUID("019ac2c4d5e67f8091a2b3c4d5e6f70b"),
    "proposed": UUID("019ac2c4d5e67f8091a2b3c4d5e6f70c"),
    "suspended": UUID("019ac2c9b1c27d3e8f4a5b6c7d8e9f05"),
    "collecting": UUID("019ac2c4d5e67f8091a2b3c4d5e6f70f"),
    "collected": UUID("019ac2c4d5e67f8091a2b3c4d5e6f710"),
    "debit": UUID("019ac2c4d5e67f8091a2b3c4d5e6f711"),
    "debtor": made("f770"), "in_dollars": made("f771"), "in_euros": made("f772"),
}  # fmt: skip

PLANTED = """
    INSERT INTO merchants (id, public_id, name, country, default_currency, payout_schedule,
                           created_at)
    VALUES (%(m)s, %(merchant)s, 'Analytical Engines', 'US', 'USD', 'daily', %(at)s);

    SELECT setval('merchants_id_seq', %(m)s + 1);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3, a4, v4)
    VALUES (%(ltx)s, %(charge)s, %(m)s, false, 1, %(at)s::date, %(at)s::timestamptz,
            8400110, 9820, 10018400210, -9680, 8400410, -320, 8400510, 180);

    INSERT INTO charges (merchant_id, livemode, id, amount, amount_captured, amount_refund_pending,
                         amount_disputed, fee, created_at, ledger_transaction, version,
                         available_on, currency, status, capture, method, payment_method,
                         connector, fee_plan, fee_plan_version)
    SELECT %(m)s, false, id, 10000, 10000, refunding, disputed, 320, %(at)s::timestamptz, %(ltx)s,
           2, %(at)s::date, 'USD', 'succeeded', true, 'card', token, 'simulated', 'standard', 1
    FROM (VALUES (%(charge)s::uuid, 'tok_visa', 1000, 0),
                 (%(disputed)s, 'tok_dispute', 0, 10000)) AS row (id, token, refunding, disputed);

    INSERT INTO charges (merchant_id, livemode, id, amount, amount_captured, fee, created_at,
                         ledger_transaction, version, available_on, currency, status, capture,
                         method, payment_method, connector, fee_plan, fee_plan_version)
    VALUES (%(m)s, false, %(itemised)s, 10000, 10000, 320, %(at)s::timestamptz, %(earned)s, 2,
            %(at)s::date - 1, 'CHF', 'succeeded', true, 'card', 'tok_visa', 'simulated',
            'standard', 1);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3)
    VALUES (%(earned)s, %(itemised)s, %(m)s, false, 1, %(at)s::date, %(at)s::timestamptz,
            7560110, 10000, 10017560210, -9680, 7560410, -320),
           (%(moved)s, %(unreported)s, %(m)s, false, 30, %(at)s::date, %(at)s::timestamptz,
            10017560210, 9680, 10017560220, -9680, null, null);

    INSERT INTO reports (merchant_id, livemode, id, type, currency, month, format, time_zone,
                         begins_at, ends_at, created_at, status, ready_at, key, size, sha256,
                         line_count, version)
    VALUES (%(m)s, false, %(asked_for)s, 'statement', 'USD', '2025-10-01', 'csv', 'UTC',
            '2025-10-01', '2025-11-01', %(at)s, 'ready', %(at)s, %(report)s, 1, repeat('0', 64), 0,
            2),
           (%(m)s, false, %(wanted)s, 'statement', 'USD', '2025-10-01', 'csv', 'UTC',
            '2025-10-01', '2025-11-01', %(at)s, 'pending', null, null, null, null, null, 1);

    INSERT INTO settled_through (merchant_id, livemode, currency, settled_on)
    VALUES (%(m)s, false, 'USD', %(at)s::date - 1), (%(m)s, false, 'CHF', %(at)s::date - 1);

    INSERT INTO settlements (merchant_id, livemode, id, currency, settled_on, charge_count, charges,
                             fees, refunds, returns, net, reserved, ledger_transaction, created_at,
                             report_key, report_size, items_sha256, item_count, reported_at)
    VALUES (%(m)s, false, %(settlement)s, 'USD', %(at)s::date - 1, 1, 10000, 320, 0, 0, 9680, 0,
            %(ltx)s, %(at)s::timestamptz, %(report)s, 1, repeat('0', 64), 1,
            %(at)s::timestamptz),
           (%(m)s, false, %(unreported)s, 'CHF', %(at)s::date - 1, 1, 10000, 320, 0, 0, 9680, 0,
            %(moved)s, %(at)s::timestamptz, null, null, null, null, null);

    INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency, status,
                         capture_before, capture, method, payment_method, connector, fee_plan,
                         fee_plan_version)
    SELECT %(m)s, false, id, 5000, %(at)s, 'USD', status, capture_before, capture_before IS NULL,
           'card', 'tok_visa', 'simulated', 'standard', 1
    FROM (VALUES (%(pending)s::uuid, 'pending', null::timestamptz),
                 (%(stuck)s, 'pending', null),
                 (%(captured)s, 'authorized', now() + interval '7 days'),
                 (%(canceled)s, 'authorized', now() + interval '7 days'),
                 (%(expired)s, 'authorized', now())) AS row (id, status, capture_before);

    INSERT INTO refunds (merchant_id, livemode, id, charge_id, amount, created_at, currency,
                         pending_reason, ledger_transaction)
    VALUES (%(m)s, false, %(refund)s, %(charge)s, 1000, %(at)s, 'USD', 'processing', %(ltx)s);

    INSERT INTO disputes (merchant_id, livemode, id, charge_id, amount, fee, created_at,
                          evidence_due_by, currency, status, evidence, reason, connector, reference)
    SELECT %(m)s, false, id, %(disputed)s, 2500, 1500, %(at)s, due, 'USD', status, 'Delivered.',
           'fraudulent', 'simulated', reference
    FROM (VALUES (%(answered)s::uuid, 'needs_response', now() + interval '7 days', 'one'),
                 (%(accepted)s, 'needs_response', now() + interval '7 days', 'two'),
                 (%(contested)s, 'under_review', now() + interval '7 days', %(reference)s),
                 (%(lapsed)s, 'needs_response', now(), 'three'))
         AS row (id, status, due, reference);

    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, action, correlation,
                        next_send_at, expected_at, created_at)
    SELECT id, %(m)s, false, queue, subject, action, 'req', %(at)s, %(at)s, %(at)s
    FROM (VALUES (%(task)s::uuid, 'charges', %(pending)s::uuid, 'authorize'),
                 (%(stuck_task)s, 'charges', %(stuck)s, 'authorize'),
                 (%(make_task)s, 'reports', %(wanted)s, 'make'),
                 (%(report_task)s, 'settlement_reports', %(unreported)s, 'report'),
                 (%(refund_task)s, 'refunds', %(refund)s, 'refund'),
                 (%(dispute_task)s, 'disputes', %(contested)s, 'contest'))
         AS row (id, queue, subject, action);

    INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data, created_at)
    VALUES (%(m)s, false, %(event)s, %(charge)s, 2, 'charge.succeeded',
            '{"object": "charge", "version": 2}', %(at)s);

    INSERT INTO event_numbers (merchant_id, livemode, sequence, event_id)
    VALUES (%(m)s, false, 1, %(event)s);

    INSERT INTO webhook_endpoints (merchant_id, livemode, id, created_at, url, events, api_version)
    SELECT %(m)s, false, id, %(at)s, 'https://example.com/webhooks/ivy', '{*}', '2026-12-01'
    FROM (VALUES (%(endpoint)s::uuid), (%(unwanted)s)) AS row (id);

    INSERT INTO deliveries (merchant_id, livemode, id, endpoint_id, event_id, sequence, created_at,
                            status, next_attempt_at)
    SELECT %(m)s, false, id, %(endpoint)s, %(event)s, 1, %(at)s, status, next_attempt_at
    FROM (VALUES (%(delivery)s::uuid, 'succeeded', null::timestamptz),
                 (%(sending)s, 'sending', now())) AS row (id, status, next_attempt_at);

    INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,
                               account_holder_name, iban, last4, fingerprint, micro_deposits)
    SELECT %(m)s, false, id, %(at)s, 'DE', 'EUR', 'Analytical Engines', iban, right(iban, 4),
           md5(iban) || md5(iban), '{32,45}'
    FROM (VALUES (%(account)s::uuid, 'DE89370400440532013000'),
                 (%(former)s, 'DE73370400440000000104')) AS row (id, iban);

    INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,
                               account_holder_name, account_type, routing_number, account_number,
                               last4, fingerprint, micro_deposits, status, version, verified_at,
                               payable_from)
    VALUES (%(m)s, false, %(paid_to)s, %(at)s, 'US', 'USD', 'Analytical Engines', 'checking',
            '110000000', '000123456789', '6789', repeat('a', 64), '{32,45}', 'verified', 2, %(at)s,
            %(at)s);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at, a1, v1, a2, v2)
    VALUES (%(funds)s, %(settlement)s, %(m)s, false, 30, %(at)s::date, %(at)s::timestamptz,
            10018400210, 9680, 10018400220, -9680);

    INSERT INTO payouts (merchant_id, livemode, id, bank_account_id, amount, created_at, currency,
                         status)
    SELECT %(m)s, false, id, %(paid_to)s, 100, %(at)s, 'USD', 'requires_approval'
    FROM (VALUES (%(asked)s::uuid), (%(refused)s), (%(withdrawn)s)) AS row (id);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at, a1, v1, a2, v2)
    SELECT gen_random_uuid(), gen_random_uuid(), %(m)s, false, 30, %(at)s::date,
           %(at)s::timestamptz, 10010000220 + number * 10000, 500, number * 10000 + 110, -500
    FROM currencies WHERE code IN ('GBP', 'EUR');

    INSERT INTO recoveries (merchant_id, livemode, id, currency, amount, created_at, negative_since,
                            proposed, proposed_by, proposed_at, reason)
    VALUES (%(m)s, false, %(owed)s, 'GBP', 500, %(at)s, %(at)s, NULL, NULL, NULL, NULL),
           (%(m)s, false, %(proposed)s, 'EUR', 500, %(at)s, %(at)s, 400, 'somebody', %(at)s,
            'gone');

    INSERT INTO merchants (id, public_id, name, country, default_currency, created_at,
                           debit_mandate, debit_mandate_signed_on)
    VALUES (%(m)s + 1, %(debtor)s, 'Difference Engines', 'US', 'USD',
            %(at)s::timestamptz, 'IVY-1', %(at)s::date);

    INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,
                               account_holder_name, account_type, routing_number, account_number,
                               iban, last4, fingerprint, micro_deposits, status, version,
                               verified_at, payable_from)
    VALUES (%(m)s + 1, false, %(in_dollars)s, %(at)s, 'US', 'USD', 'Difference Engines', 'checking',
            '110000000', '000123456789', null, '6789', repeat('b', 64), '{32,45}', 'verified', 2,
            %(at)s, %(at)s),
           (%(m)s + 1, false, %(in_euros)s, %(at)s, 'DE', 'EUR', 'Difference Engines', null, null,
            null, 'DE89370400440532013000', '3000', repeat('c', 64), '{32,45}', 'verified', 2,
            %(at)s, %(at)s);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at, a1, v1, a2, v2)
    VALUES (gen_random_uuid(), gen_random_uuid(), %(m)s + 1, false, 30, %(at)s::date,
            %(at)s::timestamptz, 10028400220, 500, 8400110, -500);

    INSERT INTO recoveries (merchant_id, livemode, id, currency, amount, created_at, negative_since)
    VALUES (%(m)s + 1, false, %(collecting)s, 'USD', 500, %(at)s, %(at)s),
           (%(m)s + 1, false, %(collected)s, 'EUR', 500, %(at)s, %(at)s);

    INSERT INTO recovery_debits (merchant_id, livemode, id, recovery_id, bank_account_id, amount,
                                 created_at, currency, mandate, mandate_signed_on, opened_by,
                                 reason)
    VALUES (%(m)s + 1, false, %(debit)s, %(collected)s, %(in_euros)s, 500,
            %(at)s::timestamptz, 'EUR', 'IVY-1', %(at)s::date, 'somebody', 'agreed');

    UPDATE merchants SET debit_mandate = 'IVY-2' WHERE id = %(m)s + 1;

    INSERT INTO bank_receipts (id, livemode, size, received_at, sha256, name, kind, status)
    VALUES (%(suspended)s, false, 1, %(at)s, repeat('a', 64), 'a.bai2', 'bai2', 'accepted');

    INSERT INTO bank_lines (id, livemode, receipt_id, amount, created_at, booked_on, ordinal,
                            currency, account, statement_id, bank_reference, description, outcome)
    VALUES (%(suspended)s, false, %(suspended)s, -700, %(at)s::timestamptz, %(at)s::date, 1,
            'USD', '9', 'S1', 'R1', 'UNKNOWN', 'suspense');

    INSERT INTO suspense_items (id, livemode, line_id, ledger_transaction, amount, currency,
                                opened_at)
    VALUES (%(suspended)s, false, %(suspended)s, %(suspended)s, -700, 'USD', %(at)s)
"""


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def store(cluster: Any) -> Iterator[Store]:
    with copied(cluster) as made, made.superuser() as connection:
        plant(connection)
        yield made


@pytest.fixture(scope="module")
def platform(cloud: Cloud, store: Store) -> Iterator[Platform]:
    with Platform(cloud, store) as deployment:
        roles = {role: deployment._secret_id(role) for role in ROLES if role != "ivy_read"}
        deployment.override(IVY_ROLE_SECRETS=json.dumps(roles))
        with store.superuser() as connection:
            plant_credentials(deployment, connection)
        plant_payments(deployment)
        plant_report(deployment)
        yield deployment


def plant(connection: psycopg.Connection[Any]) -> None:
    """Write the rows that the samples speak of."""
    values = ROWS | {"reference": f"sim_dp_{DISPUTED.hex}"}
    for statement in PLANTED.split(";"):
        connection.execute(statement, values)


def plant_credentials(platform: Platform, connection: psycopg.Connection[Any]) -> None:
    """Write what depends on the deployment's pepper: the sample's key, and who logs in."""
    platform.enter(FUNCTIONS["access/login"].declaration.needs)
    bearer = sample("access/authorize")["authorizationToken"].removeprefix("Bearer ")
    login = json.loads(sample("access/login")["body"])
    connection.execute(
        "INSERT INTO api_keys (merchant_id, id, livemode, kind, name, hash, prefix, last4, scopes,"
        " created_at) VALUES (%s, %s, false, 'secret', 'sample', %s, 'ivy_sk_test_', %s,"
        " '{charges:read}', %s)",
        (MERCHANT_ID, KEY, credentials.api_key_hash(bearer), bearer[-4:], AT),
    )
    connection.execute(
        "INSERT INTO users (id, email, password_hash, created_at) VALUES (%s, %s, %s, %s)",
        (USER, login["email"], credentials.password_hash(**login), AT),
    )
    connection.execute(
        "INSERT INTO members (merchant_id, user_id, role, created_at) VALUES (%s, %s, 'owner', %s)",
        (MERCHANT_ID, USER, AT),
    )


def plant_payments(platform: Platform) -> None:
    """Tell the simulated acquirer of the payments that the samples speak of.

    One waits for the payer who opens its page, and one is disputed.
    """
    platform.enter((Need.CONNECTORS,))
    acquirer, at = remote.connector("simulated"), ids.now()
    outcomes = [
        ask(
            acquirer,
            Order(
                operation="authorize",
                key=f"ch_{charge.hex}",
                account=f"{MERCHANT_ID}-test",
                charge=charge,
                amount_minor=10_000,
                currency="USD",
                payment_method=token,
                at=at,
            ),
        )
        for charge, token in (
            (CHARGE, "tok_visa"),
            (DISPUTED, "tok_dispute"),
            (CHALLENGED, "tok_requires_action"),
        )
    ]
    assert [outcome.outcome for outcome in outcomes] == ["approved", "approved", "requires_action"]
    assert len(acquirer.notices(at)) == 1


def plant_report(platform: Platform) -> None:
    """Write the files of the reports that samples ask for, in the forms that they ask for."""
    for form in ("csv", "json"):
        key = str(ROWS["report"]).replace("csv", form)
        platform.client("s3").put_object(Bucket=platform.bucket, Key=key, Body=b"{}")


def test_every_function_has_a_sample_and_every_sample_a_function() -> None:
    samples = {str(path.relative_to(SAMPLES))[:-5] for path in SAMPLES.rglob("*.json")}
    assert samples == set(FUNCTIONS)


def revoking_last(name: str) -> tuple[bool, str]:
    """The other samples are sent with the key that one of them revokes."""
    return name.endswith("revoke"), name


IN_ORDER = sorted(FUNCTIONS, key=revoking_last)


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_sample_runs(
    name: str, platform: Platform, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = FUNCTIONS[name]
    reference = layers.build("local")["reference"].directory / "python"
    monkeypatch.setattr(sys, "path", [*sys.path, str(reference)])
    platform.enter(function.declaration.needs)

    answer = function.declaration(sample(name), LambdaContext())

    check(function, answer, store)


DONE: dict[str, LiteralString] = {
    "charges": "SELECT outcome FROM attempts JOIN charges ON id = subject"
    " WHERE id = %(pending)s AND status = 'succeeded'",
    "refunds": "SELECT outcome FROM attempts JOIN refunds ON id = subject"
    " WHERE id = %(refund)s AND status = 'succeeded'",
    "disputes": "SELECT outcome FROM attempts WHERE subject = %(contested)s",
    "delivery_results": "SELECT outcome FROM delivery_attempts WHERE delivery_id = %(sending)s",
    "scheduled_payouts": "SELECT count(*) FROM payouts WHERE scheduled_on IS NOT NULL",
    "test_banking": "SELECT count(*) FROM bank_files WHERE kind = 'payout'",
    "payouts": "SELECT status FROM payouts WHERE id = %(refused)s",
    "clock": "SELECT count(*) FROM test_clocks",
    "events": "SELECT count(*) FROM event_watermark WHERE watermark > 0",
    "settlements": "SELECT charge_count FROM settlements"
    " WHERE id NOT IN (%(settlement)s, %(unreported)s)",
    "reports": "SELECT line_count FROM reports WHERE id = %(wanted)s",
    "settlement_reports": "SELECT item_count FROM settlements WHERE id = %(unreported)s",
}
"""What came of each consumer's sample; the sender of webhooks has no database to leave it in."""

SAID = {
    "delivery_results": "delivered", "events": 1, "settlements": 2, "scheduled_payouts": 1,
    "clock": 1, "test_banking": 1, "settlement_reports": 1, "reports": 0,
    "payouts": "requires_approval",
}  # fmt: skip
"""A late copy of a task about a payout does nothing."""


COMMANDED = {
    "stuck", "resolution", "merchant", "holiday", "debt", "write", "suspense", "reconciliation",
    "acquirer", "matching", "recovery",
}  # fmt: skip
"""What a command answers with; a refusal has no object."""


def check(function: Function, answer: Any, store: Store) -> None:
    match function.declaration:
        case Route() as route:
            assert answer["statusCode"] == route.status, answer["body"]
        case Authorizer():
            assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
            assert answer["context"]["credential"] == KEY.hex
        case Consumer() as consumer:
            assert answer == {"batchItemFailures": []}
            if consumer.queue == "webhooks":
                return
            with store.superuser() as connection:
                found = connection.execute(DONE[consumer.queue], ROWS).fetchone()
            assert found == (SAID.get(consumer.queue, "approved"),)
        case Job():
            assert isinstance(answer, dict)
            assert answer
        case Command():
            assert answer.get("object", "").partition("_")[0] in COMMANDED, answer
        case ConnectorFunction():
            (said,) = answer
            assert said["outcome"] in ("approved", "declined")
