"""A connector as the ledger's functions see it: a function of its own that they invoke.

The function that talks to an acquirer has the acquirer's secret and a way to the internet; the
function that asks it has the ledger. Neither has both. See docs/decisions/connectors.md; what the
function does with a message is in ``answering``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ivy import observe
from ivy.aws import READ_SECONDS_OF, client
from ivy.connectors import NOTICES, OUTCOME, Asked, Notice, Outcome, Unknown
from ivy.settings import settings


class NoAnswerError(RuntimeError):
    """The connector's function did not answer, or failed."""


@dataclass(frozen=True, slots=True)
class RemoteConnector:
    """Speaks to the function that stands for one acquirer."""

    function: str

    def carry_out(self, asked: Sequence[Asked]) -> list[Outcome]:
        """Have orders carried out, all of them at once; returns what became of each."""
        message = {
            "method": "carry_out",
            "until": time.time() + READ_SECONDS_OF["lambda"],
            "orders": [each.model_dump(mode="json") for each in asked],
        }
        try:
            said = invoke(self.function, message)
        except NoAnswerError as error:
            charges = [str(each.order.charge) for each in asked]
            observe.failure("connector.no_answer", connector=self.function, charges=charges)
            return [Unknown(reason=str(error))] * len(asked)
        if not isinstance(said, list) or len(said) != len(asked):
            said = [None] * len(asked)
        return [self._understood(*each) for each in zip(asked, said, strict=True)]

    def _understood(self, asked: Asked, said: Any) -> Outcome:
        try:
            return OUTCOME.validate_python(said)
        except ValidationError:
            charge = str(asked.order.charge)
            observe.failure("connector.no_sense", connector=self.function, charge=charge)
            return Unknown(reason="the answer makes no sense")

    def notices(self, at: datetime, account: str | None = None) -> list[Notice]:
        """Return what the acquirer did by itself; empty when it does not answer."""
        try:
            message = {"method": "notices", "at": at.isoformat(), "account": account}
            found = invoke(self.function, message)
            return NOTICES.validate_python(found)
        except (NoAnswerError, ValidationError):
            observe.failure("connector.no_notices", connector=self.function)
            return []

    def next_notice(self, until: datetime, account: str) -> datetime | None:
        """Return when there is a notice next.

        Raises:
            NoAnswerError: It does not answer, which is not the same as no notice.
        """
        message = {"method": "next_notice", "at": until.isoformat(), "account": account}
        found = invoke(self.function, message)
        return None if found is None else datetime.fromisoformat(found)

    def acknowledge(self, account: str, notice: str) -> None:
        """Say that a notice has been recorded; one that gets lost is only heard again."""
        try:
            message = {"method": "acknowledge", "account": account, "notice": notice}
            invoke(self.function, message)
        except NoAnswerError:
            observe.failure("connector.not_acknowledged", connector=self.function)


def invoke(function: str, message: dict[str, Any]) -> Any:
    """Invoke a connector's function once and return its answer.

    boto3 does not repeat it, because an order is looked up before it is carried out again.

    Raises:
        NoAnswerError: It did not answer in time, failed, or did not answer in JSON.
    """
    payload = json.dumps({**message, "correlation": observe.correlation_id()})
    try:
        answer = client("lambda").invoke(FunctionName=function, Payload=payload.encode())
        said = json.loads(answer["Payload"].read())
    except Exception as error:
        raise NoAnswerError(type(error).__name__) from error
    if "FunctionError" in answer:
        raise NoAnswerError("the connector's function failed")
    return said


def connector(name: str) -> RemoteConnector:
    """Return a connector by the name that charges carry.

    Raises:
        KeyError: There is none of that name.
    """
    return RemoteConnector(settings().required("connectors")[name])
