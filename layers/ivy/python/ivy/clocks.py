"""Test clocks: each merchant's test mode has a present of its own, which it can move forward.

``advance`` says where a clock is to go; ``ivy.clock_run`` takes it there, from one moment at which
something is due to the next. What time it is for a merchant, ``Transaction.now`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal, LiteralString, Self
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ivy import api_keys, errors, faults, ids, outbox, states
from ivy.callers import Caller
from ivy.database import Tenant, Transaction
from ivy.models import Input, Moment, Object, Time, example

MAX_DAYS = 366
"""How far one call goes."""

MAX_AHEAD = timedelta(days=5 * 365 + 1)
"""How far a clock can be ahead of the real time."""

HOLD = timedelta(seconds=20)
"""Longer than an invocation: whoever has held a clock for so long is dead."""

LOOK_LIMIT = 500
"""Clocks that one run of the schedule looks after; the next run takes others."""

Status = Literal["ready", "advancing"]


class Advance(Input):
    """How far a clock is to go: so many days, or to a time."""

    model_config = example(days=3)

    days: Annotated[int | None, Field(ge=1, le=MAX_DAYS, strict=True)] = None
    to: Annotated[Moment | None, Field(description="Later than the clock's `now`.")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.days is None) == (self.to is None):
            raise PydanticCustomError("one_of", "say either days or to")
        return self


class Clock(Object):
    """The present of a merchant's test mode.

    Real time passes on it too. While it is `advancing`, everything that falls due happens in its
    order; `ready` means that all of it has.
    """

    model_config = example(
        id="clk_019ab2c4d5e67f8091a2b3c4d5e6f708",
        object="test_clock",
        livemode=False,
        created_at="2026-11-24T09:00:00.000Z",
        now="2026-11-24T09:30:00.000Z",
        status="advancing",
        advancing_to="2026-11-27T09:30:00.000Z",
        version=1,
    )

    id: ids.TestClockId
    object: Literal["test_clock"] = "test_clock"
    livemode: bool = False
    created_at: Time
    now: Time
    status: Status
    advancing_to: Time | None
    version: Annotated[int, Field(description="Counts its changes; 0: it was never advanced.")]


class Present(Input):
    """What time it is in a merchant's test mode."""

    merchant_id: int
    at: Moment

    @property
    def tenant(self) -> Tenant:
        """Whose it is."""
        return Tenant(self.merchant_id, livemode=False)


@dataclass(frozen=True, slots=True)
class Position:
    """A clock as it is kept: ``ahead`` of the real time.

    ``turns`` counts invocations that waited in vain at this moment, and what was due by
    ``passed_over`` is not waited for any more.
    """

    id: UUID
    created_at: datetime
    ahead: timedelta
    target: datetime | None
    status: Status
    version: int
    turns: int
    passed_over: datetime | None

    @property
    def now(self) -> datetime:
        """The present on it."""
        return ids.now() + self.ahead

    def shown(self, now: datetime) -> Clock:
        """Return it as callers see it."""
        return Clock(
            id=self.id,
            created_at=self.created_at,
            now=now,
            status=self.status,
            advancing_to=self.target,
            version=self.version,
        )


def get(tx: Transaction, caller: Caller) -> Clock:
    """Return the caller's clock; one that was never advanced shows the real time.

    Raises:
        TestModeOnly: The caller is in live mode.
    """
    if caller.tenant.livemode:
        raise errors.TestModeOnly
    found = tx.row(Position, _SELECT)
    if found is not None:
        return found.shown(found.now)
    return Clock(
        id=caller.merchant,
        created_at=tx.value(_BEGAN),
        now=tx.now(),
        status="ready",
        advancing_to=None,
        version=0,
    )


def advance(tx: Transaction, caller: Caller, wanted: Advance) -> Clock:
    """Set the caller's clock on its way.

    Raises:
        TestModeOnly: The caller is in live mode.
        CredentialInvalid.
        ClockAdvancing: It is on its way already.
        ClockNotForward, ClockTooFar: By where it is to go.
    """
    tenant = caller.tenant
    if tenant.livemode:
        raise errors.TestModeOnly
    api_keys.check_standing(tx, caller)
    before = lock(tx)
    if before is not None and before.status == "advancing":
        raise errors.ClockAdvancing(retry_after_seconds=1)
    now = before.now if before else ids.now()
    target = _target(wanted, now)
    if before is None:
        advancing = tx.row(
            Position,
            _INSERT,
            merchant_id=tenant.merchant_id,
            id=caller.merchant,
            target=target,
        )
        if advancing is None:  # somebody else was first, in this moment
            raise errors.ClockAdvancing(retry_after_seconds=1)
    else:
        advancing = tx.row(Position, _ADVANCE, target=target)
        assert advancing is not None  # noqa: S101 - it is locked
    change = states.transition(
        "test_clock", before.status if before else states.BEGIN, advancing.status
    )
    shown = advancing.shown(now)
    states.record(tx, tenant, change, shown, at=now)
    outbox.owe(tx, tenant, "clock", advancing.id, "advance", at=now)
    faults.point("clock.advance.before_commit")
    return shown


