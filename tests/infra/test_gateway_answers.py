"""What the gateway answers by itself is a documented error, in the API's own form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ministack.services import apigateway_v1

from infra import responses
from ivy.errors import Problem
from ivy.serve import problems

if TYPE_CHECKING:
    from tests.infra.templates import Assembly

CONTRACT = {
    "UNAUTHORIZED": (401, "credential_missing"),
    "ACCESS_DENIED": (401, "credential_invalid"),
    "MISSING_AUTHENTICATION_TOKEN": (404, "route_unknown"),
    "THROTTLED": (429, "rate_limited"),
    "REQUEST_TOO_LARGE": (413, "body_too_large"),
    "DEFAULT_5XX": (500, "internal_error"),
}


def test_statuses_and_codes() -> None:
    found = {
        kind: (answer.status, json.loads(answer.body)["code"])
        for kind, answer in responses.answers().items()
    }
    assert CONTRACT.items() <= found.items()
    assert set(found) <= set(apigateway_v1._GATEWAY_RESPONSE_TYPES)


def test_the_same_members_as_a_function_writes() -> None:
    for kind, answer in responses.answers().items():
        document = json.loads(answer.body)
        problem: type[Problem] = responses.BY_TYPE[kind]
        written = json.loads(
            problems.body(
                problem(),
                base_url=f"/{responses.STAGE}",
                instance="/",
                request_id="$context.requestId",
            )
        )
        assert document == {k: v for k, v in written.items() if k != "instance"}, kind


def test_headers(assembly: Assembly) -> None:
    made = assembly.resources("AWS::ApiGateway::GatewayResponse")
    assert len(made) == len(responses.BY_TYPE)
    for response in made:
        headers = response.properties["ResponseParameters"]
        assert headers["gatewayresponse.header.Request-Id"] == "context.requestId"
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        if response.properties["StatusCode"] == "429":
            assert headers["gatewayresponse.header.Retry-After"] == "'1'"
