"""The HTTP side of every endpoint: what is refused, in which order, and what is said."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.access import login, me, register
from functions.charges import create
from functions.charges import get as get_charge
from functions.charges import list as list_charges
from functions.refunds import list as list_refunds
from infra.catalogue import declared, read_functions
from ivy.database import Transaction
from ivy.models import Object
from ivy.needs import Need
from ivy.serve import endpoint, http
from ivy.serve.declaration import Route
from ivy.serve.http import Endpoint
from tests.driving import Account, LambdaContext, Platform, Reply, reply, rest_event

Logged = Callable[[], list[dict[str, Any]]]
CHARGE = {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}
_keys = itertools.count()


def send(
    platform: Platform,
    account: Account,
    route: Route,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> Reply:
    """Hand an event to a route as the account's key, with parts of the event changed."""
    sent = {"Idempotency-Key": f"http-{next(_keys)}"} | (headers or {})
    event = rest_event(
        route,
        body,
        principal=platform.principal(account.secret_key),
        headers=sent,
        path={"id": "ch_" + "0" * 32},
    )
    event |= changes
    platform.enter(route.needs)
    return reply(route(event, LambdaContext()))


def lines(logged: list[dict[str, Any]], message: str) -> list[dict[str, Any]]:
    return [line for line in logged if line.get("message") == message]


# -- bodies

MALFORMED = [
    "{",
    "nope",
    "{'amount': 1}",
    '{"amount": 100,}',
    '{"amount": 100, "amount": 200}',
    '{"metadata": {"k": "1", "k": "2"}}',
    '{"amount": NaN}',
    '{"amount": Infinity}',
    '{"amount": -Infinity}',
    '{"amount": 0x10}',
    '{"amount": 1' + "0" * 5_000 + "}",
    "[" * 50_000,
    '{"a":' * 20_000,
    "[" * 21 + "]" * 21,
    '{"a":' * 21 + "1" + "}" * 21,
    "\x00",
    '{"a": "\x00"}',
    '{"a": "\n"}',
    '{"amount": 100} {"amount": 200}',
    "\ud800",
    " ",
]


def test_no_body_is_an_empty_one(deployed: Platform, ada: Account) -> None:
    wanted = {"/amount", "/currency", "/payment_method"}
    for body in ("", "{}"):
        answer = send(deployed, ada, create.handler, body)
        assert (answer.status, answer.code) == (422, "request_invalid")
        assert {each["pointer"] for each in answer.json()["errors"]} == wanted


@pytest.mark.parametrize("several", [False, True])
def test_the_type_of_an_empty_body_does_not_matter(
    deployed: Platform, ada: Account, several: bool
) -> None:
    """``curl --data ''`` says that nothing is a form."""
    form = "application/x-www-form-urlencoded"
    given = {"multiValueHeaders": {"Content-Type": [form]}} if several else {}
    answer = send(deployed, ada, create.handler, "", headers={"Content-Type": form}, **given)
    assert (answer.status, answer.code) == (422, "request_invalid")
    assert "/amount" in {each["pointer"] for each in answer.json()["errors"]}


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:24]))
def test_what_is_not_one_json_value_is_refused(deployed: Platform, ada: Account, body: str) -> None:
    answer = send(deployed, ada, create.handler, body)
    assert (answer.status, answer.code) == (400, "body_malformed")


VALID = json.dumps(CHARGE)[1:-1]
INVALID = [
    "[]",
    "null",
    "7",
    '"text"',
    "true",
    "[" * 20 + "]" * 20,
    "{}",
    '{"amount": 1e309, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": 100.0, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": 1e2, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": "100", "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": true, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": -100, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": null, "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": 1' + "0" * 4_000 + ', "currency": "USD", "payment_method": "tok_visa"}',
    '{"amount": 100, "currency": ["USD"], "payment_method": "tok_visa"}',
    "{" + VALID + ', "metadata": {"k": 1e309}}',
    "{" + VALID + ', "metadata": {"\\ud800": "v"}}',
    "{" + VALID + ', "metadata": {"k": "\\udfff"}}',
    "{" + VALID + ', "metadata": {"k\\u0000": "v"}}',
    "{" + VALID + ', "description": "\\u0000"}',
    "{" + VALID + ', "\\ud800": 1}',
    "{" + VALID + ', "dry": true}',
]


