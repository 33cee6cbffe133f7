"""The API reference, derived from the declarations: OpenAPI 3.1 and the list of errors.

Runs when the reference is built, never when a request is answered.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from pydantic import BaseModel

from ivy import errors
from ivy.errors import ChargeDeclined, Problem
from ivy.ledger_transactions import DryRun
from ivy.models import API_VERSION, Elsewhere
from ivy.serve import openapi_webhooks
from ivy.serve.declaration import Route
from ivy.serve.http import ELSEWHERE, REHEARSED, Endpoint
from ivy.serve.injection import parameters
from ivy.serve.problems import MEDIA_TYPE

_ALWAYS: tuple[type[Problem], ...] = (
    errors.RequestInvalid,
    errors.RateLimited,
    errors.Internal,
    errors.Unavailable,
)
_WITH_CREDENTIAL = (errors.CredentialMissing, errors.CredentialInvalid, errors.AddressRefused)
_WITH_BODY = (errors.BodyMalformed, errors.BodyTooLarge, errors.MediaTypeUnsupported)
_WITH_KEY = (
    errors.IdempotencyKeyMissing,
    errors.IdempotencyKeyInvalid,
    errors.IdempotencyKeyInUse,
    errors.IdempotencyKeyReused,
)

_DESCRIPTION = """\
Every charge and fee is a balanced, dated, provable ledger entry.

**Money** is an integer of minor units with an ISO 4217 currency: `10000` `USD` is 100.00.
**Times** are RFC 3339 in UTC. **Unknown fields** are refused. **Errors** are
`application/problem+json` with a stable [`code`](docs/errors); every answer carries a `Request-Id`.

Send `Authorization: Bearer <key or access token>`. A key carries its mode; with an access token
choose it by `Ivy-Mode: test` or `live`. A `POST` that moves money needs an `Idempotency-Key`:
the same key with the same request returns the same bytes and charges once. Others honour one that
is sent, except where an answer shows a secret, which is not kept: if it is lost, revoke, remove or
rotate what was made.
"""

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "retryable",
    ],
    "properties": {
        "type": {"type": "string", "description": "The documentation of `code`."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path; absent when the gateway answers."},
        "code": {"type": "string", "enum": [problem.code for problem in Problem.every()]},
        "param": {"type": "string"},
        "request_id": {"type": "string"},
        "retryable": {"type": "boolean"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
        **{
            name: {
                "type": "integer" if isinstance(shown, int) else "string",
                "description": f"Of `{problem.code}`.",
            }
            for problem in Problem.every()
            for name, shown in problem.members.items()
        },
    },
    "additionalProperties": False,
}

_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A value of your own, new for each new request.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "example": "order-1042",
}
_REQUEST_ID = {
    "Request-Id": {
        "description": "Quote it when asking for help.",
        "schema": {"type": "string"},
    }
}
_LOCATION = {
    "Location": {
        "description": "An address that needs no credential and ends after five minutes.",
        "schema": {"type": "string", "format": "uri"},
    }
}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true` when this is the answer to an earlier request with this key.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}


def possible_errors(route: Route) -> tuple[type[Problem], ...]:
    """Return every error that a route can answer with."""
    found: list[type[Problem]] = [*route.errors, *_ALWAYS]
    if not route.public:
        found += _WITH_CREDENTIAL
        if route.scope is not None:
            found.append(errors.ScopeMissing)
    if "{" in route.path:
        found.append(errors.ResourceMissing)
    if route.method != "GET":
        found += _WITH_BODY
    if route.idempotent:
        found += _WITH_KEY
    elif route.repeatable:
        found += [each for each in _WITH_KEY if each is not errors.IdempotencyKeyMissing]
    return tuple(dict.fromkeys(found))


def specification(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of some endpoints."""
    app = FastAPI(title="Ivy", version=API_VERSION, description=_DESCRIPTION)
    for endpoint in endpoints:
        endpoint.register(app, **_documentation(endpoint))
    document: dict[str, Any] = app.openapi()
    document["servers"] = [{"url": "/api"}]
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key (`ivy_sk_test_…`) or an access token.",
        }
    }
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    unrouted = {each.__name__ for each in openapi_webhooks.UNROUTED}
    if {*openapi_webhooks.DATA.values()} <= schemas.keys() | unrouted:
        document["webhooks"] = openapi_webhooks.webhooks()
        schemas |= openapi_webhooks.schemas()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _documentation(endpoint: Endpoint) -> dict[str, Any]:
    summary, _, description = inspect.getdoc(endpoint.function).partition("\n\n")  # type: ignore[union-attr]  # each has one: lint demands it
    extra: dict[str, Any] = {"security": [] if endpoint.public else [{"bearer": []}]}
    if endpoint.takes_key:
        extra["parameters"] = [_KEY_HEADER | {"required": endpoint.idempotent}]
    if endpoint.scope is not None:
        description += f"\n\nNeeds the scope `{endpoint.scope}`."
    return {
        "summary": summary.rstrip("."),
        "description": description.strip(),
        "operation_id": endpoint.name.replace("/", "_"),
        "tags": [endpoint.name.partition("/")[0].replace("_", " ")],
        "responses": _responses(endpoint),
        "openapi_extra": extra,
    }


def _responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    kept_headers = _REQUEST_ID | (_REPLAYED if endpoint.takes_key else {})
    responses: dict[int | str, dict[str, Any]] = {}
    returns = parameters(endpoint.function).returns
    kept = {ChargeDeclined.status}
    for model in get_args(returns) or (returns,):
        if isinstance(model, type) and issubclass(model, Problem):
            kept.add(model.status)
        elif model is DryRun:
            nothing = {"description": "Nothing was written: `dry_run`.", "headers": _REQUEST_ID}
            responses[REHEARSED] = nothing | {"model": DryRun}
        elif model is Elsewhere:
            responses[ELSEWHERE] = {
                "description": "Too large for this answer: `Location` has it for some minutes.",
                "headers": _REQUEST_ID | _LOCATION,
            }
        else:
            responses[endpoint.status] = _success(endpoint, model) | {"headers": kept_headers}
    for problem in sorted(possible_errors(endpoint), key=lambda problem: problem.status):
        headers = kept_headers if problem.status in kept else _REQUEST_ID
        response = responses.setdefault(problem.status, _error_response(problem.status, headers))
        response["content"][MEDIA_TYPE]["examples"][problem.code] = _example(problem)
    return responses


def _success(endpoint: Endpoint, model: Any) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase}
    if isinstance(model, type) and issubclass(model, BaseModel):
        return success | {"model": model}
    return success | {"content": {"*/*": {"schema": {"type": "string"}}}}


def _error_response(status: int, headers: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers,
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
        },
    }


def _example(problem: type[Problem]) -> dict[str, Any]:
    return {
        "summary": problem.title,
        "description": inspect.cleandoc(problem.__doc__ or ""),
        "value": {
            "type": f"/api/v1/docs/errors#{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.documentation(),
            "instance": "/api/v1/charges",
            "code": problem.code,
            "request_id": "6f1c1ce2-41f4-4e35-9d4c-5a6cf2a3a0d1",
            "retryable": problem.retryable,
            **problem.members,
        },
    }
