"""No card number comes in, on any route, by any way; and nothing that is sent is repeated."""

from __future__ import annotations

import json
import string
import uuid
from typing import Any

import pytest
from pydantic import BaseModel

from functions.charges import create
from infra.catalogue import declared, read_functions
from ivy.card_numbers import REDACTED
from ivy.serve import guard
from ivy.serve.declaration import Route
from ivy.serve.injection import parameters
from tests.driving import Account, Platform, Reply
from tests.integration.conftest import Logged, kept

CARD = "4242424242424242"
SPACED = "4242 4242 4242 4242"
SENTINEL = "a-value-that-nobody-repeats"
CHARGE = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}

ROUTES = {f"{r.method} {r.path}": r for _, r in declared(read_functions(), Route)}
WITH_BODY = {name: route for name, route in ROUTES.items() if route.method != "GET"}


def send(
    platform: Platform,
    account: Account,
    route: Route,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    path: dict[str, str] | None = None,
) -> Reply:
    """Send a request that is fine but for what is given."""
    names = [name for _, name, _, _ in string.Formatter().parse(route.path) if name]
    if body is None and route.method != "GET":
        body = {}
    return platform.request(
        route,
        body,
        bearer=None if route.public else account.access_token,
        headers={"Idempotency-Key": uuid.uuid4().hex} | (headers or {}),
        query=query,
        **dict.fromkeys(names, "ch_" + "0" * 32) | (path or {}),
    )


def pointers(answer: Reply) -> list[str]:
    """Return where an answer finds card numbers; it says nothing else and repeats none."""
    assert (answer.status, answer.code) == (422, "request_invalid"), answer.body
    assert not any(written in answer.body.decode() for written in (CARD, SPACED))
    assert not any(written in str(answer.headers) for written in (CARD, SPACED))
    errors = answer.json()["errors"]
    assert {error["code"] for error in errors} == {"card_number"}
    assert all("letter directly before it" in error["detail"] for error in errors)
    return [error["pointer"] for error in errors]


def fields(route: Route) -> list[str]:
    """Return the names of the fields that a route's body has."""
    bodies = [parameter.annotation for parameter in parameters(route.function).request]
    return [
        name
        for body in bodies
        if isinstance(body, type) and issubclass(body, BaseModel)
        for name in body.model_fields
    ]


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_no_route_takes_one(
    deployed: Platform, ada: Account, everything_logged: Logged, route: Route
) -> None:
    """In each known field, in unknown ones at any depth, as text, number and key."""
    assert pointers(send(deployed, ada, route, query={"q": CARD})) == ["?q"]
    assert pointers(send(deployed, ada, route, query={SPACED: "1"})) == [f"?{REDACTED}"]
    key = {"Idempotency-Key": f"order {CARD}"}
    assert pointers(send(deployed, ada, route, headers=key)) == ["Idempotency-Key"]
    for _, name, _, _ in string.Formatter().parse(route.path):
        if name:
            assert pointers(send(deployed, ada, route, path={name: CARD})) == [f"{{{name}}}"]
    if route.method != "GET":
        known = fields(route)
        body: dict[str, Any] = dict.fromkeys(known, f"for {SPACED}")
        body |= {
            "metadata": {"k": CARD, CARD: "v", "fine": "v"},
            "of_nobody": [{"deep": [int(CARD), float(CARD), True, None, {"x": SPACED}]}],
        }
        expected = [f"/{name}" for name in known if name != "metadata"]
        nested = ["/of_nobody/0/deep/0", "/of_nobody/0/deep/1", "/of_nobody/0/deep/4/x"]
        expected += ["/metadata/k", f"/metadata/{REDACTED}", *nested]
        assert sorted(pointers(send(deployed, ada, route, body))) == sorted(expected)
        for name in sorted(set(known) - set(route.bank_numbers)):
            assert pointers(send(deployed, ada, route, {name: CARD})) == [f"/{name}"]
    for text in (CARD, SPACED):
        assert kept(deployed, text) == []
    logged = everything_logged()
    assert not any(text in logged for text in (CARD, SPACED))


