"""Registering, logging in, being recognised: nothing tells who has an account."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import UUID

import jwt
import psycopg
import pytest
from argon2 import low_level

from functions.access import authorize, login, me, register
from functions.api_keys import list as list_keys
from functions.charges import list as list_charges
from functions.merchants import balance
from ivy import access, credentials, ids, recognition
from ivy.callers import Scope
from tests.conftest import Store
from tests.driving import PASSWORD, Account, LambdaContext, Platform, Reply

ADA = {
    "email": "ada@example.com",
    "password": PASSWORD,
    "business_name": "Analytical Engines",
    "country": "US",
}
ARN = "arn:aws:execute-api:eu-west-1:000000000000:a1b2c3/api/{}/v1/{}"


def shape(value: Any) -> Any:
    """What an answer looks like, whatever it says."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return type(value).__name__


def registering(platform: Platform, **changes: Any) -> Reply:
    return platform.request(register.handler, ADA | changes)


def logging_in(platform: Platform, email: str, password: str) -> Reply:
    return platform.request(login.handler, {"email": email, "password": password})


def rows(store: Store, table: str) -> int:
    with store.superuser() as root:
        found = root.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert found is not None
    return int(found[0])


def test_registering_opens_everything_at_once(platform: Platform, store: Store) -> None:
    answer = registering(platform, email="Ada@Example.COM")
    assert answer.status == 201
    made = answer.json()
    assert made["user"].items() >= {"email": "ada@example.com", "email_verified": False}.items()
    assert (
        made["merchant"].items()
        >= {
            "name": "Analytical Engines",
            "country": "US",
            "default_currency": "USD",
            "live_open": False,
        }.items()
    )
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 900)
    counts = {table: rows(store, table) for table in ("merchants", "users", "members", "accounts")}
    assert counts == {"merchants": 1, "users": 1, "members": 1, "accounts": 12}
    assert PASSWORD.encode() not in answer.body
    who = platform.request(me.handler, bearer=made["access_token"]).json()
    assert (who["merchant"], who["user"]) == (made["merchant"], made["user"])
    assert who["scopes"] == sorted(Scope)
    assert who["api_key"] is None


def test_a_known_address_is_answered_like_an_unknown_one(platform: Platform, store: Store) -> None:
    first = registering(platform)
    same = registering(platform)
    other = registering(platform, password="another four words nobody guesses")
    stranger = registering(platform, email="bob@example.com")
    assert {a.status for a in (first, same, other, stranger)} == {201}
    assert shape(first.json()) == shape(same.json()) == shape(other.json())
    assert shape(other.json()) == shape(stranger.json())
    quiet = {"request-id", "content-length"}
    assert first.headers.keys() == same.headers.keys() == other.headers.keys()
    assert {k: v for k, v in first.headers.items() if k not in quiet} == {
        k: v for k, v in other.headers.items() if k not in quiet
    }
    assert same.json()["merchant"] == first.json()["merchant"]
    assert same.json()["user"] == first.json()["user"]
    assert other.json()["merchant"]["id"] != first.json()["merchant"]["id"]
    assert other.json()["user"]["id"] != first.json()["user"]["id"]
    assert rows(store, "users") == 3


def test_each_password_leads_to_its_own_account(platform: Platform) -> None:
    second = "another four words nobody guesses"
    accounts = {p: registering(platform, password=p).json() for p in (PASSWORD, second)}
    for password, account in accounts.items():
        token = logging_in(platform, "ADA@example.com", password).json()["access_token"]
        who = platform.request(me.handler, bearer=token).json()
        assert who["merchant"]["id"] == account["merchant"]["id"]


def test_the_same_registration_twice_at_once_is_one_account(
    platform: Platform, store: Store
) -> None:
    """Two transactions race to insert the person; the second waits and finds them."""
    new = access.Registration.model_validate(ADA)
    platform.enter(register.handler.needs)
    password_hash = credentials.password_hash(new.email, new.password)
    found: list[access.Registered] = []
    from ivy.database import Database  # noqa: PLC0415 - the test's own connections

    one, two = Database(store.url("ivy_app")), Database(store.url("ivy_app"))

    def second() -> None:
        with two.transaction() as tx:
            found.append(access.register(tx, new, password_hash))

    with one.transaction() as tx:
        found.append(access.register(tx, new, password_hash))
        racing = threading.Thread(target=second)
        racing.start()
        with store.superuser() as root:
            while not root.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                pass
    racing.join(10)
    assert found[0].merchant == found[1].merchant
    assert rows(store, "users") == rows(store, "merchants") == 1
    one.close()
    two.close()


