"""The acquirer's side of a connector: messages in, and what the acquirer says to them out.

The orders of one message are carried out at once, each by itself: one that fails, or takes too
long, is unknown to whoever asked, and the others are not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any

from ivy import observe
from ivy.aws import READ_SECONDS_OF
from ivy.connectors import NOTICES, Asked, Connector, Outcome, Unknown, carry_out

TELLING_SECONDS = 0.5
ANSWER_SECONDS = READ_SECONDS_OF["lambda"] - TELLING_SECONDS
"""When what is known is told: before whoever asked stops listening."""

LEAST_SECONDS = 1.0
"""How long orders are given at least: the clock of whoever asked may be another."""


def answer(connector: Connector, message: Mapping[str, Any]) -> Any:
    """Return what a connector says to one message of ``RemoteConnector``.

    Raises:
        KeyError: The message is not one.
        ValueError: Neither are its contents.
        Exception: The connector's own. Of several orders all have failed.
    """
    method = message["method"]
    if method == "carry_out":
        asked = [Asked.model_validate(each) for each in message["orders"]]
        outcomes = _carried_out(connector, asked, _seconds(message.get("until")))
        return [outcome.model_dump(mode="json") for outcome in outcomes]
    if method == "notices":
        at = datetime.fromisoformat(message["at"])
        return NOTICES.dump_python(connector.notices(at, message["account"]), mode="json")
    if method == "next_notice":
        due = connector.next_notice(datetime.fromisoformat(message["at"]), message["account"])
        return due and due.isoformat()
    if method == "acknowledge":
        connector.acknowledge(message["account"], message["notice"])
        return None
    raise ValueError("no such method")


def _seconds(until: float | None) -> float:
    """Return how long to wait for answers; an environment that had to start has used some of it.

    Args:
        until: When whoever asked stops listening, in seconds since 1970.
    """
    left = ANSWER_SECONDS if until is None else until - time.time() - TELLING_SECONDS
    return min(max(left, LEAST_SECONDS), ANSWER_SECONDS)


def _carried_out(connector: Connector, asked: Sequence[Asked], seconds: float) -> list[Outcome]:
    observe.logger()  # made once, before there are threads that would each make one
    pool = ThreadPoolExecutor(len(asked))
    begun = [pool.submit(_carry_out, connector, each) for each in asked]
    pool.shutdown(wait=False)  # what is late goes on, or freezes; a lookup finds what became of it
    done, late = wait(begun, timeout=seconds)
    if all(each.exception() for each in done) and not late:
        begun[0].result()
    return [_outcome(each, late) for each in begun]


def _outcome(order: Future[Outcome], late: AbstractSet[Future[Outcome]]) -> Outcome:
    if order in late:
        return Unknown(reason="the connector did not answer in time")
    return Unknown(reason="the connector failed") if order.exception() else order.result()


def _carry_out(connector: Connector, asked: Asked) -> Outcome:
    observe.correlate(asked.correlation)
    try:
        return carry_out(connector, asked.order, asked_before=asked.asked_before)
    except Exception:
        observe.failure(
            "order.failed", method=asked.order.operation, charge=str(asked.order.charge)
        )
        raise
