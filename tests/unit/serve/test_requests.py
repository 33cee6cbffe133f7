from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy import errors, idempotency, vault
from ivy.serve import endpoint
from ivy.serve.requests import Incoming, _depth


def incoming(**event: Any) -> Incoming:
    return Incoming.from_event({"path": "/v1/charges", "httpMethod": "POST", **event})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "localhost:8000"}, "http://localhost:8000/api"),
        ({"host": "api.example.com", "X-Forwarded-Proto": "https"}, "https://api.example.com/api"),
        ({"HOST": "a.example", "X-Forwarded-Proto": "https, http"}, "https://a.example/api"),
    ],
)
def test_the_base_url_is_the_callers(headers: dict[str, str], expected: str) -> None:
    context = {"path": "/api/v1/charges"}
    found = incoming(headers=headers, requestContext=context)
    assert found.base_url == expected
    assert found.instance == "/api/v1/charges"


def test_nobody_is_authenticated_without_a_principal() -> None:
    with pytest.raises(errors.CredentialMissing):
        _ = incoming().authenticated


@given(st.binary(max_size=64))
@settings(max_examples=100, deadline=None)
def test_base64_gives_the_bytes_back(body: bytes) -> None:
    encoded = base64.b64encode(body).decode()
    assert incoming(body=encoded, isBase64Encoded=True).body == body


def test_no_body_is_an_empty_object() -> None:
    assert incoming().json() == incoming(body="").json() == {}


nested = st.recursive(
    st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=15,
)


def naive_depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(naive_depth, value), default=0) if isinstance(value, list) else 1


@given(nested)
@settings(max_examples=150, deadline=None)
def test_depth_is_counted_without_recursion(value: Any) -> None:
    assert _depth(value) == naive_depth(value)
    assert incoming(body=json.dumps(value)).json() == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("9" * 4_201, "The body is not valid JSON: a number has more than 4200 digits."),
        ("[" * 100_000, "The body is nested deeper than 20 levels."),
        ("[1", "The body is not valid JSON: Expecting ',' delimiter, line 1, column 3."),
        ('{"a": 1, "a": 2}', "The body is not valid JSON: a key appears twice in one object."),
    ],
    ids=["digits", "depth", "syntax", "twice"],
)
def test_a_malformed_body_is_explained_in_our_words(body: str, reason: str) -> None:
    with pytest.raises(errors.BodyMalformed) as refused:
        incoming(body=body).json()
    assert refused.value.detail == reason


@pytest.mark.parametrize("sent", [b'{"a": "\xe9"}', '{"a": 1}'.encode("utf-16-le")])
def test_a_body_is_utf_8(sent: bytes) -> None:
    body = base64.b64encode(sent).decode()
    with pytest.raises(errors.BodyMalformed):
        incoming(body=body, isBase64Encoded=True).json()


def test_twenty_levels_are_enough() -> None:
    assert incoming(body="[" * 19 + "1" + "]" * 19).json()
    with pytest.raises(errors.BodyMalformed, match="deeper than 20"):
        incoming(body="[" * 20 + "1" + "]" * 20).json()


# -- idempotency keys


def key(header: str | None, **changes: Any) -> idempotency.Key:
    request = {"method": "POST", "route": "/v1/a/{id}", "path": "/v1/a/1", "body": {"x": 1}}
    return idempotency.key(header, **(request | changes))


@pytest.mark.parametrize("header", ["a", "x" * 255, "~ !", "order-1042"])
def test_good_keys(header: str) -> None:
    assert len(key(header).scope) == len(key(header).fingerprint) == 32


@pytest.mark.parametrize("header", ["", "x" * 256, "é", "a\nb", "a\tb", "\x7f", "🍃"])
def test_other_keys_are_refused(header: str) -> None:
    with pytest.raises(errors.IdempotencyKeyInvalid):
        key(header)


def test_no_key_is_another_error() -> None:
    with pytest.raises(errors.IdempotencyKeyMissing):
        key(None)


def test_what_a_key_is_bound_to() -> None:
    plain = key("k")
    assert key("k", body={"x": 2}).fingerprint != plain.fingerprint
    assert key("k", path="/v1/a/2").fingerprint != plain.fingerprint
    assert key("k", path="/v1/a/2").scope == plain.scope  # one key, another object: a reuse
    assert key("k", route="/v1/b/{id}").scope != plain.scope
    assert key("k", method="PUT").scope != plain.scope
    assert key("K").scope != plain.scope
    reordered = {"a": {"y": 2, "x": 1}, "b": 1}
    assert key("k", body=reordered) == key("k", body={"b": 1, "a": {"x": 1, "y": 2}})
    assert key("k", body={"x": 1.0}).fingerprint != plain.fingerprint


@endpoint("POST /v1/accounts", idempotent=True, bank_numbers=("iban",))
def accounts() -> None:
    """A route that takes the number of a bank account."""


def test_nobody_can_try_account_numbers_against_a_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bound(body: Any, pepper: str = "pepper") -> idempotency.Key:
        monkeypatch.setattr(vault, "access", lambda: {"pepper": pepper})
        sent = incoming(headers={"Idempotency-Key": "k"}, body=json.dumps(body))
        return sent.idempotency_key(accounts)

    mine = bound({"iban": "a", "x": 1})
    assert bound({"x": 1, "iban": "a"}) == mine
    assert bound({"iban": "b", "x": 1}).fingerprint != mine.fingerprint
    assert bound({"iban": "a", "x": 2}).fingerprint != mine.fingerprint
    assert bound({"iban": "a", "x": 1}, pepper="other").fingerprint != mine.fingerprint
    assert bound({"x": 1}, pepper="other") == bound({"x": 1})
    assert bound([{"iban": "a"}]) == bound([{"iban": "a"}])
