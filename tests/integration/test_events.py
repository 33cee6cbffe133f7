"""Every sample under events/ is run by its function, and is what that function really gets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from infra import layers
from infra.catalogue import Function, read_functions
from ivy import credentials, ids
from ivy.connectors import Order, RequiresAction, remote
from ivy.needs import Need
from ivy.serve.declaration import (
    Authorizer,
    ConnectorFunction,
    Consumer,
    Job,
    Route,
)
from tests.cloud import Cloud
from tests.conftest import Store, copied
from tests.driving import LambdaContext, Platform

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES = REPOSITORY / "events"
FUNCTIONS = {function.name: function for function in read_functions()}

MERCHANT_ID = 1001
MERCHANT = UUID("019ab2c4d0007a01b2c3d4e5f6071829")
USER = UUID("019ab2c4d0007b02b2c3d4e5f6071829")
KEY = UUID("019ab2c4d0007c03b2c3d4e5f6071829")
CHARGE = UUID("019ab2c4d5e67f8091a2b3c4d5e6f708")
CHALLENGED = UUID("019ab2c4d5e67f8091a2b3c4d5e6f70b")
PENDING = UUID("019ab2c4d5e6700191a2b3c4d5e6f70a")
LEDGER_TRANSACTION = UUID("019ab2c4d7117a3c9e55d02f8b1c4e6a")
TASK = UUID("019ab2c4d5e6700091a2b3c4d5e6f709")
AT = "2025-11-24T09:30:00Z"


PLANTED = """
    INSERT INTO merchants (id, public_id, name, country, default_currency, created_at)
    VALUES (%(m)s, %(merchant)s, 'Analytical Engines', 'US', 'USD', %(at)s);

    SELECT setval('merchants_id_seq', %(m)s);

    INSERT INTO journal (id, source, owner, livemode, kind, value_on, recorded_at,
                         a1, v1, a2, v2, a3, v3, a4, v4)
    VALUES (%(ltx)s, %(charge)s, %(m)s, false, 1, %(at)s::date, %(at)s::timestamptz,
            8400110, 9820, 10018400210, -9680, 8400410, -320, 8400510, 180);

    INSERT INTO charges (merchant_id, livemode, id, amount, amount_captured, fee, created_at,
                         ledger_transaction, version, available_on, currency, status,
                         payment_method)
    VALUES (%(m)s, false, %(charge)s, 10000, 10000, 320, %(at)s::timestamptz, %(ltx)s, 2,
            %(at)s::date, 'USD', 'succeeded', 'tok_visa');

    INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency, status,
                         payment_method)
    VALUES (%(m)s, false, %(pending)s, 5000, %(at)s, 'USD', 'pending', 'tok_visa');

    INSERT INTO outbox (id, merchant_id, livemode, queue, subject, correlation, next_send_at,
                        created_at)
    VALUES (%(task)s, %(m)s, false, 'charges', %(pending)s, 'req', %(at)s, %(at)s)
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
        roles = {role: deployment._secret_id(role) for role in ("ivy_app", "ivy_jobs")}
        deployment.override(IVY_ROLE_SECRETS=json.dumps(roles))
        with store.superuser() as connection:
            plant_credentials(deployment, connection)
        plant_challenge(deployment)
        yield deployment


def plant(connection: psycopg.Connection[Any]) -> None:
    """Write the rows that the samples speak of."""
    values = {
        "m": MERCHANT_ID,
        "merchant": MERCHANT,
        "user": USER,
        "charge": CHARGE,
        "pending": PENDING,
        "ltx": LEDGER_TRANSACTION,
        "task": TASK,
        "at": AT,
    }
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


def plant_challenge(platform: Platform) -> None:
    """Let a payment wait for the payer who opens the simulated acquirer's page."""
    platform.enter((Need.CONNECTORS,))
    order = Order(
        operation="authorize",
        key=CHALLENGED.hex,
        account=f"{MERCHANT_ID}-test",
        charge=CHALLENGED,
        amount_minor=5_000,
        currency="USD",
        payment_method="tok_requires_action",
        at=ids.now(),
    )
    assert isinstance(remote.connector("simulated").authorize(order), RequiresAction)


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


def check(function: Function, answer: Any, store: Store) -> None:
    match function.declaration:
        case Route() as route:
            assert answer["statusCode"] == route.status, answer["body"]
        case Authorizer():
            assert answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
            assert answer["context"]["credential"] == KEY.hex
        case Consumer():
            assert answer == {"batchItemFailures": []}
            with store.superuser() as connection:
                row = connection.execute("SELECT status FROM charges WHERE id = %s", (PENDING,))
                assert row.fetchone() == ("succeeded",)
        case Job():
            assert isinstance(answer, dict)
            assert answer
        case ConnectorFunction():
            assert answer["outcome"] in ("approved", "declined")
