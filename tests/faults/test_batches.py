"""A batch of several merchants' messages, copies among them: it may end between any two steps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from functions.charges import process
from functions.refunds import create as create_refund
from functions.refunds import process as process_refund
from ivy import operations
from ivy.connectors import Asked, Outcome
from ivy.connectors.remote import RemoteConnector
from ivy.database import database
from ivy.serve.declaration import Consumer
from tests.driving import LambdaContext, sqs_event
from tests.faults import dying
from tests.faults.conftest import NewWorld
from tests.faults.dying import Fatal
from tests.faults.world import CHARGE, World

TOKENS = ("tok_visa", "tok_timeout", "tok_declined", "tok_duplicate")
"""What each of two merchants is paid with, in the same batch."""


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    with new_world() as made:
        yield made


def charges(world: World, key: str) -> list[str]:
    """Return a batch about charges of both merchants, with a copy of the first message."""
    world.platform.lose_messages()
    for token, account in itertools.product(TOKENS, world.accounts):
        body = CHARGE | {"payment_method": token}
        world.pay(f"{key} {token} {account.merchant_id}", body, account)
    bodies = world.platform.messages()
    world.platform.lose_messages()
    assert len(bodies) == len(TOKENS) * len(world.accounts)
    return [*bodies, bodies[0]]


def refunds(world: World, key: str) -> list[str]:
    """Return a batch about two refunds of one charge and one of another merchant's, and a copy."""
    ours, theirs = [world.pay(f"{key} {who.merchant_id}", None, who) for who in world.accounts]
    world.drain()
    for number, (paid, who) in enumerate(zip([ours, ours, theirs], [0, 0, 1], strict=True)):
        body = {"charge": paid.json()["id"], "amount": 4_000}
        world.post(create_refund.handler, f"{key} {number}", body, world.accounts[who])
    bodies = world.platform.messages("refunds")
    world.platform.lose_messages("refunds")
    assert len(bodies) == 3
    return [*bodies, bodies[0]]


def passing(point: str, times: int) -> Fatal:
    """Die where a point is passed for the n-th time."""
    passed = itertools.count(1)
    return lambda name: name == point and next(passed) == times


Batch = Callable[[World, str], list[str]]


@pytest.mark.parametrize(
    ("consumer", "batch", "point", "times"),
    [
        (process.handler, charges, "charge.begin.before_commit", 3),
        (process.handler, charges, "charge.process.before_connector", 3),
        (process.handler, charges, "charge.process.before_connector", 9),
        (process.handler, charges, "charge.process.after_connector", 1),
        (process.handler, charges, "charge.conclude.before_commit", 2),
        (process.handler, charges, "charge.process.after_connector", 9),
        (process_refund.handler, refunds, "refund.process.before_connector", 2),
        (process_refund.handler, refunds, "refund.process.after_connector", 1),
        (process_refund.handler, refunds, "refund.conclude.before_commit", 2),
        (process_refund.handler, refunds, "refund.process.after_connector", 4),
    ],
)
def test_a_death_in_the_middle_of_a_batch(
    shared_world: World, consumer: Consumer, batch: Batch, point: str, times: int
) -> None:
    world = shared_world
    bodies = batch(world, f"{point} {times}")
    world.platform.enter(consumer.needs)
    event = sqs_event(dict(enumerate(bodies)))
    end = dying.run(partial(consumer, event, LambdaContext()), passing(point, times))
    assert (end.died, end.reached.count(point)) == (True, times)
    assert world.broken() == {}
    assert world.platform.hand_over(consumer, *bodies) == []
    world.drain()
    assert world.broken_when_drained() == {}


@pytest.mark.parametrize(
    ("consumer", "batch"), [(process.handler, charges), (process_refund.handler, refunds)]
)
def test_nothing_of_one_merchant_is_with_another_while_all_are_asked_about(
    shared_world: World, monkeypatch: pytest.MonkeyPatch, consumer: Consumer, batch: Batch
) -> None:
    """Each order is its own message's, and no transaction waits for the acquirer."""
    world = shared_world
    bodies = batch(world, f"isolation {consumer.queue}")
    seen: list[tuple[str, str]] = []
    carry_out = RemoteConnector.carry_out

    def looking(connector: RemoteConnector, asked: Sequence[Asked]) -> list[Outcome]:
        connection: psycopg.Connection = database()._connected()
        assert connection.info.transaction_status == TransactionStatus.IDLE
        seen.extend((each.order.account, each.correlation) for each in asked)
        return carry_out(connector, asked)

    monkeypatch.setattr(RemoteConnector, "carry_out", looking)
    assert world.platform.hand_over(consumer, *bodies) == []
    told = [json.loads(body) for body in bodies]
    accounts = {who.merchant_id: f"{who.merchant_id}-test" for who in world.accounts}
    assert seen == [(accounts[each["merchant_id"]], each["correlation"]) for each in told]
    assert len({correlation for _, correlation in seen}) == len(bodies) - 1
    monkeypatch.undo()
    world.drain()
    assert world.broken_when_drained() == {}


def test_a_connector_that_does_not_exist_is_nobody_elses_matter(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = shared_world
    bodies = charges(world, "nowhere")
    connector = operations.remote.connector
    names = iter(["nowhere"])
    monkeypatch.setattr(operations.remote, "connector", lambda name: connector(next(names, name)))
    assert world.platform.hand_over(process.handler, *bodies) == [bodies[0]]
    monkeypatch.undo()
    world.drain()
    assert world.broken_when_drained() == {}
