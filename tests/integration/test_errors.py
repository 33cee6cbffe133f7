"""Every code of the closed list is met here by asking for it: one table, kept complete."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from functions.access import login, me
from functions.api_keys import create as create_key
from functions.api_keys import revoke
from functions.charges import create, process
from functions.charges import get as get_charge
from infra import responses
from ivy import errors
from ivy.database import Tenant
from ivy.serve import endpoint
from ivy.serve.declaration import Route
from ivy.serve.front import Front
from ivy.serve.requests import Incoming
from tests.driving import Account, LambdaContext, Platform, Reply, reply, rest_event

CHARGE = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}


class World:
    """What the table's requests are made with."""

    def __init__(self, platform: Platform, account: Account) -> None:
        self.platform = platform
        self.account = account

    def charge(
        self, body: Any = None, *, bearer: str = "", key: str | None = "", **more: str
    ) -> Reply:
        """Charge; ``key`` is made up unless given, None leaves the header out."""
        sent = {} if key is None else {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.platform.request(
            create.handler,
            CHARGE if body is None else body,
            bearer=bearer or self.account.secret_key,
            headers=sent | more,
        )

    def event(self, route: Route, **changes: Any) -> Reply:
        """Hand over an event of which some parts are changed."""
        principal = self.platform.principal(self.account.secret_key)
        event = rest_event(route, principal=principal, path={"id": "ch_" + "0" * 32})
        event.update(changes)
        self.platform.enter(route.needs)
        return reply(route(event, LambdaContext()))

    def key(self, **fields: Any) -> dict[str, Any]:
        made = self.platform.request(
            create_key.handler, {"name": "k"} | fields, bearer=self.account.access_token
        )
        found: dict[str, Any] = made.json()
        return found


def without_credential(world: World) -> Reply:
    world.platform.enter(me.handler.needs)
    return reply(me.handler(rest_event(me.handler), LambdaContext()))


def with_revoked_key(world: World) -> Reply:
    key = world.key()
    world.platform.principal(key["secret"])
    world.platform.request(revoke.handler, bearer=world.account.access_token, id=key["id"])
    return world.charge(bearer=key["secret"])


def with_wrong_password(world: World) -> Reply:
    login_as = {"email": "ada@example.com", "password": "not the right one"}
    return world.platform.request(login.handler, login_as)


def from_elsewhere(world: World) -> Reply:
    return world.charge(bearer=world.key(allowed_ips=["203.0.113.0/24"])["secret"])


def live(world: World) -> Reply:
    return world.charge(bearer=world.account.access_token, **{"Ivy-Mode": "live"})


def of_nobody(world: World) -> Reply:
    return world.platform.request(
        get_charge.handler, bearer=world.account.secret_key, id="ch_" + "0" * 32
    )


def off_the_map(world: World) -> Reply:
    return world.event(get_charge.handler, path="/v1/charges/a/b")


def while_running(world: World) -> Reply:
    headers = {"Idempotency-Key": "running"}
    incoming = Incoming.from_event(rest_event(create.handler, CHARGE, headers=headers))
    world.platform.enter(create.handler.needs)
    tenant = Tenant(world.account.merchant_id, livemode=False)
    assert Front(tenant, incoming.idempotency_key(create.handler)).claim() is None
    return world.charge(key="running")


def twice_different(world: World) -> Reply:
    world.charge(key="twice")
    return world.charge(CHARGE | {"amount": 101}, key="twice")


def broken(world: World) -> Reply:
    @endpoint("GET /v1/broken")
    def handler() -> None:
        raise ZeroDivisionError

    return world.event(handler, path="/v1/broken")


def without_database(world: World) -> Reply:
    platform = world.platform
    principal = platform.principal(world.account.secret_key)
    platform.connect_role(
        "ivy_app", platform.store.url("ivy_app").replace("127.0.0.1:", "127.0.0.1:1")
    )
    try:
        event = rest_event(me.handler, principal=principal)
        platform.enter(me.handler.needs)
        return reply(me.handler(event, LambdaContext()))
    finally:
        platform.connect_role("ivy_app", platform.store.url("ivy_app"))


def of_the_gateway(kind: str) -> Callable[[World], Reply]:
    """An answer that the gateway gives without asking us, filled in as it would."""

    def answer(_world: World) -> Reply:
        given = responses.answers()[kind]
        headers = {name: value.strip("'") for name, value in given.headers.items()}
        headers["Request-Id"] = "a-request"
        body = given.body.replace(responses.REQUEST_ID, "a-request")
        lower = {name.lower(): value for name, value in headers.items()}
        return Reply(given.status, lower, body.encode())

    return answer


REACHED: dict[str, Callable[[World], Reply]] = {
    "body_malformed": lambda world: world.charge("{"),
    "idempotency_key_missing": lambda world: world.charge(key=None),
    "idempotency_key_invalid": lambda world: world.charge(key="x" * 256),
    "credential_missing": without_credential,
    "credential_invalid": with_revoked_key,
    "login_invalid": with_wrong_password,
    "scope_missing": lambda world: world.charge(
        bearer=world.key(scopes=["charges:read"])["secret"]
    ),
    "address_refused": from_elsewhere,
    "live_mode_locked": live,
    "resource_missing": of_nobody,
    "route_unknown": off_the_map,
    "idempotency_key_in_use": while_running,
    "body_too_large": lambda world: world.charge({"x": "y" * 256 * 1024}),
    "media_type_unsupported": lambda world: world.charge(**{"Content-Type": "text/plain"}),
    "request_invalid": lambda world: world.charge({}),
    "idempotency_key_reused": twice_different,
    "rate_limited": of_the_gateway("THROTTLED"),
    "internal_error": broken,
    "unavailable": without_database,
}


@pytest.fixture(scope="module")
def world(deployed: Platform, ada: Account) -> World:
    return World(deployed, ada)


def test_the_table_holds_every_code() -> None:
    assert list(REACHED) == [problem.code for problem in errors.Problem.every()]


def check(answer: Reply, problem: type[errors.Problem]) -> None:
    """A problem document as the contract describes it."""
    document = answer.json()
    assert (answer.status, document["code"]) == (problem.status, problem.code)
    assert answer.headers["content-type"] == "application/problem+json"
    required = {"type", "title", "status", "detail", "code", "request_id", "retryable"}
    assert required <= document.keys() <= required | {"instance", "param", "errors"}
    assert document["type"].endswith(f"/v1/docs/errors#{problem.code}")
    assert (document["title"], document["status"]) == (problem.title, problem.status)
    assert document["retryable"] is problem.retryable
    assert document["request_id"] == answer.headers["request-id"] != ""
    assert document["detail"]
    for error in document.get("errors", ()):
        assert error.keys() == {"pointer", "code", "detail"}


@pytest.mark.parametrize("code", REACHED)
def test_each_code_is_reached(world: World, code: str) -> None:
    (problem,) = [problem for problem in errors.Problem.every() if problem.code == code]
    answer = REACHED[code](world)
    check(answer, problem)
    if code in {"idempotency_key_in_use", "rate_limited", "unavailable"}:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("kind", responses.BY_TYPE)
def test_the_gateway_speaks_the_same_language(world: World, kind: str) -> None:
    check(of_the_gateway(kind)(world), responses.BY_TYPE[kind])


def test_instance_and_type_are_addresses_of_the_caller(world: World) -> None:
    document = of_nobody(world).json()
    assert document["instance"] == "/api/v1/charges/ch_" + "0" * 32
    assert document["type"] == "http://localhost:8000/api/v1/docs/errors#resource_missing"


def test_a_missing_scope_is_named(world: World) -> None:
    document = REACHED["scope_missing"](world).json()
    assert document["param"] == "charges:write"
    assert "charges:write" in document["detail"]


def test_a_refused_request_leaves_nothing_behind(world: World) -> None:
    with world.platform.store.superuser() as root:
        before = root.execute("SELECT count(*) FROM charges").fetchone()
        for code in ("request_invalid", "scope_missing", "live_mode_locked", "body_malformed"):
            REACHED[code](world)
        assert root.execute("SELECT count(*) FROM charges").fetchone() == before
    world.platform.drain(process.handler)
    assert world.platform.messages() == []
