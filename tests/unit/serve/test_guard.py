from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivy import errors
from ivy.card_numbers import REDACTED
from ivy.serve import endpoint, problems
from ivy.serve.declaration import Route
from ivy.serve.requests import Incoming, check

VISA = "4242424242424242"


@endpoint("POST /v1/things/{id}/parts/{part}", public=True)
def route() -> None:
    """A route of two parameters."""


@endpoint("POST /v1/accounts", public=True, bank_numbers=("account_number", "iban"))
def accounts() -> None:
    """A route that takes the numbers of bank accounts."""


def refused(body: Any = None, route: Route = route, **event: Any) -> list[str]:
    """Return the pointers of what is refused."""
    sent = {
        "path": "/v1/things/1/parts/2",
        "headers": {"Content-Type": "application/json"},
        "body": None if body is None else json.dumps(body),
    } | event
    fields: tuple[errors.FieldError, ...] = ()
    try:
        check(route, Incoming.from_event(sent))
    except errors.RequestInvalid as problem:
        fields = problem.fields
    assert {field.code for field in fields} <= {"card_number"}
    assert VISA not in repr(fields)
    return [field.pointer for field in fields]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (VISA, [""]),
        ([VISA], ["/0"]),
        (int(VISA), [""]),
        (-int(VISA), [""]),
        (float(VISA), [""]),
        (67999901000000456.0, [""]),  # JSON has it as 6.7999901000000456e+16
        ({"a": {"b": [{}, {"c": f"to {VISA}"}]}}, ["/a/b/1/c"]),
        ({"a": VISA, "b": "fine", "c": VISA}, ["/a", "/c"]),
        ({"a": f"{VISA[:4]} {VISA[4:8]}-{VISA[8:12]} {VISA[12:]}"}, ["/a"]),
        ({"metadata": {VISA: "v"}}, [f"/metadata/{REDACTED}"]),
        ({"metadata": {VISA: VISA}}, [f"/metadata/{REDACTED}"]),
        ({VISA: {"deep": VISA}}, [f"/{REDACTED}", f"/{REDACTED}/deep"]),
        ({"a/b~c": VISA}, ["/a~1b~0c"]),
        ({"k" * 101: VISA}, [f"/{'k' * 100}…"]),
        ({"k" * 100: VISA}, [f"/{'k' * 100}"]),
    ],
)
def test_each_place_in_a_body_is_pointed_at(body: Any, pointers: list[str]) -> None:
    assert refused(body) == pointers


@pytest.mark.parametrize(
    ("event", "pointers"),
    [
        ({"path": f"/v1/things/{VISA}/parts/2"}, ["{id}"]),
        ({"path": f"/v1/things/1/parts/{VISA}"}, ["{part}"]),
        ({"path": "/v1/things/1/parts/4242%204242%204242%204242"}, ["{part}"]),
        ({"multiValueQueryStringParameters": {"limit": ["1", VISA]}}, ["?limit"]),
        ({"multiValueQueryStringParameters": {VISA: [""]}}, [f"?{REDACTED}"]),
        ({"queryStringParameters": {"limit": VISA}}, ["?limit"]),
        (
            {
                "queryStringParameters": {"limit": VISA},
                "multiValueQueryStringParameters": {"limit": [VISA]},
            },
            ["?limit"],
        ),
        ({"headers": {"IDEMPOTENCY-KEY": f"order {VISA}"}}, ["Idempotency-Key"]),
    ],
)
def test_each_place_outside_it_too(event: dict[str, Any], pointers: list[str]) -> None:
    assert refused(**event) == pointers


def test_all_places_are_named_in_one_answer() -> None:
    event = {
        "path": f"/v1/things/{VISA}/parts/2",
        "queryStringParameters": {"q": VISA},
        "headers": {"Idempotency-Key": VISA, "Content-Type": "application/json"},
    }
    assert refused({"a": VISA}, **event) == ["{id}", "?q", "Idempotency-Key", "/a"]


def test_no_more_places_are_named_than_an_answer_can_hold() -> None:
    assert len(refused([VISA] * 10_000)) == problems.MAX_FIELDS
    body = {"k" * 200_000: [VISA] * 2_000}
    assert sum(map(len, refused(body))) < problems.MAX_FIELDS * 120


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 999_999_999_999, "currency": "USD", "payment_method": "tok_visa"},
        {"id": "ch_019ab2c4d7117a3c9e55d02f8b1c4e6a", "limit": 1e308, "none": None, "yes": True},
        {
            "number": int(VISA) + 1,
            "order": f"o{VISA}",
            "uuid": "42424242-4242-4242-8242-" + "4" * 12,
        },
    ],
)
def test_what_is_none_passes(body: Any) -> None:
    assert refused(body) == []


def test_a_path_that_is_not_the_routes_is_left_to_it() -> None:
    assert refused(path=f"/v1/{VISA}") == []


def test_an_answer_does_not_repeat_the_path() -> None:
    for path in (f"/v1/{VISA}", "/v1/4242%204242%204242%204242"):
        incoming = Incoming.from_event({"path": path, "headers": {"Host": "x.example"}})
        assert incoming.instance == f"/v1/{REDACTED}"
        assert incoming.path == path
        assert incoming.base_url == "http://x.example"
    untouched = Incoming.from_event({"path": "/v1/a%20b"})
    assert untouched.instance == "/v1/a%20b"


IBAN = "DE89 4242 4242 4242 4242 00"
"""An IBAN as it is printed can have a card number in it."""


def test_numbers_of_bank_accounts_pass_where_a_route_takes_them() -> None:
    for name, sent in (("account_number", VISA), ("iban", IBAN)):
        assert refused({name: sent}) == [f"/{name}"]
        assert refused({name: sent}, accounts) == []
        assert refused({"other": sent}, accounts) == ["/other"]
        assert refused({"deep": {name: sent}}, accounts) == [f"/deep/{name}"]
        assert refused([{name: sent}], accounts) == [f"/0/{name}"]
        assert refused({name: [sent]}, accounts) == [f"/{name}/0"]
        assert refused({name: f"{sent}, {VISA}"}, accounts) == [f"/{name}"]
    assert refused({"account_number": int(VISA)}, accounts) == ["/account_number"]
    assert refused({"account_number": f"{VISA[:8]} {VISA[8:]}"}, accounts) == ["/account_number"]
    assert refused(VISA, accounts) == [""]


@given(st.text(alphabet="0123456789 -ABZ٣", max_size=30))
def test_nothing_but_a_bank_account_passes_there(sent: str) -> None:
    """What is let through is digits in one piece, or begins as an IBAN does."""
    if refused({"account_number": sent}) and not refused({"account_number": sent}, accounts):
        assert sent.isascii()
        assert sent.isdigit() or (sent[:2].isalpha() and sent[2:4].isdigit() and "-" not in sent)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values)
def test_a_number_anywhere_in_any_body_is_found(body: Any) -> None:
    before = len(refused(body))
    assert len(refused([body, VISA])) >= before + 1
    assert f"/1/{REDACTED}" in refused([body, {VISA: body}])
