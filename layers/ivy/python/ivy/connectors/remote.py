"""A connector as it is deployed: a function of its own, invoked with one message.

The function that talks to an acquirer has the acquirer's secret and a way to the internet; the
function that asks it has the ledger. Neither has both. See docs/decisions/connectors.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ivy import observe
from ivy.aws import client
from ivy.connectors import NOTICES, OUTCOME, Connector, Notice, Order, Outcome, Unknown
from ivy.settings import settings


class NoAnswerError(RuntimeError):
    """The connector's function did not answer, or failed."""


@dataclass(frozen=True, slots=True)
class RemoteConnector:
    """Speaks to the function that stands for one acquirer."""

    function: str

    def authorize(self, order: Order) -> Outcome:
        """Ask for the money."""
        return self._ask("authorize", order)

    def capture(self, order: Order) -> Outcome:
        """Take an authorised amount."""
        return self._ask("capture", order)

    def void(self, order: Order) -> Outcome:
        """Release an authorisation."""
        return self._ask("void", order)

    def refund(self, order: Order) -> Outcome:
        """Give money back."""
        return self._ask("refund", order)

    def contest(self, order: Order) -> Outcome:
        """Hand in evidence."""
        return self._ask("contest", order)

    def concede(self, order: Order) -> Outcome:
        """Give a dispute up."""
        return self._ask("concede", order)

    def lookup(self, order: Order) -> Outcome:
        """Say what became of an order."""
        return self._ask("lookup", order)

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

    def _ask(self, method: str, order: Order) -> Outcome:
        try:
            message = {"method": method, "order": order.model_dump(mode="json")}
            return OUTCOME.validate_python(invoke(self.function, message))
        except NoAnswerError as error:
            observe.failure("connector.no_answer", connector=self.function, method=method)
            return Unknown(reason=str(error))
        except ValidationError:
            observe.failure("connector.no_sense", connector=self.function, method=method)
            return Unknown(reason="the answer makes no sense")


def invoke(function: str, message: dict[str, Any]) -> Any:
    """Invoke a connector's function once and return its answer.

    boto3 does not repeat it, because a lookup comes before asking again.

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


def answer(connector: Connector, message: dict[str, Any]) -> Any:
    """Return what a connector says to one message: the other end of ``RemoteConnector``."""
    method = message["method"]
    if method == "notices":
        at = datetime.fromisoformat(message["at"])
        return NOTICES.dump_python(connector.notices(at, message["account"]), mode="json")
    if method == "next_notice":
        due = connector.next_notice(datetime.fromisoformat(message["at"]), message["account"])
        return due and due.isoformat()
    if method == "acknowledge":
        connector.acknowledge(message["account"], message["notice"])
        return None
    outcome: Outcome = {
        "authorize": connector.authorize,
        "capture": connector.capture,
        "void": connector.void,
        "refund": connector.refund,
        "contest": connector.contest,
        "concede": connector.concede,
        "lookup": connector.lookup,
    }[method](Order.model_validate(message["order"]))
    return outcome.model_dump(mode="json")


def connector(name: str) -> Connector:
    """Return a connector by the name that charges carry."""
    return RemoteConnector(settings().required("connectors")[name])