def test_logging_in_never_says_which_was_wrong(platform: Platform) -> None:
    registering(platform)
    good = logging_in(platform, "ada@example.com", PASSWORD)
    assert (good.status, good.json()["expires_in"]) == (200, 900)
    wrong = logging_in(platform, "ada@example.com", PASSWORD + "!")
    unknown = logging_in(platform, "nobody@example.com", PASSWORD)
    assert wrong.status == unknown.status == 401
    assert wrong.code == unknown.code == "login_invalid"
    differing = {key for key in wrong.json() if wrong.json()[key] != unknown.json()[key]}
    assert differing == {"request_id"}
    assert wrong.headers.keys() == unknown.headers.keys()


def test_the_work_is_the_same_whoever_exists(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One password hash and as many statements, so that time tells nothing either."""
    registering(platform)
    hashes: list[str] = []
    hashing = low_level.hash_secret

    def counted(*args: Any, **kwargs: Any) -> bytes:
        hashes.append("hash")
        return hashing(*args, **kwargs)

    monkeypatch.setattr(low_level, "hash_secret", counted)

    def work(request: Any) -> int:
        hashes.clear()
        request()
        return len(hashes)

    assert work(lambda: logging_in(platform, "ada@example.com", PASSWORD + "!")) == 1
    assert work(lambda: logging_in(platform, "nobody@example.com", PASSWORD)) == 1
    assert work(lambda: logging_in(platform, "ada@example.com", PASSWORD)) == 1
    assert work(lambda: registering(platform)) == 1
    assert work(lambda: registering(platform, email="new@example.com")) == 1
    assert work(lambda: registering(platform, email="g@example.com", password="a" * 20)) == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"email": "ada"}, "/email"),
        ({"email": "ada@localhost"}, "/email"),
        ({"email": "a b@example.com"}, "/email"),
        ({"email": "ada@@example.com"}, "/email"),
        ({"email": "ada\x00@example.com"}, "/email"),
        ({"email": "a" * 250 + "@example.com"}, "/email"),
        ({"password": "fourteen chars"}, "/password"),
        ({"password": "x" * 129}, "/password"),
        ({"password": "PasswordPassword1"}, "/password"),
        ({"password": "analytical engines"}, "/password"),
        ({"business_name": ""}, "/business_name"),
        ({"business_name": "x" * 256}, "/business_name"),
        ({"country": "us"}, "/country"),
        ({"country": "XX"}, "/country"),
        ({"country": None}, "/country"),
        ({"role": "owner"}, "/role"),
    ],
    ids=str,
)
def test_what_cannot_be_registered(
    deployed: Platform, changes: dict[str, Any], pointer: str
) -> None:
    answer = registering(deployed, **changes)
    assert (answer.status, answer.code) == (422, "request_invalid")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    sent = changes.get("password")
    assert not sent or sent not in answer.body.decode()


@pytest.mark.parametrize(
    "email", ["İstanbul@example.com", "ΣΑΣ@example.com", "K@example.com", "ǅ@exämple.de", "🍃@x.co"]
)
def test_addresses_of_every_script(deployed: Platform, email: str) -> None:
    assert registering(deployed, email=email).status == 201
    assert logging_in(deployed, email, PASSWORD).status == 200


@pytest.mark.parametrize("country", sorted(access._CURRENCY_OF_COUNTRY | {"DE": "", "FR": ""}))
def test_every_country_has_a_currency(country: str) -> None:
    new = access.Registration.model_validate(ADA | {"country": country})
    assert new.country == country
    from ivy import money  # noqa: PLC0415 - only here

    assert access._CURRENCY_OF_COUNTRY.get(country, "EUR") in money.currencies()


# -- the authoriser


def authorise(platform: Platform, header: Any, method: str = "GET", path: str = "me") -> Any:
    platform.enter(authorize.handler.needs)
    event = {"type": "TOKEN", "authorizationToken": header, "methodArn": ARN.format(method, path)}
    return authorize.handler(event, LambdaContext())


def effect(policy: Any) -> str:
    (statement,) = policy["policyDocument"]["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    return str(statement["Effect"])


def test_a_good_key_is_allowed_everywhere(deployed: Platform, ada: Account) -> None:
    """The gateway caches the answer by credential, so it must fit every route."""
    policy = authorise(deployed, f"Bearer {ada.secret_key}", "POST", "charges")
    assert effect(policy) == "Allow"
    (statement,) = policy["policyDocument"]["Statement"]
    assert statement["Resource"] == "arn:aws:execute-api:eu-west-1:000000000000:a1b2c3/api/*"
    context = policy["context"]
    assert all(isinstance(value, str) for value in context.values())
    assert context["merchant_id"] == str(ada.merchant_id)
    assert (context["livemode"], context["user"]) == ("false", "")
    assert context["credential"] == ada.key_id.removeprefix("key_")
    assert policy["principalId"] == context["merchant"]
    assert ada.secret_key not in json.dumps(policy)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_the_scheme_is_read_in_any_case(deployed: Platform, ada: Account, scheme: str) -> None:
    assert effect(authorise(deployed, scheme + ada.secret_key)) == "Allow"
    assert effect(authorise(deployed, scheme + ada.access_token)) == "Allow"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer ivy_sk_test_",
        "Bearer ivy_",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer null",
        "Bearer \x00",
        "Bearer ' OR 1=1 --",
        "Bearer é🍃",
        "Bearer \ud800",
        "Bearer " + "x" * 10_000,
        "Bearer " + credentials._BASE62,
        None,
    ],
)
def test_garbage_is_denied_not_raised(deployed: Platform, header: Any) -> None:
    policy = authorise(deployed, header)
    assert effect(policy) == "Deny"
    assert policy["context"] == {}


def test_unknown_keys_and_other_spellings_are_denied(deployed: Platform, ada: Account) -> None:
    deployed.enter(authorize.handler.needs)
    unknown = credentials.new_api_key("secret", livemode=False).text
    for credential in (unknown, ada.secret_key[:-1], ada.secret_key.swapcase(), ada.key_id):
        assert effect(authorise(deployed, f"Bearer {credential}")) == "Deny"
    assert effect(authorise(deployed, ada.secret_key)) == "Deny"  # no scheme


def test_a_typo_never_reaches_the_database(deployed: Platform, ada: Account) -> None:
    class Unreachable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("asked the database")

    typo = ada.secret_key[:-1] + ("a" if ada.secret_key[-1] != "a" else "b")
    deployed.enter(authorize.handler.needs)
    unreachable: Any = Unreachable()
    assert recognition.recognise(unreachable, typo) is None
    with pytest.raises(AssertionError):
        recognition.recognise(unreachable, ada.secret_key)


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()"])
def test_a_key_that_ended_is_denied(platform: Platform, store: Store, change: str) -> None:
    ada = platform.open_account()
    assert effect(authorise(platform, f"Bearer {ada.secret_key}")) == "Allow"
    with store.superuser() as root:
        root.execute(f"UPDATE api_keys SET {change}".encode())
    assert effect(authorise(platform, f"Bearer {ada.secret_key}")) == "Deny"


def test_the_last_use_is_noted_at_most_once_a_minute(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    used = "SELECT last_used_at FROM api_keys"
    with store.superuser() as root:
        authorise(platform, f"Bearer {ada.secret_key}")
        first = root.execute(used.encode()).fetchone()
        authorise(platform, f"Bearer {ada.secret_key}")
        assert root.execute(used.encode()).fetchone() == first != (None,)
        root.execute("UPDATE api_keys SET last_used_at = now() - interval '2 minutes'")
        old = root.execute(used.encode()).fetchone()
        authorise(platform, f"Bearer {ada.secret_key}")
        assert root.execute(used.encode()).fetchone() != old


def test_a_token_ends_with_the_membership(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    assert effect(authorise(platform, f"Bearer {ada.access_token}")) == "Allow"
    with store.superuser() as root:
        root.execute("DELETE FROM members")
    assert effect(authorise(platform, f"Bearer {ada.access_token}")) == "Deny"
    assert logging_in(platform, "ada@example.com", PASSWORD).code == "login_invalid"


def test_a_token_for_another_merchant_is_denied(
    deployed: Platform, ada: Account, bob: Account
) -> None:
    """Even one signed with our own key: membership decides."""
    deployed.enter(authorize.handler.needs)
    claims = credentials.read_access_token(ada.access_token)
    assert claims is not None
    forged = credentials.new_access_token(
        UUID(hex=claims["sub"]), bob.merchant_id, UUID(hex=claims["merchant"]), ids.now()
    )
    assert effect(authorise(deployed, f"Bearer {forged}")) == "Deny"
    unsigned = jwt.encode(claims, "", algorithm="none")
    assert effect(authorise(deployed, f"Bearer {unsigned}")) == "Deny"


def test_when_the_database_is_down_a_good_key_is_not_called_bad(
    platform: Platform, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = platform.open_account()
    platform.connect_role("ivy_app", store.url("ivy_app").replace(store.name, "missing"))
    with pytest.raises(RuntimeError) as failed:
        authorise(platform, f"Bearer {ada.secret_key}")
    assert "missing" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
    assert ada.secret_key not in capsys.readouterr().out


@pytest.mark.parametrize("role", sorted(recognition.ROLE_SCOPES))
def test_each_role_can_do_what_it_says(platform: Platform, store: Store, role: str) -> None:
    ada = platform.open_account()
    with store.superuser() as root:
        root.execute("UPDATE members SET role = %s", (role,))
    platform._principals.clear()
    scopes = recognition.ROLE_SCOPES[role]
    assert platform.request(me.handler, bearer=ada.access_token).json()["scopes"] == sorted(scopes)
    for handler in (list_charges.handler, balance.handler, list_keys.handler):
        answer = platform.request(handler, bearer=ada.access_token)
        assert answer.status == (200 if handler.scope in scopes else 403)


def test_the_roles_are_those_of_the_table(shared_store: Store) -> None:
    with shared_store.superuser() as root:
        for role in recognition.ROLE_SCOPES:
            checked(root, role)
        with pytest.raises(psycopg.errors.CheckViolation):
            checked(root, "emperor")
    assert recognition.ROLE_SCOPES["owner"] == {str(scope) for scope in Scope}
    assert all(scopes <= set(Scope) for scopes in recognition.ROLE_SCOPES.values())


def checked(root: psycopg.Connection[Any], role: str) -> None:
    """Insert a member and take it back."""
    merchant, user = ids.new(ids.now()), ids.new(ids.now())
    with root.transaction(force_rollback=True):
        root.execute(
            "INSERT INTO merchants (id, public_id, name, country, default_currency, created_at)"
            " VALUES (1, %s, 'x', 'US', 'USD', now())",
            (merchant,),
        )
        root.execute(
            "INSERT INTO users (id, email, password_hash, created_at) VALUES (%s, 'x', '', now())",
            (user,),
        )
        root.execute("INSERT INTO members VALUES (1, %s, %s, now())", (user, role))


@pytest.mark.parametrize(
    ("header", "livemode"),
    [({}, False), ({"Ivy-Mode": "live"}, True), ({"ivy-mode": "LIVE"}, True)]
    + [({"Ivy-Mode": value}, False) for value in ("test", "Test")],
)
def test_a_person_chooses_the_mode(
    deployed: Platform,
    ada: Account,
    header: dict[str, str],
    livemode: bool,
) -> None:
    who = deployed.request(me.handler, bearer=ada.access_token, headers=header).json()
    assert who["livemode"] is who["merchant"]["livemode"] is livemode
    held = deployed.request(balance.handler, bearer=ada.access_token, headers=header).json()
    assert held["livemode"] is livemode


def test_a_key_keeps_its_mode_whatever_the_header_says(deployed: Platform, ada: Account) -> None:
    who = deployed.request(me.handler, bearer=ada.secret_key, headers={"Ivy-Mode": "live"}).json()
    assert who["livemode"] is False
    assert (who["user"], who["api_key"]) == (None, ada.key_id)
