"""Unsafe twins of the product: each leaves out one safeguard, and the checks find it missing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from functions.charges import process
from ivy import charge_outcomes, charges, ledger
from ivy.charges import Charge
from ivy.database import Transaction
from tests.driving import LambdaContext, sqs_event
from tests.faults import dying
from tests.faults.world import CHARGE, World

SECONDS = 20.0


def test_without_the_key_rows_primary_key(world: World) -> None:
    with world.platform.store.superuser() as owner:
        owner.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_pkey")
    world.pay("a")
    world.platform.empty_table()
    world.pay("a")
    assert world.charges() == 2
    assert list(world.broken()) == ["i8_a_key_has_one_answer"]


@contextmanager
def _held(point: str, work: Callable[[], Any]) -> Iterator[None]:
    """Hold a process at a point for as long as the block lasts."""
    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()

    def wait(name: str) -> bool:
        if name == point:
            arrived.release()
            assert go.wait(SECONDS)
        return False

    held = dying.start(work, wait)
    try:
        assert arrived.acquire(timeout=SECONDS)
        yield
    finally:
        go.set()
        held.wait()


def _deciding(world: World, message: str) -> Callable[[], Any]:
    world.platform.enter(process.handler.needs)
    return lambda: process.handler(sqs_event({0: message}), LambdaContext())


_XID_OF_THE_SNAPSHOT = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_LAST_ROW_SEEN = "(SELECT max(xid) + 1 FROM journal)"


@pytest.mark.parametrize("watermark", [_XID_OF_THE_SNAPSHOT, _LAST_ROW_SEEN])
def test_a_roll_up_while_an_older_posting_is_in_flight(
    world: World, monkeypatch: pytest.MonkeyPatch, watermark: str
) -> None:
    """A watermark of the last row seen passes over the older one that commits after it."""
    assert _XID_OF_THE_SNAPSHOT in ledger._ROLL_UP
    twin = ledger._ROLL_UP.replace(_XID_OF_THE_SNAPSHOT, watermark)
    monkeypatch.setattr(ledger, "_ROLL_UP", twin)
    world.pay("first")  # which opens what all captures of a currency share
    world.drain()
    world.pay("older")
    world.pay("newer")
    older, newer = world.platform.messages()
    world.platform.lose_messages()
    with _held("charge.conclude.before_commit", _deciding(world, older)):
        world.platform.hand_over(process.handler, newer)
        world.roll_up()
    world.roll_up()
    lost = ["i2_balances_equal_entries"] if watermark == _LAST_ROW_SEEN else []
    assert list(world.broken()) == lost


def test_a_relay_that_remembers_the_last_promise_it_saw(world: World) -> None:
    """The older promise commits after the newer one has been seen, and is never sent."""
    sent: list[str] = []

    def relay_by_cursor() -> None:
        with world.platform.store.superuser() as connection:
            found = connection.execute(
                "SELECT id::text FROM outbox WHERE id::text > %s ORDER BY id",
                (max(sent, default=""),),
            )
            sent.extend(str(row[0]) for row in found)

    ada = world.accounts[0]
    with _held("once.before_commit", world.request("older", CHARGE, ada)):
        world.pay("newer")
        relay_by_cursor()
    relay_by_cursor()
    assert len(sent) == 1

    world.platform.lose_messages()
    world.platform.make_overdue()
    world.relay()
    assert len(world.platform.messages()) == 2
    world.drain()
    assert world.broken_when_drained() == {}


_NO_CLAIM = """
    SELECT 'authorize' AS action, NULL::bigint AS amount, connector, reference FROM charges
    WHERE id = %(id)s AND %(task)s IS NOT NULL --"""
"""Without the promise; what is appended, its lock, is a comment."""

FENCES = {
    "the version that must follow": "ALTER TABLE charges DISABLE TRIGGER legal_change",
    "one event for a version": "ALTER TABLE events DROP CONSTRAINT"
    " events_merchant_id_livemode_object_id_version_key",
    "one posting for a transition": "ALTER TABLE journal DROP CONSTRAINT posted_once",
}


@pytest.mark.parametrize("without", range(len(FENCES) + 1))
def test_a_consumer_that_does_not_claim_its_promise(
    world: World, monkeypatch: pytest.MonkeyPatch, without: int
) -> None:
    """Two copies at once both decide what they both read as pending.

    Any fence of the database that is left refuses the second; without one, it is found.
    """
    seen: dict[UUID, Charge] = {}
    read = charges.get

    def once_read(tx: Transaction, charge_id: UUID) -> Charge:
        if charge_id not in seen:
            seen[charge_id] = read(tx, charge_id)
        return seen[charge_id]

    monkeypatch.setattr(charge_outcomes, "_WORK", _NO_CLAIM)
    monkeypatch.setattr(charges, "get", once_read)
    with world.platform.store.superuser() as owner:
        for fence in list(FENCES.values())[:without]:
            owner.execute(fence.encode())
    world.pay("a")
    [message] = world.platform.messages()
    with _held("charge.process.after_connector", _deciding(world, message)):
        assert world.platform.hand_over(process.handler, message) == []
    twice = [
        "i3_each_transition_is_posted_once",
        "i6_accounts_hold_what_objects_say",
        "i7_each_change_has_one_event",
        "i9_only_legal_states",
    ]
    assert list(world.broken()) == (twice if without == len(FENCES) else [])
