"""Messages come twice, late, in any order, in bad company, or not at all: each charge once.

``IVY_FAULTS=100000 pytest tests/faults/test_queues.py`` makes that many deliveries; ``IVY_SEED``
repeats a run.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from functions.charges import capture, process
from functions.outbox import relay
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund
from ivy import aws, operations
from ivy.serve.declaration import MAX_RECEIVES, Consumer
from tests.cloud import Fault
from tests.driving import LambdaContext, sqs_event
from tests.faults import dying
from tests.faults.conftest import NewWorld
from tests.faults.world import CHARGE, World

DELIVERIES = int(os.environ.get("IVY_FAULTS", "300"))
CHARGES_PER_ROUND = 40
MAX_BATCH = 10
SECONDS = 20.0
"""How long a process waits for another before the test has failed."""


@pytest.fixture
def accepted(world: World) -> list[str]:
    """The messages of three accepted charges, taken off the queue."""
    for key, token in (("a", "tok_visa"), ("b", "tok_declined"), ("c", "tok_visa")):
        world.pay(key, CHARGE | {"payment_method": token})
    bodies = world.platform.messages()
    world.platform.lose_messages()
    return bodies


def _hand_over(world: World, *bodies: str) -> list[str]:
    return world.platform.hand_over(process.handler, *bodies)


def test_a_message_after_the_work_is_done_changes_nothing(
    world: World, accepted: list[str]
) -> None:
    """A duplicate may come days later; its promise is gone, and so is the reason to act."""
    assert _hand_over(world, *accepted) == []
    before = _everything(world)
    assert _hand_over(world, *accepted, *reversed(accepted)) == []
    assert _everything(world) == before
    world.platform.send(accepted[0])
    assert world.broken_when_drained() == {}


def _everything(world: World) -> list[Any]:
    with world.platform.store.superuser() as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4".encode()).fetchall()
            for table in ("charges", "refunds", "events", "journal", "outbox", "attempts")
        ]


def test_any_number_and_order_of_deliveries_decides_each_charge_once(new_world: NewWorld) -> None:
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    delivered = 0
    try:
        while delivered < DELIVERIES:
            with new_world() as world:
                delivered += _deliver_in_any_order(world, chance)
                assert world.charges() == CHARGES_PER_ROUND
                assert world.broken_when_drained() == {}
    finally:
        print(f"\nIVY_SEED={seed}: {delivered} deliveries")  # noqa: T201 - the record of the run


def _deliver_in_any_order(world: World, chance: random.Random) -> int:
    """Charge, capture and refund; deliver every message up to five times; returns how many."""
    made = []
    for number in range(CHARGES_PER_ROUND):
        token = chance.choice(("tok_visa", "tok_visa", "tok_declined"))
        body = CHARGE | {"payment_method": token, "capture": chance.random() < 0.5}
        made.append(world.pay(f"key {number}", body).json()["id"])
    delivered = _deliver_copies(world, process.handler, chance)
    for charge in made:
        world.post(capture.handler, f"capture {charge}", id=charge)
    delivered += _deliver_copies(world, process.handler, chance)
    for charge in made:
        world.post(create_refund.handler, f"refund {charge}", {"charge": charge, "amount": 5_000})
    return delivered + _deliver_copies(world, process_refund.handler, chance)


def _deliver_copies(world: World, consumer: Consumer, chance: random.Random) -> int:
    waiting = world.platform.messages(consumer.queue)
    world.platform.lose_messages(consumer.queue)
    copies = [body for body in waiting for _ in range(chance.randint(1, 5))]
    chance.shuffle(copies)
    delivered = 0
    while copies:
        batch = [copies.pop() for _ in range(min(len(copies), chance.randint(1, MAX_BATCH)))]
        copies += world.platform.hand_over(consumer, *batch)
        delivered += len(batch)
    return delivered


def _forge(body: str, **fields: Any) -> str:
    return json.dumps(json.loads(body) | fields)


POISON: dict[str, Callable[[str, int], str]] = {
    "not JSON": lambda _, __: "charge me",
    "not an object": lambda _, __: "[1]",
    "a field missing": lambda body, _: json.dumps({"id": json.loads(body)["id"]}),
    "an id that is none": lambda body, _: _forge(body, subject="ch_1"),
    "a charge that does not exist": lambda body, _: _forge(body, subject=str(uuid.uuid4())),
    "the charge of another merchant": lambda body, bob: _forge(body, merchant_id=bob),
    "the charge of another mode": lambda body, _: _forge(body, livemode=True),
}


@pytest.mark.parametrize("kind", POISON)
def test_a_poisoned_message_fails_alone_and_ends_in_the_dead_letter_queue(
    world: World, accepted: list[str], kind: str
) -> None:
    poison = POISON[kind](accepted[1], world.accounts[1].merchant_id)
    world.platform.send(accepted[0], poison, accepted[2])
    world.drain()
    assert _hand_over(world, poison) == [poison]
    assert world.broken_when_drained(poison=[poison]) == {}


def test_a_forged_promise_has_no_effect(world: World, accepted: list[str]) -> None:
    """A message about a real charge, under a promise that was never made, decides nothing."""
    _hand_over(world, _forge(accepted[0], id=str(uuid.uuid4())))
    with world.platform.store.superuser() as connection:
        pending = connection.execute("SELECT count(*) FROM charges WHERE status = 'pending'")
        assert pending.fetchone() == (len(accepted),)
    world.drain()
    assert world.broken_when_drained() == {}


def test_the_promise_of_another_charge_is_not_used_up(world: World, accepted: list[str]) -> None:
    """A mixed-up message may neither decide its charge nor strike out the other one's promise."""
    others = json.loads(accepted[1])["id"]
    _hand_over(world, _forge(accepted[0], id=others))
    _hand_over(world, accepted[0], _forge(accepted[0], id=others))
    with world.platform.store.superuser() as connection:
        owed = connection.execute("SELECT count(*) FROM outbox WHERE id = %s", (others,))
        assert owed.fetchone() == (1,)
    world.drain()
    assert world.broken_when_drained() == {}


