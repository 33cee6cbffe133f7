"""``"wait": true``: the outcome if it is known within five seconds, and the same ever after.

While the endpoint waits its time is the test's, and something may happen in every moment of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from functions.charges import cancel, capture, create
from functions.charges import get as get_charge
from functions.charges import process as process_charge
from functions.outbox import relay
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund
from ivy.serve import http
from ivy.serve.declaration import Consumer, Route
from tests.driving import Reply
from tests.faults import dying
from tests.simulation.sandbox import Sandbox

CHARGE = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa", "wait": True}


class Waiting:
    """The time that an endpoint waits in; ``happens`` is what others do in it, step by step."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.happens: list[Callable[[], None]] = []

    def monotonic(self) -> float:
        return self.seconds

    def perf_counter(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.happens:
            self.happens.pop(0)()


class Client:
    """A merchant whose requests say that they wait."""

    def __init__(self, here: Sandbox, waiting: Waiting) -> None:
        self.here = here
        self.waiting = waiting

    def send(self, route: Route, body: Any, key: str, **path: str) -> Reply:
        self._route = route
        return self.here.request(route, body, self.here.accounts[0], key, **path)

    def pay(self, key: str = "pay", **fields: Any) -> Reply:
        return self.send(create.handler, CHARGE | fields, key)

    def meanwhile(self, *work: Callable[[], Any]) -> None:
        """Let these things happen while the next request waits, one at a time."""

        def then_return(what: Callable[[], Any]) -> Callable[[], None]:
            def happen() -> None:
                what()
                self.here.platform.enter(self._route.needs)

            return happen

        self.waiting.happens = [then_return(what) for what in work]

    def deliver(self, consumer: Consumer = process_charge.handler) -> None:
        """Let a queue deliver what it has."""
        bodies = self.here.pocket.take(consumer.queue)
        assert self.here.hand_over(consumer, *bodies) == []

    def ask_again(self) -> None:
        """Let the relay send again what has not been answered, and the queue deliver it."""
        self.here.clock.set(self.here.clock.at + timedelta(minutes=1))
        self.here.run(relay.handler)
        self.deliver()

    def authorized(self, **fields: Any) -> str:
        """Return the name of a charge that waits for its capture."""
        made = self.pay("authorize", capture=False, wait=False, **fields)
        self.deliver()
        return str(made.json()["id"])

    def status(self, charge: str) -> str:
        found = self.here.get(get_charge.handler, self.here.accounts[0], id=charge)
        return str(found.json()["status"])


@pytest.fixture
def client(here: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Client:
    waiting = Waiting()
    monkeypatch.setattr(http, "time", waiting)
    monkeypatch.setattr(http, "WAIT_SECONDS", 5.0)
    monkeypatch.setattr(http, "POLL_SECONDS", 0.1)
    return Client(here, waiting)


def nothing() -> None:
    """Happen not at all."""


def same(first: Reply, again: Reply) -> None:
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.replayed


@pytest.mark.parametrize("forgetful", [False, True])
def test_an_outcome_in_time_is_the_answer(client: Client, *, forgetful: bool) -> None:
    client.meanwhile(nothing, client.deliver)
    reply = client.pay()
    assert (reply.status, reply.json()["status"]) == (201, "succeeded")
    assert client.waiting.seconds < 1
    if forgetful:
        client.here.forget_answers()
    same(reply, client.pay())


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_decline_is_a_402_and_stays_the_same_bytes(client: Client, *, forgetful: bool) -> None:
    client.meanwhile(client.deliver)
    reply = client.pay(payment_method="tok_insufficient_funds")
    assert (reply.status, reply.code) == (402, "charge_declined")
    assert reply.json()["failure_code"] == "card_declined"
    assert reply.json()["decline_code"] == "insufficient_funds"
    assert client.status(reply.json()["charge"]) == "failed"
    if forgetful:
        client.here.forget_answers()
    same(reply, client.pay(payment_method="tok_insufficient_funds"))


def test_what_is_not_known_in_time_is_answered_provisionally_and_then_for_good(
    client: Client,
) -> None:
    client.meanwhile(client.deliver)  # the acquirer says nothing
    reply = client.pay(payment_method="tok_timeout")
    assert (reply.status, reply.json()["status"]) == (201, "pending")
    assert client.waiting.seconds >= 5

    same(reply, client.pay(payment_method="tok_timeout"))
    assert client.waiting.seconds >= 10

    client.ask_again()
    outcome = client.pay(payment_method="tok_timeout")
    assert (outcome.status, outcome.json()["status"]) == (201, "succeeded")
    assert outcome.replayed

    body = {"charge": outcome.json()["id"]}
    client.send(create_refund.handler, body, "refund")
    client.deliver(process_refund.handler)
    for _ in range(2):
        same(outcome, client.pay(payment_method="tok_timeout"))
        client.here.forget_answers()


@pytest.mark.parametrize("point", ["once.after_commit", "once.outcome.before_commit"])
@pytest.mark.parametrize("token", ["tok_visa", "tok_declined"])
def test_a_crash_before_the_outcome_is_kept_loses_nothing(
    client: Client, point: str, token: str
) -> None:
    client.meanwhile(client.deliver)
    with client.here.dying_at(point) as died:
        lost = client.pay(payment_method=token)
    assert (lost.status, died) == (500, [point])
    if point == "once.after_commit":  # nobody was told to act but the outbox
        client.ask_again()
    reply = client.pay(payment_method=token)
    assert reply.status == (201 if token == "tok_visa" else 402)
    assert reply.replayed
    for _ in range(2):
        same(reply, client.pay(payment_method=token))
        client.here.forget_answers()


def test_a_killed_process_leaves_a_provisional_answer_that_becomes_final(client: Client) -> None:
    end = dying.run(lambda: client.pay().status, dying.at("once.after_commit"))
    assert end.died
    client.ask_again()
    reply = client.pay()
    assert (reply.status, reply.json()["status"], reply.replayed) == (201, "succeeded", True)
    same(reply, client.pay())


def test_a_payer_who_must_act_is_not_waited_for(client: Client) -> None:
    client.meanwhile(client.deliver)
    reply = client.pay(payment_method="tok_requires_action")
    assert (reply.status, reply.json()["status"]) == (201, "requires_action")
    assert reply.json()["next_action"]["url"]
    assert client.waiting.seconds < 1


def test_a_capture_is_waited_for(client: Client) -> None:
    charge = client.authorized()
    client.meanwhile(nothing, client.deliver)
    reply = client.send(capture.handler, {"amount": 4_000, "wait": True}, "capture", id=charge)
    seen = reply.json()
    assert (reply.status, seen["status"], seen["amount_captured"]) == (200, "succeeded", 4_000)


def test_a_declined_capture_is_a_402(client: Client) -> None:
    charge = client.authorized(payment_method="tok_capture_declined")
    client.meanwhile(client.deliver)
    reply = client.send(capture.handler, {"wait": True}, "capture", id=charge)
    assert (reply.status, reply.code, reply.json()["charge"]) == (402, "charge_declined", charge)
    same(reply, client.send(capture.handler, {"wait": True}, "capture", id=charge))


@pytest.mark.parametrize("token", ["tok_visa", "tok_requires_action"])
def test_a_cancellation_is_waited_for(client: Client, token: str) -> None:
    charge = client.authorized(payment_method=token)
    client.meanwhile(nothing, client.deliver)
    reply = client.send(cancel.handler, {"wait": True}, "cancel", id=charge)
    assert (reply.status, reply.json()["status"]) == (200, "canceled")


@pytest.mark.parametrize(
    ("token", "status"), [("tok_visa", "succeeded"), ("tok_refund_fails", "failed")]
)
def test_a_refund_is_waited_for(client: Client, token: str, status: str) -> None:
    client.meanwhile(client.deliver)
    charge = client.pay(payment_method=token).json()["id"]
    client.meanwhile(lambda: client.deliver(process_refund.handler))
    body = {"charge": charge, "amount": 100, "wait": True}
    reply = client.send(create_refund.handler, body, "refund")
    assert (reply.status, reply.json()["status"]) == (201, status)
    same(reply, client.send(create_refund.handler, body, "refund"))


def test_a_refund_that_waits_itself_is_answered_at_once(client: Client) -> None:
    charge = client.pay(wait=False).json()["id"]
    body = {"charge": charge, "amount": 100, "wait": True}
    reply = client.send(create_refund.handler, body, "refund")
    assert (reply.status, reply.json()["pending_reason"]) == (201, "charge_pending")
    assert client.waiting.seconds < 1


def test_whoever_waits_looks_once_even_if_the_time_was_up_before(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine more than any limit can go by between two lines."""
    charge = client.pay(wait=False).json()["id"]
    body = {"charge": charge, "amount": 100, "wait": True}
    with monkeypatch.context() as busy:
        busy.setattr(client.waiting, "monotonic", count(step=10).__next__)
        first = client.send(create_refund.handler, body, "refund")
    client.deliver()
    client.deliver(process_refund.handler)
    same(first, client.send(create_refund.handler, body, "refund"))


@pytest.mark.parametrize("token", ["tok_visa", "tok_declined"])
def test_two_copies_that_wait_at_once_are_told_the_same(client: Client, token: str) -> None:
    """The second is let in while the first waits, because the table in front has forgotten."""
    copies: list[Reply] = []

    def copy() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        copies.append(client.pay(payment_method=token))

    def second_client() -> None:
        client.here.forget_answers()
        client.deliver()
        thread = threading.Thread(target=copy)
        thread.start()
        thread.join()

    client.meanwhile(second_client)
    first = client.pay(payment_method=token)
    copies.append(client.pay(payment_method=token))
    assert [(copy.status, copy.body) for copy in copies] == [(first.status, first.body)] * 2
