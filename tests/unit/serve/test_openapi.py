from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from infra.catalogue import declared, read_functions
from infra.layers import OPENAPI
from infra.openapi import rendered
from ivy import errors
from ivy.ids import Prefix
from ivy.pages import Page
from ivy.serve.http import Endpoint
from ivy.serve.injection import parameters
from ivy.serve.openapi import possible_errors


@pytest.fixture(scope="module")
def text() -> str:
    return rendered()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def endpoints() -> list[Endpoint]:
    return [endpoint for _, endpoint in declared(read_functions(), Endpoint)]


def test_the_committed_reference_is_the_generated_one(text: str) -> None:
    assert OPENAPI.read_text("utf-8") == text


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_route_is_in_it_with_every_error(document: dict[str, Any]) -> None:
    assert len(endpoints()) >= 10
    for endpoint in endpoints():
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["summary"]
        assert str(endpoint.status) in operation["responses"]
        assert operation["security"] == ([] if endpoint.public else [{"bearer": []}])
        named = {
            code
            for response in operation["responses"].values()
            for code in response.get("content", {})
            .get("application/problem+json", {})
            .get("examples", {})
        }
        assert named == {problem.code for problem in possible_errors(endpoint)}
        keys = [p for p in operation.get("parameters", []) if p["name"] == "Idempotency-Key"]
        assert [key["required"] for key in keys] == [endpoint.idempotent] * endpoint.takes_key


def answers(document: dict[str, Any], path: str) -> dict[str, Any]:
    """What a POST answers with, by status: the name of a schema."""
    return {
        status: schema["$ref"].rpartition("/")[2]
        for status, response in document["paths"][path]["post"]["responses"].items()
        for schema in [next(iter(response["content"].values()))["schema"]]
    }


def test_a_dry_run_has_an_answer_of_its_own(document: dict[str, Any]) -> None:
    for path, made in (("/v1/charges", "Charge"), ("/v1/refunds", "Refund")):
        found = answers(document, path)
        assert (found["200"], found["201"]) == ("DryRun", made)
        successes = document["paths"][path]["post"]["responses"]
        assert "Idempotent-Replayed" in successes["201"]["headers"]
        assert "Idempotent-Replayed" not in successes["200"]["headers"]
    captured = answers(document, "/v1/charges/{id}/capture")
    assert (captured["200"], "201" in captured) == ("Charge", False)


def test_a_decline_says_which_charge_and_why(document: dict[str, Any]) -> None:
    for path in ("/v1/charges", "/v1/charges/{id}/capture", "/v1/charges/{id}/cancel"):
        declined = document["paths"][path]["post"]["responses"]["402"]
        (example,) = declined["content"]["application/problem+json"]["examples"].values()
        assert {"charge", "failure_code", "decline_code"} <= example["value"].keys()
        assert "Idempotent-Replayed" in declined["headers"]
    described = document["components"]["schemas"]["Problem"]["properties"]
    assert {"charge", "failure_code", "decline_code"} <= described.keys()


def test_every_code_belongs_to_some_route_or_to_the_gateway() -> None:
    possible = {problem for endpoint in endpoints() for problem in possible_errors(endpoint)}
    assert set(errors.Problem.every()) - possible == {errors.RouteUnknown}


def test_each_list_takes_its_own_cursors() -> None:
    lists = {
        query.of: parameters(endpoint.function).returns.__pydantic_generic_metadata__["args"]
        for endpoint in endpoints()
        for each in parameters(endpoint.function).request
        if isinstance(query := each.annotation, type) and issubclass(query, Page)
    }
    assert len(lists) == sum("Listing" in str(parameters(e.function).returns) for e in endpoints())
    for of, (item,) in lists.items():
        (prefix,) = (each for each in item.model_fields["id"].metadata if isinstance(each, Prefix))
        assert prefix.prefix == of


def test_money_moves_only_under_a_key() -> None:
    posts = [e for e in endpoints() if e.method == "POST" and not e.idempotent]
    assert {e.path for e in posts if e.repeatable} == {
        *("/v1/webhooks/{id}/test", "/v1/webhooks/{id}/replay", "/v1/deliveries/{id}/resend"),
        *("/v1/bank_accounts/{id}/verify", "/v1/test/clock/advance"),
    }
    assert {e.path for e in posts if not e.takes_key} == {
        *("/v1/auth/register", "/v1/auth/login"),  # nobody is known yet whose key it would be
        *(
            "/v1/api_keys",
            "/v1/webhooks",
            "/v1/webhooks/{id}/rotate_secret",
        ),  # a secret is not kept
        "/v1/simulator/challenges/{reference}",  # a payer's, and answered once
        "/v1/test/events/trigger",  # test money only, and each time something new
    }


def test_a_wrong_answer_of_micro_deposits_is_replayed(document: dict[str, Any]) -> None:
    said = document["paths"]["/v1/bank_accounts/{id}/verify"]["post"]["responses"]
    assert "Idempotent-Replayed" in said["422"]["headers"]
    assert "Idempotent-Replayed" not in said["409"]["headers"]
