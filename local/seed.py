"""The demo merchant, made through the real API, so that there is something to charge at once."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from local.api import Answer, Api
from local.errors import LocalError

if TYPE_CHECKING:
    from local.home import Home

BUSINESS = "Demo Traders"
EMAIL = "demo@example.com"
KEYS = {"secret_key": "secret", "publishable_key": "publishable"}
OK, CREATED, BAD_REQUEST, UNAUTHORIZED = 200, 201, 400, 401


def ensure_merchant(home: Home, api: Api) -> tuple[dict[str, str], bool]:
    """Return the demo merchant and whether it had to be made.

    Its credentials are kept in the home, so that keys go on working over restarts.

    Returns:
        ``id``, ``email``, ``password``, ``secret_key``, ``publishable_key``; and whether new.

    Raises:
        LocalError: The API refused a step; the message holds its answer.
    """
    kept = home.read("merchant")
    if kept.keys() >= KEYS.keys() and warm(api, kept["secret_key"]):
        return kept, False
    merchant, token = _entered(api, kept)
    home.write("merchant", merchant)  # an interrupted start must not forget the password
    for name, kind in KEYS.items():
        new_key = {"name": f"Demo {kind} key", "mode": "test", "kind": kind}
        made = _must(api.call("POST", "/api_keys", new_key, credential=token), "POST /api_keys")
        merchant[name] = made["secret"]
    home.write("merchant", merchant)
    warm(api, merchant["secret_key"])
    return merchant, True


def warm(api: Api, secret_key: str) -> bool:
    """Load the function that charges, without writing anything; tell whether the key is valid.

    Raises:
        LocalError: The API answered neither way.
    """
    answer = api.call("POST", "/charges", {}, credential=secret_key)
    if answer.status == UNAUTHORIZED:
        return False
    if answer.status != BAD_REQUEST:  # refused for want of an Idempotency-Key
        raise _refused(answer, "POST /charges")
    return True


def _entered(api: Api, kept: dict[str, str]) -> tuple[dict[str, str], str]:
    """Log in as the kept merchant, or register one when there is none or it is gone."""
    if {"id", "email", "password"} <= kept.keys():
        known = {"email": kept["email"], "password": kept["password"]}
        answer = api.call("POST", "/auth/login", known)
        if answer.status != UNAUTHORIZED:
            return dict(kept), _must(answer, "POST /auth/login")["access_token"]
    login = {"email": EMAIL, "password": secrets.token_urlsafe(15)}
    details = {"business_name": BUSINESS, "country": "US"}
    answer = api.call("POST", "/auth/register", login | details)
    body = _must(answer, "POST /auth/register")
    return {"id": body["merchant"]["id"], **login}, body["access_token"]


def _must(answer: Answer, what: str) -> dict[str, Any]:
    if answer.status not in (OK, CREATED):
        raise _refused(answer, what)
    return answer.body


def _refused(answer: Answer, what: str) -> LocalError:
    return LocalError(
        f"The demo merchant cannot be made: {what} answered {answer.status}\n"
        f"{json.dumps(answer.body, indent=2)}",
        "Run `ivy doctor`.",
    )