@pytest.mark.parametrize("body", INVALID, ids=lambda body: repr(body[:60]))
def test_json_that_is_not_a_charge_is_invalid(deployed: Platform, ada: Account, body: str) -> None:
    answer = send(deployed, ada, create.handler, body)
    assert (answer.status, answer.code) == (422, "request_invalid"), answer.body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
charge_like = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.integers() | json_values,
        "currency": st.sampled_from(["USD", "jpy", "KWD", "XXX"]) | json_values,
        "payment_method": st.sampled_from(["tok_visa", "tok_declined", "tok_x"]) | json_values,
        "metadata": st.dictionaries(st.text(max_size=42), st.text(max_size=20)) | json_values,
        "description": st.text() | json_values,
        "statement_descriptor": st.text(max_size=24) | json_values,
        "capture": json_values,
        "surprise": json_values,
    },
)


@given(charge_like | json_values)
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_is_our_fault(deployed: Platform, ada: Account, body: Any) -> None:
    answer = send(deployed, ada, create.handler, json.dumps(body))
    assert answer.status in {201, 400, 422}, answer.body
    assert answer.headers["request-id"]


@given(st.text(alphabet='{}[]",:0123456789.eE+-\\utrnalsf \x00é\ud800', max_size=40))
@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_text_is_our_fault(deployed: Platform, ada: Account, body: str) -> None:
    answer = send(deployed, ada, create.handler, body)
    assert answer.status in {400, 422}, answer.body


