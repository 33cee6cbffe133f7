from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from infra.catalogue import declared, read_functions
from infra.layers import OPENAPI
from infra.openapi import rendered
from ivy import errors
from ivy.serve.http import Endpoint
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
        keyed = any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", []))
        assert keyed is endpoint.idempotent


def test_every_code_belongs_to_some_route_or_to_the_gateway() -> None:
    possible = {problem for endpoint in endpoints() for problem in possible_errors(endpoint)}
    assert set(errors.Problem.every()) - possible == {errors.RouteUnknown}


def test_money_moves_only_under_a_key() -> None:
    unkeyed = {e.path for e in endpoints() if e.method == "POST" and not e.idempotent}
    assert unkeyed == {
        *("/v1/auth/register", "/v1/auth/login", "/v1/api_keys"),
        "/v1/simulator/challenges/{reference}",
    }