def test_a_batch_reports_exactly_what_failed(
    world: World, accepted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    question = operations.question

    def failing(attempt: operations.Attempt) -> operations.Question:
        if attempt.order.payment_method == "tok_declined":
            raise TimeoutError
        return question(attempt)

    monkeypatch.setattr(operations, "question", failing)
    [failed] = _hand_over(world, *accepted)
    monkeypatch.undo()
    assert _hand_over(world, failed) == []
    assert world.broken_when_drained() == {}


def test_work_that_died_can_be_redriven_and_the_relay_does_not_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours lasts longer than a message lives; the promise outlives the message."""
    world.pay("a")
    world.pay("b")

    def broken(_attempt: operations.Attempt) -> operations.Question:
        raise ConnectionRefusedError

    receives = 0
    with monkeypatch.context() as patched:
        patched.setattr(operations, "question", broken)
        while world.deliver():
            receives += 1
    dead = world.platform.messages(dead=True)
    assert (receives, len(dead)) == (MAX_RECEIVES, 2)

    world.platform.send(dead[0])
    while world.deliver():
        pass
    world.drain()
    assert world.broken_when_drained(poison=dead) == {}


@pytest.mark.parametrize("fault", ["fail", "hang", "lose_answer"])
def test_no_message_dies_while_the_acquirer_is_away(
    world: World, accepted: list[str], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Whatever it did or did not hear: the promise stays, and it is looked up before all else."""
    monkeypatch.setitem(aws.READ_SECONDS_OF, "lambda", 0.2)
    with world.platform.overriding(), world.platform.cloud.failing(fault, "Invoke"):
        for _ in range(2 * MAX_RECEIVES):
            assert _hand_over(world, *accepted) == []
    assert (world.broken(), world.dead()) == ({}, [])
    with world.platform.store.superuser() as connection:
        owed = connection.execute("SELECT count(*) FROM outbox").fetchone()
        outcomes = connection.execute("SELECT DISTINCT outcome FROM attempts").fetchall()
    assert (owed, outcomes) == ((len(accepted),), [("unknown",)])
    world.drain()
    assert world.broken_when_drained() == {}


@pytest.mark.parametrize(
    "meet", ["charge.process.before_connector", "charge.process.after_connector"]
)
def test_two_copies_worked_on_at_once_decide_once(
    world: World, accepted: list[str], meet: str
) -> None:
    """Both have begun and asked the acquirer before either may write what it answered."""
    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()

    def wait(name: str) -> bool:
        if name == meet:
            arrived.release()
            assert go.wait(SECONDS)
        return False

    copies = []
    for number in range(2):
        event = sqs_event({number: accepted[0]})
        world.platform.enter(process.handler.needs)
        copies.append(dying.start(lambda e=event: process.handler(e, LambdaContext()), wait))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert arrived.acquire(timeout=SECONDS)
    go.set()
    assert [copy.wait().result for copy in copies] == [{"batchItemFailures": []}] * 2
    world.drain()
    assert world.broken_when_drained() == {}


def test_two_relays_at_once_send_each_promise_once(world: World, accepted: list[str]) -> None:
    """The second starts while the first holds what it claimed, and does not wait for it."""
    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()

    def wait(name: str) -> bool:
        if name == "outbox.relay.before_commit":
            arrived.release()
            assert go.wait(SECONDS)
        return False

    world.platform.make_overdue()
    first = dying.start(lambda: world.platform.run(relay.handler), wait)
    assert arrived.acquire(timeout=SECONDS)
    second = dying.run(lambda: world.platform.run(relay.handler))
    assert (second.result["overdue"], second.result["sent"]) == (0, 0)
    go.set()
    assert first.wait().result["sent"] == len(accepted)
    assert sorted(world.platform.messages()) == sorted(accepted)
    third = dying.run(lambda: world.platform.run(relay.handler))
    assert third.result["overdue"] == 0
    world.drain()
    assert world.broken_when_drained() == {}