@given(
    st.dictionaries(
        st.sampled_from(["limit", "cursor", "status", "created_at[gte]", "created_at[lt]", "x"]),
        st.text(max_size=30),
    )
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_query_is_our_fault(deployed: Platform, ada: Account, query: dict[str, str]) -> None:
    answer = deployed.request(list_charges.handler, bearer=ada.secret_key, query=query)
    assert answer.status in {200, 422}, answer.body


@pytest.mark.parametrize("size", [256 * 1024, 256 * 1024 + 1])
def test_a_body_has_a_largest_size(deployed: Platform, ada: Account, size: int) -> None:
    frame = json.dumps({"description": ""})
    body = json.dumps({"description": "x" * (size - len(frame))})
    assert len(body) == size
    answer = send(deployed, ada, create.handler, body)
    assert answer.code == ("request_invalid" if size == 256 * 1024 else "body_too_large")


def test_the_size_is_counted_in_bytes(deployed: Platform, ada: Account) -> None:
    body = json.dumps({"description": "é" * 140_000}, ensure_ascii=False)
    assert len(body) < 256 * 1024 < len(body.encode())
    assert send(deployed, ada, create.handler, body).code == "body_too_large"


@pytest.mark.parametrize(
    ("media_type", "fine"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("Application/JSON ;x=y", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/xml", False),
        ("application/jsonx", False),
        ("json", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
def test_a_body_says_that_it_is_json(
    deployed: Platform,
    ada: Account,
    media_type: str,
    fine: bool,
    name: str,
) -> None:
    answer = send(deployed, ada, create.handler, CHARGE, headers={name: media_type})
    assert answer.status == (201 if fine else 415)
    assert fine or answer.code == "media_type_unsupported"


def test_a_body_in_base64_is_the_same_body(deployed: Platform, ada: Account) -> None:
    text = json.dumps(CHARGE | {"description": "Ünïcödé 🍃"}, ensure_ascii=False)
    encoded = base64.b64encode(text.encode()).decode()
    answer = send(deployed, ada, create.handler, encoded, isBase64Encoded=True)
    assert answer.status == 201
    assert answer.json()["description"] == "Ünïcödé 🍃"


@pytest.mark.parametrize(
    "body", ["not base64!", "é", base64.b64encode(b"\xff\xfe\x00").decode(), "AAAA="]
)
def test_other_bytes_are_malformed(deployed: Platform, ada: Account, body: str) -> None:
    answer = send(deployed, ada, create.handler, body, isBase64Encoded=True)
    assert answer.code == "body_malformed"


def test_everything_wrong_is_said_at_once_with_pointers(deployed: Platform, ada: Account) -> None:
    long_key = "k" * 41
    body = {
        "amount": "1",
        "currency": "USX",
        "capture": "no",
        "a/b~c": 1,
        "metadata": {"n": 1, "a/b": 2, long_key: "v", "fine": "v"},
    }
    answer = send(deployed, ada, create.handler, body)
    found = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
    assert found == {
        "/amount": "int_type",
        "/currency": "currency",
        "/payment_method": "missing",
        "/capture": "bool_type",
        "/a~1b~0c": "extra_forbidden",
        "/metadata/n": "string_type",
        "/metadata/a~1b": "string_type",
        f"/metadata/{long_key}": "too_long",
    }


def test_queries_are_pointed_at(deployed: Platform, ada: Account) -> None:
    query = {"limit": "1000", "created_at[gte]": "soon", "nonsense": "1", "status": "lost"}
    answer = deployed.request(list_charges.handler, bearer=ada.secret_key, query=query)
    assert answer.code == "request_invalid"
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"?limit", "?created_at[gte]", "?nonsense", "?status"}


# -- the order in which things are refused


def test_who_comes_before_what(deployed: Platform, ada: Account) -> None:
    """A caller without the right learns nothing about bodies."""
    principal = deployed.principal(ada.secret_key)
    deployed.enter(create.handler.needs)
    nobody = rest_event(create.handler, "{")
    assert reply(create.handler(nobody, LambdaContext())).code == "credential_missing"
    weak = rest_event(create.handler, "{", principal=principal | {"scopes": "charges:read"})
    assert reply(create.handler(weak, LambdaContext())).code == "scope_missing"
    keyless = rest_event(create.handler, "{", principal=principal)
    assert reply(create.handler(keyless, LambdaContext())).code == "body_malformed"
    unkeyed = rest_event(create.handler, {}, principal=principal)
    assert reply(create.handler(unkeyed, LambdaContext())).code == "idempotency_key_missing"


# -- paths


@pytest.mark.parametrize(
    "id_", ["re_" + "0" * 32, "0", "ch_", "ch_" + "0" * 31, "ch_" + "G" * 32, "%00", "ch_%2e%2e"]
)
def test_an_id_that_cannot_exist_does_not(deployed: Platform, ada: Account, id_: str) -> None:
    answer = deployed.request(get_charge.handler, bearer=ada.secret_key, id=id_)
    assert (answer.status, answer.code) == (404, "resource_missing")


@pytest.mark.parametrize("path", ["/v1/charges/", "/v1/charges/a/b", "/v1/charges/a%2Fb", "/", ""])
def test_other_paths_are_answered_like_everything_else(
    deployed: Platform, ada: Account, path: str
) -> None:
    answer = send(deployed, ada, get_charge.handler, path=path)
    assert (answer.status, answer.code) == (404, "route_unknown")
    assert answer.headers["request-id"] == answer.json()["request_id"]
    assert "location" not in answer.headers


# -- what leaves

SECRET_TEXT = "four thousand seven hundred and eleven"


class Thing(Object):
    text: str


@endpoint("GET /v1/broken", uses=(Need.DATABASE,))
def broken() -> Thing:
    raise LookupError(SECRET_TEXT)


@endpoint("GET /v1/broken", uses=(Need.DATABASE,))
def broken_row(tx: Transaction) -> Thing:
    tx.value(
        "WITH kept AS (SELECT 1) INSERT INTO idempotency_keys (merchant_id, livemode, scope,"
        " fingerprint, status) SELECT current_merchant(), current_livemode(), sha256(%(text)s),"
        " %(text)s, 7 FROM kept",
        text=SECRET_TEXT.encode(),
    )
    return Thing(text="")


@endpoint("GET /v1/broken", uses=(Need.DATABASE,))
def broken_shape(tx: Transaction) -> Thing:
    return tx.row(Thing, "SELECT %(text)s AS tex", text=SECRET_TEXT) or Thing(text="")


@endpoint("GET /v1/broken", uses=(Need.DATABASE,))
def broken_late(tx: Transaction) -> Thing:
    tx.run("INSERT INTO nowhere VALUES (%(text)s)", text=SECRET_TEXT)
    return Thing(text="fine so far")


@pytest.mark.parametrize("route", [broken, broken_row, broken_shape, broken_late])
def test_an_unknown_failure_says_nothing(
    deployed: Platform, ada: Account, logged: Logged, route: http.Endpoint
) -> None:
    deployed.principal(ada.secret_key)
    logged()
    answer = send(deployed, ada, route)
    assert (answer.status, answer.code) == (500, "internal_error")
    said = answer.body.decode() + str(answer.headers)
    for word in (SECRET_TEXT, "four", "LookupError", "Traceback", "psycopg", "relation", "nowhere"):
        assert word not in said
    (failure,) = lines(written := logged(), "request.failed")
    assert failure["level"] == "ERROR"
    assert failure["correlation_id"] == answer.headers["request-id"]
    assert failure["stack"]
    if route is broken:
        assert (failure["error"], failure["detail"]) == ("LookupError", SECRET_TEXT)
        assert any("test_http.py" in frame for frame in failure["stack"])
    else:  # rows and parameters are not ours to write down
        assert SECRET_TEXT not in str(written)
        assert SECRET_TEXT.encode().hex() not in str(written)


@endpoint("GET /v1/slow", uses=(Need.DATABASE,))
def slow(tx: Transaction) -> Thing:
    tx.run("SET LOCAL statement_timeout = 50")
    tx.value("SELECT pg_sleep(5)")
    return Thing(text="")


@endpoint("GET /v1/cut", uses=(Need.DATABASE,))
def cut(tx: Transaction) -> Thing:
    tx.value("SELECT pg_terminate_backend(pg_backend_pid())")
    return Thing(text="")


def test_a_busy_or_lost_database_is_said_to_pass(deployed: Platform, ada: Account) -> None:
    for route in (slow, cut):
        answer = send(deployed, ada, route)
        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    who = deployed.request(me.handler, bearer=ada.secret_key)  # on a new connection
    assert who.status == 200


def test_each_answer_carries_the_requests_id(deployed: Platform, ada: Account) -> None:
    for route, body in ((me.handler, None), (create.handler, CHARGE), (create.handler, "{")):
        event = rest_event(
            route,
            body,
            principal=deployed.principal(ada.secret_key),
            headers={"Idempotency-Key": f"id-{next(_keys)}"},
        )
        deployed.enter(route.needs)
        answer = reply(route(event, LambdaContext()))
        assert answer.headers["request-id"] == event["requestContext"]["requestId"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("event", [{}, {"headers": None, "body": None, "requestContext": None}])
def test_an_empty_event_is_answered_too(deployed: Platform, event: dict[str, Any]) -> None:
    deployed.enter(me.handler.needs)
    assert me.handler(event, LambdaContext())["statusCode"] == 401


# -- what is logged


def test_each_request_is_one_line_and_its_metrics(
    deployed: Platform, ada: Account, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_cold", True)
    deployed.principal(ada.secret_key)
    logged()
    answers = [
        deployed.request(me.handler, bearer=ada.secret_key),
        send(deployed, ada, create.handler, "{"),
        deployed.request(login.handler, {"email": "x@example.com", "password": "wrong"}),
        send(deployed, ada, broken),
    ]
    written = logged()
    requests = lines(written, "request")
    assert len(requests) == len(answers)
    merchant = deployed.request(me.handler, bearer=ada.secret_key).json()["id"]
    for line, answer, route, who, cold in zip(
        requests,
        answers,
        ["GET /v1/me", "POST /v1/charges", "POST /v1/auth/login", "GET /v1/broken"],
        [merchant, merchant, None, merchant],
        [True, False, False, False],
        strict=True,
    ):
        assert (line["route"], line["status"]) == (route, answer.status)
        assert line["correlation_id"] == answer.headers["request-id"]
        assert (line.get("merchant"), line.get("cold_start", False)) == (who, cold)
        assert line["duration_ms"] >= 0
        assert line["level"] == "INFO"
    metrics = [line for line in written if "_aws" in line]
    names = [metric["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for metric in metrics]
    assert names == ["ServerErrors"]
    for metric in metrics:
        (directive,) = metric["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Ivy"
        assert directive["Dimensions"] == [["route"]]
        (declared,) = directive["Metrics"]
        assert declared["Unit"] in {"Milliseconds", "Count"}
        assert metric[declared["Name"]][0] >= 0
        assert metric["route"]


def test_secrets_never_reach_a_log(
    platform: Platform,
    capsys: pytest.CaptureFixture[str],
    to_stdout: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Everything that a person or a program could use, through good and bad requests alike."""
    assert to_stdout is None
    caplog.set_level("DEBUG", logger="ivy")
    password, email = "many quiet secret horses", "ada@example.com"
    person = {"email": email, "password": password, "business_name": "B", "country": "US"}
    answer = platform.request(register.handler, person)
    secrets = {password, answer.json()["access_token"], "pepper", "s" * 40}
    for body in (person | {"country": "XX"}, person | {"password": password * 9}, [password]):
        platform.request(register.handler, body)
    platform.request(login.handler, {"email": email, "password": password + "?"})
    secrets.add(
        platform.request(login.handler, {"email": email, "password": password}).json()[
            "access_token"
        ]
    )
    from functions.api_keys import create as create_key  # noqa: PLC0415 - only here

    for mode in ("test", "live"):
        body = {"name": "k", "mode": mode}
        made = platform.request(create_key.handler, body, bearer=answer.json()["access_token"])
        secrets.add(made.json()["secret"])
    card = "4242424242424242"
    for secret in sorted(secrets - {"pepper", "s" * 40, password}):
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        for sent in (CHARGE, CHARGE | {"payment_method": card}, {"card": card}, f'{{"{card}"'):
            platform.request(create.handler, sent, bearer=secret, headers=headers)
    platform.connect_role(
        "ivy_app", platform.store.url("ivy_app").replace("127.0.0.1:", "127.0.0.1:1")
    )
    platform.request(login.handler, {"email": email, "password": password})
    out, err = capsys.readouterr()
    everything = out + err + caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert everything.count("database.unreachable") >= 1
    assert len(everything) > 5_000
    for secret in secrets | {card, "only-for-tests", email}:
        assert secret not in everything
        assert secret.encode().hex() not in everything


# -- queries


def test_a_query_that_a_route_does_not_know_is_refused(deployed: Platform, ada: Account) -> None:
    """Whoever misspells a filter is told, and is not given everything."""
    deployed.principal(ada.access_token)
    for _, route in declared(read_functions(), Endpoint):
        if route.public:
            continue
        event = rest_event(
            route, {} if route.method != "GET" else None,
            principal=deployed.principal(ada.access_token),
            headers={"Idempotency-Key": f"http-{next(_keys)}"},
            query={"x": "1"},
            path={"id": ("whe_" if "/webhooks/" in route.path else "ch_") + "0" * 32},
        )  # fmt: skip
        deployed.enter(route.needs)
        answer = reply(route(event, LambdaContext()))
        assert answer.code == "request_invalid", (route.path, answer.body)
        assert {"?x"} <= {each["pointer"] for each in answer.json()["errors"]}, route.path


def test_the_cursor_of_another_list_is_refused(deployed: Platform, ada: Account) -> None:
    for _ in range(2):
        send(deployed, ada, create.handler, CHARGE)
    first = send(deployed, ada, list_charges.handler, queryStringParameters={"limit": "1"}).json()
    cursor = {"cursor": first["next_cursor"], "limit": "1"}
    second = send(deployed, ada, list_charges.handler, queryStringParameters=cursor).json()
    assert len({first["data"][0]["id"], second["data"][0]["id"]}) == 2
    refused = send(deployed, ada, list_refunds.handler, queryStringParameters=cursor)
    assert refused.code == "request_invalid"
    assert refused.json()["errors"] == [
        {"pointer": "?cursor", "code": "cursor", "detail": "is the cursor of another list"}
    ]
