"""The demo merchant at the API of a running stack: what commands ask in its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.errors import LocalError
from local.seed import Api

if TYPE_CHECKING:
    from local.home import Home

SUCCESS = range(200, 300)


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
        status: Its status.
        said: What was wrong, as text.
    """

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        fields = [f"{each['pointer']}: {each['detail']}" for each in problem.get("errors", ())]
        self.status = status
        self.said = "\n".join([str(problem.get("detail", problem)), *fields])
        super().__init__(f"{method} {path} answered {status}: {self.said}")
