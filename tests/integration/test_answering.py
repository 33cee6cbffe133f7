"""The acquirer's side of a connector: orders of one message are carried out each by itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ivy import observe
from ivy.connectors import Approved, Missing, Order, Outcome, answering
from tests.asking import message, order

PATIENCE_SECONDS = 10.0
"""How long a thread waits for a test that has failed."""

STOPPED = SimpleNamespace(time=lambda: 1_000_000.0)


class Acquirer:
    """Does what the token says: waits for ``moved_on``, fails, or approves."""

    def __init__(self) -> None:
        self.moved_on = threading.Event()
        self.done: list[str] = []

    def authorize(self, asked: Order) -> Outcome:
        if asked.payment_method == "waits":
            self.moved_on.wait(PATIENCE_SECONDS)
        if asked.payment_method == "fails":
            raise ConnectionResetError(SECRET)
        self.done.append(asked.payment_method)
        return Approved(reference=observe.correlation_id())

    def lookup(self, asked: Order) -> Outcome:
        return FOUND if asked.payment_method == "found" else Missing()


SECRET = "sk_live_whispered"
FOUND = Approved(reference="found")


def carried_out(acquirer: Acquirer, *tokens: str) -> list[dict[str, Any]]:
    asked = [order(payment_method=token) for token in tokens]
    told = message(*asked, correlation="req-1")
    return cast("list[dict[str, Any]]", answering.answer(cast("Any", acquirer), told))


def test_one_that_takes_too_long_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 0.2)
    acquirer = Acquirer()
    said = carried_out(acquirer, "waits", "visa", "visa")
    assert said[0] == {"outcome": "unknown", "reason": "the connector did not answer in time"}
    assert [each.get("reference") for each in said] == [None, "req-1", "req-1"]
    acquirer.moved_on.set()
    while "waits" not in acquirer.done:  # what has begun is ended, and a lookup finds it
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("until", "waits"),
    [(2.5, 2.0), (60.0, answering.ANSWER_SECONDS), (-60.0, answering.LEAST_SECONDS)],
)
def test_an_environment_that_had_to_start_answers_while_it_is_listened_to(
    monkeypatch: pytest.MonkeyPatch, until: float, waits: float
) -> None:
    """A clock that goes wrong gives no order more time than usual, nor next to none."""
    asked = message(order(payment_method="visa")) | {"until": 1_000_000 + until}
    given: list[float] = []

    def waiting(begun: Any, timeout: float) -> Any:
        given.append(timeout)
        return wait(begun, timeout)

    monkeypatch.setattr(answering, "wait", waiting)
    monkeypatch.setattr(answering, "time", STOPPED)
    answering.answer(cast("Any", Acquirer()), asked)
    assert given == [waits]


def test_each_that_was_asked_before_is_looked_up_and_not_done_again() -> None:
    acquirer = Acquirer()
    asked = [order(payment_method=token) for token in ("found", "visa", "found")]
    told = message(*asked)
    for each in told["orders"][:2]:
        each["asked_before"] = True
    said = answering.answer(cast("Any", acquirer), told)
    assert [each["reference"] for each in said] == ["found", "", ""]
    assert sorted(acquirer.done) == ["found", "visa"]  # the last, of which nobody had asked


@pytest.mark.parametrize("place", range(3))
def test_one_that_fails_fails_alone(logged: Callable[[], list[dict[str, Any]]], place: int) -> None:
    tokens = ["visa"] * 3
    tokens[place] = "fails"
    logged()
    said = carried_out(Acquirer(), *tokens)
    assert [each["outcome"] == "approved" for each in said] == [each == "visa" for each in tokens]
    assert said[place]["reason"] == "the connector failed"
    (line,) = logged()
    assert (line["message"], line["correlation_id"]) == ("order.failed", "req-1")
    assert SECRET not in json.dumps(said)


def test_when_all_fail_the_function_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the alarm on its errors sees an acquirer that nobody can speak to any more."""
    with pytest.raises(ConnectionResetError):
        carried_out(Acquirer(), "fails", "fails")
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 0.2)
    acquirer = Acquirer()
    said = carried_out(acquirer, "fails", "waits")  # of this one nobody knows yet
    assert [each["outcome"] for each in said] == ["unknown", "unknown"]
    acquirer.moved_on.set()
