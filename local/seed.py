"""The demo merchant, made through the real API, so that there is something to charge at once."""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.errors import LocalError

if TYPE_CHECKING:
    from local.home import Home

BUSINESS = "Demo Traders"
EMAIL = "demo@example.com"
KEYS = {"secret_key": "secret", "publishable_key": "publishable"}
REQUEST_SECONDS = 60
"""A first request waits for several cold starts."""

OK, CREATED, BAD_REQUEST, UNAUTHORIZED = 200, 201, 400, 401


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The deployed API, called as any client would."""

    base: str

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, credential: str = ""
    ) -> Answer:
        """Send one request and return its answer, whatever the status.

        Raises:
            LocalError: Nothing answered.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if credential:
            headers["Authorization"] = f"Bearer {credential}"
        request = urllib.request.Request(  # noqa: S310 - our own http address
            self.base + path,
            method=method,
            headers=headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as reply:  # noqa: S310 - same
                return Answer(reply.status, _parsed(reply.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _parsed(error.read()))
        except OSError as error:
            raise LocalError(
                f"{method} {path} got no answer: {error}", "Run `ivy logs`."
            ) from error


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


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {"body": body.decode(errors="replace")}
    return found if isinstance(found, dict) else {"body": found}
