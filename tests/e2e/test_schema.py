"""Every operation of the committed specification, attacked by schemathesis on the deployed stack.

All of its checks run: no server error, only documented statuses and media types, bodies that match
their schemas, credentials not ignored, invalid data refused and valid data accepted.
"""

from __future__ import annotations

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from tests.e2e.conftest import REPOSITORY, Stack, charge, decided, idempotency_key, ivy

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


WELL_FORMED = re.compile("[a-z]+_[0-9a-f]{32}")


@pytest.fixture(scope="module")
def real(stack: Stack) -> dict[str, str]:
    """The id of an object that exists, by the path that takes it.

    Whatever is well formed about an object that nobody made stands for one of these: so each
    operation is also seen to succeed, and to refuse what only its object's state forbids.
    """
    with stack.client() as client:
        held, wanted, disputed, paid = (
            decided(client, charge(client, **changes)["id"])
            for changes in (
                {"capture": False},
                {"capture": False},
                {"payment_method": "tok_dispute"},
                {},
            )
        )
        body = {"charge": paid["id"], "amount": 100}
        refund = client.post("/refunds", json=body, headers=idempotency_key()).json()
        ivy(stack.home, "invoke", "connectors/collect")
        (dispute,) = client.get("/disputes", params={"charge": disputed["id"]}).json()["data"]
    ltx = str(paid["ledger_transaction"])
    return {
        "/v1/balance_transactions/{id}": ltx.replace("ltx_", "txn_"),
        "/v1/charges/{id}": paid["id"],
        "/v1/charges/{id}/cancel": wanted["id"],
        "/v1/charges/{id}/capture": held["id"],
        "/v1/disputes/{id}": dispute["id"],
        "/v1/disputes/{id}/accept": dispute["id"],
        "/v1/disputes/{id}/evidence": dispute["id"],
        "/v1/ledger/transactions/{id}": ltx,
        "/v1/refunds": paid["id"],
        "/v1/refunds/{id}": refund["id"],
    }


def stand_in(case: Case, real: dict[str, str]) -> None:
    """Let a request be about an object that exists, where it could be."""
    if case.path not in real:
        return
    for given, name in ((case.path_parameters, "id"), (case.body, "charge")):
        if isinstance(given, dict) and WELL_FORMED.fullmatch(str(given.get(name))):
            given[name] = real[case.path]


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_operation(case: Case, stack: Stack, real: dict[str, str]) -> None:
    stand_in(case, real)
    headers = {"Authorization": f"Bearer {stack.key}"}
    if case.headers and case.headers.get("Idempotency-Key") == "order-1042":
        headers |= idempotency_key()  # the documented example's key would only be replayed
    case.call_and_validate(base_url=stack.api.removesuffix("/v1"), headers=headers)
