"""API keys: never more than their maker, shown once, gone at once where money moves."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from functions.api_keys import create, revoke
from functions.api_keys import list as list_keys
from functions.charges import create as create_charge
from functions.charges import list as list_charges
from functions.merchants import balance
from ivy import credentials, ids
from ivy.callers import Scope
from ivy.serve.declaration import Route
from tests.driving import Account, LambdaContext, Platform, Reply, reply, rest_event


def making(platform: Platform, bearer: str, **fields: Any) -> Reply:
    return platform.request(create.handler, {"name": "a key"} | fields, bearer=bearer)


def made(platform: Platform, bearer: str, **fields: Any) -> dict[str, Any]:
    answer = making(platform, bearer, **fields)
    assert answer.status == 201, answer.body
    key: dict[str, Any] = answer.json()
    return key


def charging(platform: Platform, bearer: str) -> Reply:
    return platform.request(
        create_charge.handler,
        {"amount": 100, "currency": "USD", "payment_method": "tok_visa"},
        bearer=bearer,
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )


def test_a_key_is_shown_once_and_kept_as_a_hash(deployed: Platform, ada: Account) -> None:
    key = made(deployed, ada.access_token, name="Checkout")
    secret = key.pop("secret")
    assert secret.startswith("ivy_sk_test_")
    assert (key["prefix"], key["last4"]) == ("ivy_sk_test_", secret[-4:])
    assert key["scopes"] == sorted(Scope)
    listed = deployed.request(list_keys.handler, bearer=ada.access_token)
    assert key in listed.json()["data"]
    assert secret.encode() not in listed.body
    deployed.enter(create.handler.needs)
    with deployed.store.superuser() as root:
        dump = str(root.execute("SELECT * FROM api_keys").fetchall())
    assert secret not in dump
    assert secret[12:44] not in dump
    assert credentials.api_key_hash(secret) in dump


def test_scopes_cannot_be_widened(deployed: Platform, ada: Account) -> None:
    scopes = ["api_keys:write", "charges:read"]
    narrow = made(deployed, ada.access_token, scopes=scopes)
    assert narrow["scopes"] == scopes
    answer = making(deployed, narrow["secret"], scopes=["charges:read", "charges:write"])
    assert (answer.status, answer.code) == (403, "scope_missing")
    assert answer.json()["param"] == "charges:write"
    assert made(deployed, narrow["secret"])["scopes"] == scopes  # all that its maker may do
    narrower = made(deployed, narrow["secret"], scopes=["charges:read", "charges:read"])
    assert narrower["scopes"] == ["charges:read"]
    assert made(deployed, narrow["secret"], scopes=[])["scopes"] == []
    refused = making(deployed, narrower["secret"])
    assert (refused.code, refused.json()["param"]) == ("scope_missing", "api_keys:write")


def test_a_key_does_what_its_scopes_say(deployed: Platform, ada: Account) -> None:
    key = made(deployed, ada.access_token, scopes=["charges:read"])["secret"]
    assert deployed.request(list_charges.handler, bearer=key).status == 200
    for answer in (deployed.request(balance.handler, bearer=key), charging(deployed, key)):
        assert (answer.status, answer.code) == (403, "scope_missing")


def test_a_publishable_key_carries_nothing(deployed: Platform, ada: Account) -> None:
    key = made(deployed, ada.access_token, kind="publishable")
    assert key["secret"].startswith("ivy_pk_test_")
    assert key["scopes"] == []
    assert deployed.request(list_charges.handler, bearer=key["secret"]).code == "scope_missing"
    refused = making(deployed, ada.access_token, kind="publishable", scopes=["charges:read"])
    assert [e["pointer"] for e in refused.json()["errors"]] == ["/scopes"]
    assert made(deployed, ada.access_token, kind="publishable", scopes=[])["scopes"] == []


def test_expiry(deployed: Platform, ada: Account) -> None:
    soon = (ids.now() + timedelta(hours=1)).isoformat()
    key = made(deployed, ada.access_token, expires_at=soon)
    assert charging(deployed, key["secret"]).status == 201
    with deployed.store.superuser() as root:
        root.execute(
            "UPDATE api_keys SET expires_at = now() WHERE id = %s",
            (uuid.UUID(hex=key["id"][4:]),),
        )
    refused = charging(deployed, key["secret"])  # the authoriser's answer is still cached
    assert (refused.status, refused.code) == (401, "credential_invalid")


@pytest.mark.parametrize(
    "expires_at",
    [
        "2020-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",  # the year 10000 in UTC
        "2999-01-01T00:00:00",
        "2999-01-01",
        "tomorrow",
        19_000_000_000,
    ],
)
def test_other_expiries_are_refused(deployed: Platform, ada: Account, expires_at: Any) -> None:
    answer = making(deployed, ada.access_token, expires_at=expires_at)
    assert answer.status == 422, answer.body
    assert [e["pointer"] for e in answer.json()["errors"]] == ["/expires_at"]


@pytest.mark.parametrize(
    ("allowed", "address", "fine"),
    [
        ([], "203.0.113.9", True),
        (["203.0.113.9"], "203.0.113.9", True),
        (["203.0.113.0/24"], "203.0.113.9", True),
        (["203.0.113.0/24"], "203.0.114.9", False),
        (["198.51.100.7/32", "203.0.113.0/24"], "203.0.113.9", True),
        (["2001:db8::/32"], "2001:db8:5::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "203.0.113.9", False),
        (["203.0.113.0/24"], "2001:db8::1", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
    ],
)
def test_the_allow_list(
    deployed: Platform,
    ada: Account,
    allowed: list[str],
    address: str,
    fine: bool,
) -> None:
    key = made(deployed, ada.access_token, allowed_ips=allowed)["secret"]
    event = rest_event(list_charges.handler, principal=deployed.principal(key))
    event["requestContext"]["identity"]["sourceIp"] = address
    deployed.enter(list_charges.handler.needs)
    answer = reply(list_charges.handler(event, LambdaContext()))
    assert answer.status == (200 if fine else 403)
    assert fine or answer.code == "address_refused"


@pytest.mark.parametrize(
    ("networks", "pointer"),
    [
        (["nowhere"], "/allowed_ips/0"),
        (["203.0.113.0/24", "203.0.113.9/24"], "/allowed_ips/1"),  # host bits are set
        (["203.0.113.0/33"], "/allowed_ips/0"),
        ([7], "/allowed_ips/0"),
        (["fe80::1%eth0"], "/allowed_ips/0"),
        (["10.0.0.0/8"] * 21, "/allowed_ips"),
        ("10.0.0.0/8", "/allowed_ips"),
    ],
)
def test_other_allow_lists_are_refused(
    deployed: Platform, ada: Account, networks: Any, pointer: str
) -> None:
    answer = making(deployed, ada.access_token, allowed_ips=networks)
    assert answer.status == 422
    assert {e["pointer"] for e in answer.json()["errors"]} == {pointer}


def test_a_revoked_key_moves_no_money_at_once(deployed: Platform, ada: Account) -> None:
    key = made(deployed, ada.access_token)
    assert charging(deployed, key["secret"]).status == 201
    revoked = deployed.request(revoke.handler, bearer=ada.access_token, id=key["id"])
    assert revoked.status == 200
    assert revoked.json()["revoked_at"]
    refused = charging(deployed, key["secret"])  # the authoriser's answer is still cached
    assert (refused.status, refused.code) == (401, "credential_invalid")
    again = deployed.request(revoke.handler, bearer=ada.access_token, id=key["id"])
    assert (again.status, again.json()) == (200, revoked.json())


def test_a_key_can_revoke_itself(deployed: Platform, ada: Account) -> None:
    key = made(deployed, ada.access_token)
    assert deployed.request(revoke.handler, bearer=key["secret"], id=key["id"]).status == 200
    assert charging(deployed, key["secret"]).code == "credential_invalid"


def missing(platform: Platform, bearer: str, key_id: str, route: Route = revoke.handler) -> bool:
    answer = platform.request(route, bearer=bearer, id=key_id)
    return (answer.status, answer.code) == (404, "resource_missing")


def test_another_merchants_key_does_not_exist(
    deployed: Platform, ada: Account, bob: Account
) -> None:
    assert missing(deployed, bob.access_token, ada.key_id)
    assert missing(deployed, bob.secret_key, ada.key_id)
    assert missing(deployed, ada.access_token, "key_" + "0" * 32)
    assert missing(deployed, ada.access_token, "not-an-id")
    assert charging(deployed, ada.secret_key).status == 201
    listed = deployed.request(list_keys.handler, bearer=bob.access_token).json()["data"]
    assert [key["id"] for key in listed] == [bob.key_id]


def test_a_test_key_has_nothing_to_do_with_live_keys(deployed: Platform, ada: Account) -> None:
    live = made(deployed, ada.access_token, mode="live")
    assert live["livemode"] is True
    assert live["secret"].startswith("ivy_sk_live_")
    refused = making(deployed, ada.secret_key, mode="live")
    assert (refused.status, refused.json()["errors"][0]["pointer"]) == (422, "/mode")
    assert missing(deployed, ada.secret_key, live["id"])

    def seen(bearer: str) -> set[bool]:
        answer = deployed.request(list_keys.handler, bearer=bearer, query={"limit": "100"}).json()
        return {key["livemode"] for key in answer["data"]}

    assert seen(ada.secret_key) == {False}
    assert seen(live["secret"]) == {True}
    assert seen(ada.access_token) == {False, True}
    assert charging(deployed, live["secret"]).code == "live_mode_locked"
    assert missing(deployed, live["secret"], ada.key_id)
    assert deployed.request(revoke.handler, bearer=ada.access_token, id=live["id"]).status == 200


def test_keys_are_listed_in_pages(platform: Platform) -> None:
    ada = platform.open_account()
    newest_first = [made(platform, ada.access_token, name=f"{n}")["id"] for n in range(4)][::-1]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        body = platform.request(list_keys.handler, bearer=ada.access_token, query=query).json()
        seen += [key["id"] for key in body["data"]]
        if not body["has_more"]:
            break
        query["cursor"] = body["next_cursor"]
    assert seen == [*newest_first, ada.key_id]
