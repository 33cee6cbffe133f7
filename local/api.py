"""The API of a running stack, called as any client would, and the demo merchant's key to it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.errors import LocalError

if TYPE_CHECKING:
    from local.home import Home

REQUEST_SECONDS = 60
"""A first request waits for several cold starts."""

SUCCESS = range(200, 300)


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


@dataclass(frozen=True)
class Merchant:
    """A merchant's key, and where it is used."""

    api: Api
    key: str

    @classmethod
    def of(cls, home: Home) -> Merchant:
        """Return the demo merchant of a running stack.

        Raises:
            LocalError: The stack does not run.
        """
        facts = home.running()
        return cls(Api(facts["api"]), facts["merchant"]["secret_key"])

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request and return what it answered.

        Raises:
            LocalError: Nobody answered, or the request was refused; the message says why.
        """
        answer = self.api.call(method, path, body, credential=self.key)
        if answer.status not in SUCCESS:
            raise RefusedError(method, path, answer.status, answer.body)
        return answer.body


class RefusedError(LocalError):
    """The API refused a request.

    Attributes:
        http_status: The status of its answer.
        said: What was wrong, as text.
    """

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        fields = [f"{each['pointer']}: {each['detail']}" for each in problem.get("errors", ())]
        self.http_status = status
        self.said = "\n".join(fields) or str(problem.get("detail", problem))
        super().__init__(f"{method} {path} answered {status}: {self.said}")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {"body": body.decode(errors="replace")}
    return found if isinstance(found, dict) else {"body": found}
