"""What API Gateway answers by itself, rendered like every other error of the API.

Each of its response types becomes one of ``ivy.errors``, so a caller cannot tell whether the
gateway or a function refused the request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ivy import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

RETRY_AFTER_SECONDS = 1
STAGE = "api"
REQUEST_ID = "$context.requestId"

BY_TYPE: Mapping[str, type[errors.Problem]] = {
    "UNAUTHORIZED": errors.CredentialMissing,
    "ACCESS_DENIED": errors.CredentialInvalid,
    "MISSING_AUTHENTICATION_TOKEN": errors.RouteUnknown,
    "RESOURCE_NOT_FOUND": errors.RouteUnknown,
    # A bearer token on a path without a route is first read as a malformed AWS signature.
    "INVALID_SIGNATURE": errors.RouteUnknown,
    "EXPIRED_TOKEN": errors.RouteUnknown,
    "DEFAULT_4XX": errors.RouteUnknown,
    "BAD_REQUEST_BODY": errors.BodyMalformed,
    "BAD_REQUEST_PARAMETERS": errors.BodyMalformed,
    "REQUEST_TOO_LARGE": errors.BodyTooLarge,
    "UNSUPPORTED_MEDIA_TYPE": errors.MediaTypeUnsupported,
    "THROTTLED": errors.RateLimited,
    "QUOTA_EXCEEDED": errors.RateLimited,
    "WAF_FILTERED": errors.RateLimited,
    "INTEGRATION_TIMEOUT": errors.Unavailable,
    "INTEGRATION_FAILURE": errors.Unavailable,
    "AUTHORIZER_FAILURE": errors.Unavailable,
    "DEFAULT_5XX": errors.Internal,
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer of the gateway: status, headers (values without quotes), body template."""

    status: int
    headers: Mapping[str, str]
    body: str


def answers() -> dict[str, Answer]:
    """Return the answer of every response type that is customised."""
    return {kind: _answer(problem) for kind, problem in BY_TYPE.items()}


def _answer(problem: type[errors.Problem]) -> Answer:
    headers = {"Content-Type": "'application/problem+json'", "Request-Id": "context.requestId"}
    if problem is errors.RateLimited:
        headers["Retry-After"] = f"'{RETRY_AFTER_SECONDS}'"
    return Answer(
        status=problem.status,
        headers=headers,
        body=json.dumps(
            {
                "type": f"/{STAGE}/v1/docs/errors#{problem.code}",
                "title": problem.title,
                "status": problem.status,
                "detail": problem.documentation(),
                "code": problem.code,
                "request_id": REQUEST_ID,
                "retryable": problem.retryable,
            }
        ),
    )
