"""The Lambda authoriser: who the credential speaks for, in the gateway's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivy import observe
from ivy.database import database
from ivy.recognition import Recognised
from ivy.serve.declaration import Authorizer
from ivy.serve.requests import context_of

_SCHEME = "bearer "


@dataclass(frozen=True, kw_only=True)
class AuthorizerHandler(Authorizer):
    """An authoriser that is its own Lambda handler.

    Every credential is answered for the whole API, because the gateway caches the answer by
    credential; which routes it may use is decided by each route's scope.
    """

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG002 - Lambda passes it
        """Return the policy for the credential in a TOKEN authoriser event.

        An unknown credential is denied, never raised: an error here would be a 500. When the
        database cannot be asked the error does leave, and the gateway answers 500: a request must
        not be told that a good key is bad.
        """
        header = str(event.get("authorizationToken", ""))
        found: Recognised | None = None
        if header[: len(_SCHEME)].lower() == _SCHEME:
            try:
                found = self.function(database(), header[len(_SCHEME) :].strip())
            except Exception:  # noqa: BLE001 - logged; its text must not reach the gateway
                observe.failure("authorizer.failed")
                raise RuntimeError("The credential could not be checked.") from None
        observe.line(
            "authorized" if found else "denied",
            merchant=f"mer_{found.caller.merchant.hex}" if found else None,
        )
        return {
            "principalId": found.caller.merchant.hex if found else "nobody",
            "policyDocument": _policy(str(event["methodArn"]), allow=found is not None),
            "context": context_of(found) if found else {},
        }


def _policy(method_arn: str, *, allow: bool) -> dict[str, Any]:
    api = "/".join(method_arn.split("/")[:2])
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "execute-api:Invoke",
                "Effect": "Allow" if allow else "Deny",
                "Resource": f"{api}/*",
            }
        ],
    }
