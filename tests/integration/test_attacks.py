"""Attacks that once succeeded, each with what stops it now."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest
from psycopg import errors

from functions.access import login, register
from functions.api_keys import create as create_key
from functions.api_keys import list as list_keys
from functions.api_keys import revoke
from functions.charges import create
from functions.ledger import roll_up
from ivy import migrations
from ivy.errors import RequestInvalid
from ivy.serve import problems
from ivy.serve.schedules import JobError
from local.postgres import Postgres
from tests.conftest import PASSWORD as ROLE_PASSWORD
from tests.conftest import ROLES, Store
from tests.driving import PASSWORD, Account, Platform

CHARGE = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}


def lose(platform: Platform, account: Account) -> None:
    """Revoke an account's key while the authoriser's answer about it is still cached."""
    platform.principal(account.secret_key)
    gone = platform.request(revoke.handler, bearer=account.access_token, id=account.key_id)
    assert gone.status == revoke.handler.status


def test_a_revoked_key_makes_no_other_key(platform: Platform) -> None:
    """Otherwise a thief outlives the revocation, for good, within the minute of the cache."""
    ada = platform.open_account()
    lose(platform, ada)
    made = platform.request(create_key.handler, {"name": "mine"}, bearer=ada.secret_key)
    assert made.code == "credential_invalid"
    keys = platform.request(list_keys.handler, bearer=ada.access_token).json()["data"]
    assert [key["id"] for key in keys] == [ada.key_id]


def test_a_revoked_key_revokes_no_other_key(platform: Platform) -> None:
    ada = platform.open_account()
    other = platform.request(create_key.handler, {"name": "b"}, bearer=ada.access_token).json()
    lose(platform, ada)
    refused = platform.request(revoke.handler, bearer=ada.secret_key, id=other["id"])
    assert refused.code == "credential_invalid"
    keys = platform.request(list_keys.handler, bearer=ada.access_token).json()["data"]
    assert {key["id"]: key["revoked_at"] for key in keys}[other["id"]] is None


@pytest.mark.parametrize("route", [register.handler, login.handler])
def test_an_address_that_grows_in_lower_case_is_too_long(deployed: Platform, route: Any) -> None:
    address = "\u0130" * 30 + "@" + "\u0130" * 200 + ".com"  # 235 characters, 465 in lower case
    person = {"email": address, "password": PASSWORD}
    if route is register.handler:
        person |= {"business_name": "Growing", "country": "US"}
    answer = deployed.request(route, person)
    assert answer.code == "request_invalid"
    assert [wrong["pointer"] for wrong in answer.json()["errors"]] == ["/email"]


def test_an_answer_never_names_more_fields_than_lambda_can_return(
    deployed: Platform, ada: Account
) -> None:
    pairs = ",".join(f'"\x7f{number:x}":1' for number in range(26_000))
    body = json.dumps(CHARGE)[:-1] + f', "metadata": {{{pairs}}}}}'
    answer = deployed.request(
        create.handler, body, bearer=ada.secret_key, headers={"Idempotency-Key": "long"}
    )
    assert answer.code == RequestInvalid.code
    assert len(answer.json()["errors"]) == problems.MAX_FIELDS


def test_two_deployments_set_passwords_at_once(cluster: Postgres, shared_store: Store) -> None:
    """Without the lock the loser fails on the role's row and the server logs the statement."""
    failed: list[BaseException] = []

    def deploy() -> None:
        try:
            with psycopg.connect(shared_store.url("ivy_owner"), autocommit=True) as owner:
                for _ in range(20):
                    for role in ROLES:
                        migrations.set_password(owner, role, ROLE_PASSWORD)
        except psycopg.Error as error:
            failed.append(error)

    deployments = [threading.Thread(target=deploy) for _ in range(3)]
    for deployment in deployments:
        deployment.start()
    for deployment in deployments:
        deployment.join()
    assert not failed
    assert ROLE_PASSWORD not in cluster.log_file.read_text(errors="replace")


def test_a_failed_change_of_password_leaves_no_password_in_the_log(
    cluster: Postgres, shared_store: Store
) -> None:
    with (
        psycopg.connect(shared_store.url("ivy_owner"), autocommit=True) as owner,
        pytest.raises(errors.UndefinedObject),
    ):
        migrations.set_password(owner, "nobody_here", "never-in-a-log")
    log = cluster.log_file.read_text(errors="replace")
    assert "nobody_here" in log
    assert "never-in-a-log" not in log


def test_a_roll_up_never_goes_back(platform: Platform, store: Store, charging: Any) -> None:
    """After a logical restore transaction ids start again, below the watermark."""
    charging(platform, platform.open_account(), "one")
    platform.run(roll_up.handler)
    with store.superuser() as root:
        before = root.execute("SELECT number, balance FROM accounts ORDER BY 1").fetchall()
        root.execute("UPDATE rollup SET watermark = watermark + 1_000_000")
        mark = root.execute("SELECT watermark FROM rollup").fetchone()
        with pytest.raises(JobError):
            platform.run(roll_up.handler)
        assert root.execute("SELECT watermark FROM rollup").fetchone() == mark
        assert root.execute("SELECT number, balance FROM accounts ORDER BY 1").fetchall() == before