def _target(wanted: Advance, now: datetime) -> datetime:
    target = wanted.to or now + timedelta(days=wanted.days or 0)
    if target <= now:
        raise errors.ClockNotForward(param="to")
    if target - now > timedelta(days=MAX_DAYS):
        raise errors.ClockTooFar(f"At most {MAX_DAYS} days at once.", param="to")
    if target - ids.now() > MAX_AHEAD:
        raise errors.ClockTooFar("At most five years ahead of the real time.")
    return target


def lock(tx: Transaction) -> Position | None:
    """Return the tenant's clock, which nobody else moves until the transaction ends."""
    return tx.row(Position, _SELECT + " FOR UPDATE")


def hold(tx: Transaction) -> bool:
    """Take the tenant's advancing clock for one invocation; False where another has it."""
    held = tx.value(_HOLD, real=ids.now(), until=ids.now() + HOLD)
    return held is not None


def hand_on(tx: Transaction, task: outbox.Task) -> None:
    """Let go of a clock whose advance another invocation is to go on with."""
    tx.run("UPDATE test_clocks SET held_until = NULL, turns = turns + 1" + _OWN)
    outbox.look_again(tx, task, outbox.FIRST_RESEND)
    tx.after_commit.append(task)


def move(tx: Transaction, tenant: Tenant, clock: Position, to: datetime) -> None:
    """Move a locked clock to a moment, where it goes on with the real time."""
    before = clock.now
    _set(tx, clock, to)
    outbox.clock_moved(tx, tenant, before, to)


def finish(tx: Transaction, tenant: Tenant, clock: Position) -> None:
    """Move a locked clock to where it was to go, and say that it is there."""
    assert clock.target is not None  # noqa: S101 - it is advancing
    at = max(clock.now, clock.target)
    move(tx, tenant, clock, at)
    ready = tx.row(Position, _READY)
    assert ready is not None  # noqa: S101 - it is locked
    change = states.transition("test_clock", clock.status, ready.status)
    states.record(tx, tenant, change, ready.shown(at), at=at)
    tx.run("DELETE FROM outbox WHERE subject = %(id)s", id=clock.id)
    faults.point("clock.finish.before_commit")


def pass_over(tx: Transaction, clock: Position) -> None:
    """Wait no longer for what is due by now."""
    tx.run("UPDATE test_clocks SET passed_over = %(now)s" + _OWN, now=clock.now)


def _set(tx: Transaction, clock: Position, to: datetime) -> None:
    tx.run(
        "UPDATE test_clocks SET ahead = %(ahead)s, turns = 0" + _OWN,
        ahead=max(to - ids.now(), clock.ahead),
    )


@dataclass(frozen=True, slots=True)
class _Moved:
    merchant_id: int
    id: UUID


def moved(tx: Transaction) -> list[outbox.Task]:
    """Return a message for each clock that is ahead and stands, to look what is due on it.

    Runs as ``ivy_jobs``: the schedules go by the real time, and would be late for these.
    """
    return [
        outbox.Task(
            ids.new(ids.now()), "clock", Tenant(each.merchant_id, livemode=False), each.id, ""
        )
        for each in tx.rows(_Moved, _MOVED, limit=LOOK_LIMIT)
    ]


_OWN = " WHERE (merchant_id, livemode) = (current_merchant(), current_livemode())"

_COLUMNS: LiteralString = "id, created_at, ahead, target, status, version, turns, passed_over"

_SELECT: LiteralString = "SELECT " + _COLUMNS + " FROM test_clocks" + _OWN

_BEGAN = "SELECT created_at FROM merchants"

_INSERT: LiteralString = (
    """
    INSERT INTO test_clocks (merchant_id, livemode, id, created_at, target)
    SELECT %(merchant_id)s, false, %(id)s, created_at, %(target)s FROM merchants
    ON CONFLICT DO NOTHING
    RETURNING """
    + _COLUMNS
)

_ADVANCE: LiteralString = (
    """
    UPDATE test_clocks
    SET status = 'advancing', version = version + 1, target = %(target)s, turns = 0,
        held_until = NULL, passed_over = NULL
    """
    + _OWN
    + " RETURNING "
    + _COLUMNS
)

_READY: LiteralString = (
    """
    UPDATE test_clocks
    SET status = 'ready', version = version + 1, target = NULL, held_until = NULL,
        passed_over = NULL
    """
    + _OWN
    + " RETURNING "
    + _COLUMNS
)

_HOLD = """
    UPDATE test_clocks SET held_until = %(until)s
    WHERE (merchant_id, livemode) = (current_merchant(), current_livemode())
      AND status = 'advancing' AND (held_until IS NULL OR held_until <= %(real)s)
    RETURNING true
"""

_MOVED = """
    UPDATE test_clocks SET looked_at = now()
    WHERE (merchant_id, livemode) IN (
        SELECT merchant_id, livemode FROM test_clocks
        WHERE ahead > '0' AND status = 'ready'
        ORDER BY looked_at NULLS FIRST
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED)
    RETURNING merchant_id, id
"""