@pytest.mark.parametrize(
    "place", [{"description": f"from {CARD}"}, {"metadata": {"k": CARD}}, {"metadata": {CARD: "v"}}]
)
def test_without_the_guard_it_would_be_kept_and_found(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any]
) -> None:
    """The search above finds what is there to be found."""
    ada = platform.open_account()
    monkeypatch.setattr(guard, "found", lambda _: False)
    answer = send(platform, ada, create.handler, CHARGE | place)
    assert answer.status == create.handler.status, answer.body
    assert CARD in answer.body.decode()
    platform.drain()
    assert {"charges", "events", "front"} <= set(kept(platform, CARD))


def test_a_key_that_was_refused_is_free(deployed: Platform, ada: Account) -> None:
    key = {"Idempotency-Key": "free"}
    refused = send(deployed, ada, create.handler, CHARGE | {"description": CARD}, headers=key)
    assert pointers(refused) == ["/description"]
    made = send(deployed, ada, create.handler, CHARGE | {"description": "x" + CARD}, headers=key)
    assert (made.status, made.replayed) == (create.handler.status, False)


def test_other_errors_are_said_once_the_card_numbers_are_gone(
    deployed: Platform, ada: Account
) -> None:
    wrong = {"amount": "1", "description": CARD}
    assert pointers(send(deployed, ada, create.handler, wrong)) == ["/description"]
    answer = send(deployed, ada, create.handler, wrong | {"description": "fine"})
    assert {error["pointer"] for error in answer.json()["errors"]} >= {"/amount", "/currency"}


def test_who_may_not_ask_is_not_told_about_card_numbers(deployed: Platform, ada: Account) -> None:
    live = send(deployed, ada, create.handler, {"a": CARD}, headers={"Ivy-Mode": "neither"})
    assert live.json()["param"] == "Ivy-Mode"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"Content-Type": CARD}, CHARGE, "media_type_unsupported"),
        ({"Host": f"{CARD}.example.com"}, {}, "request_invalid"),
        ({"Ivy-Mode": CARD}, CHARGE, "request_invalid"),
        ({}, f'{{"{CARD}"', "body_malformed"),
        ({}, f'{{"{CARD}": 1, "{CARD}": 2}}', "body_malformed"),
        ({}, f"[{CARD}", "body_malformed"),
    ],
)
def test_no_other_refusal_repeats_it(
    deployed: Platform,
    ada: Account,
    everything_logged: Logged,
    headers: dict[str, str],
    body: Any,
    code: str,
) -> None:
    answer = send(deployed, ada, create.handler, body, headers=headers)
    assert answer.code == code
    assert CARD not in answer.body.decode()
    assert CARD not in everything_logged()


@pytest.mark.parametrize("route", WITH_BODY.values(), ids=WITH_BODY)
def test_no_validation_repeats_what_was_sent(
    deployed: Platform, ada: Account, everything_logged: Logged, route: Route
) -> None:
    """Whatever shape the value has, an error names the field and the rule, not the value."""
    for value in (SENTINEL, [SENTINEL], {"k": SENTINEL}, SENTINEL * 200, f"{SENTINEL}\x00"):
        body = dict.fromkeys(fields(route), value) | {"of_nobody": value}
        answer = send(deployed, ada, route, body)
        if answer.status == route.status and not fields(route):
            continue  # a route without a body does not look at it
        assert answer.status in {404, 422}, answer.body
        assert SENTINEL not in answer.body.decode()
    for text in (json.dumps(SENTINEL), json.dumps([SENTINEL])):
        answer = send(deployed, ada, route, text)
        assert SENTINEL not in answer.body.decode()
    assert SENTINEL not in everything_logged()