A_HASH = "ab" * 32
A_KEY_BY_ITS_HASH = (
    "INSERT INTO api_keys (merchant_id, id, livemode, kind, name, hash, prefix, last4, scopes,"
    " created_at) VALUES (1001, gen_random_uuid(), true, 'secret', 'mine', presented(), 'p',"
    " 'aaaa', '{}', now())"
)
LIVE_FROM_BIRTH = (
    "INSERT INTO merchants (id, public_id, name, country, default_currency, created_at, live_open)"
    " VALUES (9001, gen_random_uuid(), 'm', 'US', 'USD', now(), true)"
)
VERIFIED_FROM_BIRTH = (
    "INSERT INTO users (id, email, password_hash, verified_at, created_at)"
    " VALUES (gen_random_uuid(), 'eve@example.com', 'h', now(), now())"
)
SUCCEEDED_FROM_BIRTH = (
    "INSERT INTO charges (merchant_id, livemode, id, amount, created_at, currency, status,"
    " payment_method, fee, available_on, ledger_transaction, amount_captured)"
    " VALUES (1001, false, gen_random_uuid(), 5, now(), 'USD', 'succeeded', 't', 1, now(),"
    " gen_random_uuid(), 5)"
)


@pytest.mark.parametrize(
    ("settings", "statement", "refused"),
    [
        ({"presented": A_HASH}, A_KEY_BY_ITS_HASH, "row-level security"),
        ({"merchant": "9001"}, LIVE_FROM_BIRTH, "permission denied"),
        ({"presented": "eve@example.com"}, VERIFIED_FROM_BIRTH, "permission denied"),
        ({"merchant": "1001", "livemode": "false"}, SUCCEEDED_FROM_BIRTH, "permission denied"),
    ],
    ids=["a key by its hash", "live", "verified", "succeeded"],
)
def test_the_app_cannot_begin_where_it_should_end(
    shared_store: Store, settings: dict[str, str], statement: str, refused: str
) -> None:
    with psycopg.connect(shared_store.url("ivy_app")) as connection:
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", value))
        with pytest.raises(errors.InsufficientPrivilege, match=refused):
            connection.execute(statement.encode())


def test_an_answer_is_never_rewritten(deployed: Platform, ada: Account) -> None:
    given = deployed.request(
        create.handler, CHARGE, bearer=ada.secret_key, headers={"Idempotency-Key": "kept"}
    )
    with psycopg.connect(deployed.store.url("ivy_app")) as connection:
        for name, value in {"merchant": str(ada.merchant_id), "livemode": "false"}.items():
            connection.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", value))
        kept = connection.execute("SELECT body FROM answers").fetchall()
        assert (given.body,) in kept
        for change in ("body = 'other', event_id = NULL", "event_id = gen_random_uuid()"):
            statement = f"UPDATE idempotency_keys SET {change}"
            assert connection.execute(statement.encode()).rowcount == 0


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"allowed_ips": ["203.0.113.7"]}, "/expires_at"),
        ({"expires_at": "2999-01-02T00:00:00Z", "allowed_ips": ["203.0.113.7"]}, "/expires_at"),
        ({"expires_at": "2998-01-01T00:00:00Z"}, "/allowed_ips"),
        ({"expires_at": "2998-01-01T00:00:00Z", "allowed_ips": ["203.0.0.0/8"]}, "/allowed_ips"),
        ({"expires_at": "2998-01-01T00:00:00Z", "allowed_ips": ["2001:db8::1"]}, "/allowed_ips"),
        ({"expires_at": "2998-01-01T00:00:00Z", "allowed_ips": ["203.0.113.7"]}, None),
    ],
)
def test_a_key_makes_no_key_that_may_more(
    deployed: Platform, ada: Account, asked: dict[str, Any], pointer: str | None
) -> None:
    bounds = {"expires_at": "2999-01-01T00:00:00Z", "allowed_ips": ["203.0.113.0/24", "127.0.0.1"]}
    maker = deployed.request(
        create_key.handler, {"name": "bounded"} | bounds, bearer=ada.access_token
    ).json()["secret"]
    answer = deployed.request(create_key.handler, {"name": "made"} | asked, bearer=maker)
    if pointer is None:
        assert answer.status == create_key.handler.status, answer.body
    else:
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_removed_member_cannot_charge_any_more(platform: Platform) -> None:
    ada = platform.open_account()
    platform.principal(ada.access_token)
    with platform.store.superuser() as connection:
        connection.execute("DELETE FROM members")
    refused = platform.request(
        create.handler, CHARGE, bearer=ada.access_token, headers={"Idempotency-Key": "late"}
    )
    assert (refused.status, refused.code) == (401, "credential_invalid")


def test_a_mode_that_does_not_exist_is_not_taken_for_test(deployed: Platform, ada: Account) -> None:
    refused = deployed.request(
        list_keys.handler, bearer=ada.access_token, headers={"Ivy-Mode": "production"}
    )
    assert (refused.status, refused.json()["param"]) == (422, "Ivy-Mode")


def test_a_dotless_i_is_no_letter_of_a_currency(deployed: Platform, ada: Account) -> None:
    refused = deployed.request(
        create.handler,
        CHARGE | {"currency": "\N{LATIN SMALL LETTER DOTLESS I}dr"},
        bearer=ada.secret_key,
        headers={"Idempotency-Key": "dotless"},
    )
    assert refused.status == 422
