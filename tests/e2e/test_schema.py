"""Every operation of the committed specification, attacked by schemathesis on the deployed stack.

All of its checks run: no server error, only documented statuses and media types, bodies that match
their schemas, credentials not ignored, invalid data refused and valid data accepted.
"""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from tests.e2e.conftest import REPOSITORY, Stack, idempotency_key

EXAMPLES = 25

configuration = schemathesis.Config.from_dict(
    {
        "checks": {
            # API Gateway knows routes, not paths: a method without a route is an unknown route,
            # 404, never 405.
            "unsupported_method": {"enabled": False},
            # 422 also stands for rules that a schema cannot say: a currency's minimum, an expiry
            # in the past, a token nobody issued.
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "401", "403", "404", "409", "422"]
            },
        }
    }
)
schema = schemathesis.openapi.from_path(REPOSITORY / "docs" / "openapi.json", config=configuration)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_operation(case: Case, stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.key}"}
    if case.headers and case.headers.get("Idempotency-Key") == "order-1042":
        headers |= idempotency_key()  # the documented example's key would only be replayed
    case.call_and_validate(base_url=stack.api.removesuffix("/v1"), headers=headers)
