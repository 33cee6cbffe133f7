"""A test clock on its way: from one moment at which something is due to the next, in order.

A clock stops wherever a schedule would find something to do, has it done by the same functions and
queues that the schedules use, and goes on when it is done. Each step is a transaction of its own,
so whoever dies on the way is followed by another who finds the clock where it stands.

Whatever else comes to wait for a time of its merchant's is one more entry of ``SOURCES``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, LiteralString

from ivy import (
    bank_orders,
    charge_outcomes,
    clocks,
    dispatch,
    dispute_outcomes,
    events,
    faults,
    ids,
    notices,
    observe,
    operations,
    outbox,
    payout_schedule,
    queues,
    simulated_bank,
    simulated_settlements,
)
from ivy.clocks import Position, Present
from ivy.connectors import remote
from ivy.connectors.remote import RemoteConnector
from ivy.database import Database, Tenant, Transaction
from ivy.outbox import Task
from ivy.settlement_run import Shard

CONNECTOR = "simulated"
"""The acquirer whose time follows the clock: orders tell it the merchant's present."""

TURN_SECONDS = 8.0
"""How long one invocation goes on; then another does."""

POLL_SECONDS = 0.1
ASK_SECONDS = 2.0
"""How long to wait for what was begun, before it is begun once more."""

PATIENCE_TURNS = 8
"""Invocations, so a minute, that wait at one moment for what is due. Real time would not wait.

Counted, not measured: while nobody moves a clock because somebody died, nothing is passed over."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """Something that waits for a time.

    Attributes:
        name: What it is, for the log.
        moment: Selects when the next of it is due in a merchant's test mode, if later than
            ``after``.
        begin: Has all of it done that is due for a tenant by a time, however often it is asked.
    """

    name: str
    moment: LiteralString
    begin: Callable[[Database, Tenant, datetime], None]


def _work(database: Database, tenant: Tenant, _: datetime) -> None:
    with database.transaction(tenant) as tx:
        tasks = outbox.overdue(tx)
    outbox.send(tasks)


def _hear(database: Database, tenant: Tenant, at: datetime) -> None:
    notices.hear(database, CONNECTOR, _acquirer(), at, operations.account_name(tenant))


def _expire(database: Database, tenant: Tenant, at: datetime) -> None:
    with database.transaction(tenant) as tx:
        tasks = charge_outcomes.expire(tx, at)
    outbox.send(tasks)


def _lapse(database: Database, tenant: Tenant, at: datetime) -> None:
    with database.transaction(tenant) as tx:
        tasks = dispute_outcomes.lapse(tx, at)
    outbox.send(tasks)


def _settle(_: Database, tenant: Tenant, __: datetime) -> None:
    queues.send("settlements", [Shard(first=tenant.merchant_id, last=tenant.merchant_id)])


def _pay_out(database: Database, tenant: Tenant, _: datetime) -> None:
    with database.transaction(tenant) as tx:
        due = payout_schedule.due(tx, ids.now())
    queues.send("scheduled_payouts", due)


def _bank(_: Database, tenant: Tenant, at: datetime) -> None:
    queues.send("test_banking", [Present(merchant_id=tenant.merchant_id, at=at)])


def _publish(database: Database, _: Tenant, __: datetime) -> None:
    database.to_publish = True
    events.wake(database)


def _acquirer() -> RemoteConnector:
    return remote.connector(CONNECTOR)


SOURCES = (
    Source(
        "work",
        """
        SELECT min(due_at) FROM outbox
        WHERE merchant_id = %(merchant_id)s AND NOT livemode AND queue <> 'clock'
          AND due_at > %(after)s AND due_at < 'infinity'
        """,
        _work,
    ),
    Source(  # the database cannot tell: the acquirer is asked
        "notices",
        "SELECT %(notice)s::timestamptz WHERE %(notice)s::timestamptz > %(after)s",
        _hear,
    ),
    Source(
        "authorisations",
        """
        SELECT min(capture_before) FROM charges
        WHERE merchant_id = %(merchant_id)s AND NOT livemode AND status = 'authorized'
          AND capture_before > %(after)s
          AND NOT EXISTS (SELECT FROM outbox WHERE subject = charges.id)
        """,
        _expire,
    ),
    Source(
        "disputes",
        """
        SELECT min(evidence_due_by) FROM disputes
        WHERE merchant_id = %(merchant_id)s AND NOT livemode AND status = 'needs_response'
          AND evidence_due_by > %(after)s
          AND NOT EXISTS (SELECT FROM outbox WHERE subject = disputes.id)
        """,
        _lapse,
    ),
    Source(
        "settlements",
        """
        SELECT min(day::timestamp AT TIME ZONE time_zone) FROM merchants CROSS JOIN (
            SELECT (
                SELECT min(available_on) FROM charges
                WHERE (charges.merchant_id, charges.livemode, charges.currency)
                    = (%(merchant_id)s, false, settled_through.currency)
                  AND available_on > settled_on) AS day
            FROM settled_through WHERE merchant_id = %(merchant_id)s AND NOT livemode
            UNION ALL
            SELECT min(release_on) FROM reserves
            WHERE merchant_id = %(merchant_id)s AND NOT livemode AND status = 'held') AS days
        WHERE id = %(merchant_id)s
        """,
        _settle,
    ),
    Source("payouts", payout_schedule.NEXT, _pay_out),
    Source("acquirer", simulated_settlements.NEXT, _bank),
    Source(  # to the minute in which the schedule would find them
        "bank_files",
        """
        SELECT min(date_bin('10 minutes', created_at, 'epoch') + '10 minutes')
        FROM (
            SELECT payouts.created_at
            FROM payouts JOIN bank_accounts
              ON (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.id)
               = (payouts.merchant_id, payouts.livemode, bank_account_id)
            WHERE payouts.merchant_id = %(merchant_id)s AND NOT payouts.livemode
              AND payouts.status = 'pending' AND bank_accounts.status = 'verified'
              AND NOT EXISTS (SELECT FROM outbox WHERE subject = payouts.id)
            UNION ALL
            SELECT bank_orders.created_at
            FROM recovery_debits AS bank_orders
            JOIN bank_accounts
              ON (bank_accounts.merchant_id, bank_accounts.livemode, bank_accounts.id)
               = (bank_orders.merchant_id, bank_orders.livemode, bank_account_id)
            WHERE bank_orders.merchant_id = %(merchant_id)s AND NOT bank_orders.livemode
              AND NOT EXISTS (SELECT FROM outbox WHERE subject = bank_orders.id)
              AND"""
        + bank_orders.COLLECTABLE
        + """
            UNION ALL
            SELECT created_at FROM micro_deposits
            WHERE merchant_id = %(merchant_id)s AND NOT livemode
              AND NOT canceled AND arrives_on IS NULL) AS orders
        """,
        _bank,
    ),
    Source(  # neither can it tell of what the bank has
        "bank",
        "SELECT %(bank)s::timestamptz WHERE %(bank)s::timestamptz > %(after)s",
        _bank,
    ),
    Source(
        "events",
        """
        SELECT min(created_at) FROM events
        WHERE xid >= (SELECT watermark FROM event_watermark)
          AND merchant_id = %(merchant_id)s AND NOT livemode AND created_at > %(after)s
          AND NOT EXISTS (SELECT FROM event_numbers WHERE event_id = events.id)
        """,
        _publish,
    ),
    # What is being sent is due until it is heard of. An ordered endpoint gets only its first.
    Source(
        "deliveries",
        """
        SELECT min(greatest(resting_until, CASE d.status
            WHEN 'sending' THEN d.next_attempt_at - %(lease)s ELSE d.next_attempt_at END))
        FROM webhook_endpoints w JOIN deliveries d ON d.endpoint_id = w.id
        WHERE w.merchant_id = %(merchant_id)s AND NOT w.livemode AND w.status = 'enabled'
          AND d.status IN ('pending', 'sending') AND d.next_attempt_at > %(after)s
          AND (NOT ordered OR d.sequence = (
            SELECT min(o.sequence) FROM deliveries o
            WHERE o.endpoint_id = w.id AND o.status IN ('pending', 'sending')))
        """,
        _publish,
    ),
)
"""What happens first of several things that are due at one moment, comes first here."""

_MOMENTS: LiteralString = " UNION ALL ".join(
    f"SELECT '{each.name}' AS source, ({each.moment}) AS at" for each in SOURCES
)


def turn(database: Database, task: Task) -> None:
    """Bring a clock on its way for as long as one invocation may, or look what is due on it."""
    with database.transaction(task.tenant) as tx:
        held = clocks.hold(tx)
        clock = clocks.lock(tx)
    if clock is None:
        return
    if clock.status == "ready":
        _look(database, task.tenant, clock)
    elif held and clock.target is not None:
        _go(database, task, clock.target)


def _look(database: Database, tenant: Tenant, clock: Position) -> None:
    """Have everything done that is due on a clock that stands."""
    at = clock.now
    elsewhere = _elsewhere(tenant, at)
    with database.transaction(tenant) as tx:
        found = _moments(tx, tenant, clock, elsewhere)
    for source in SOURCES:
        if _is_due(found.get(source.name), at):
            source.begin(database, tenant, at)


def _go(database: Database, task: Task, target: datetime) -> None:
    """Step until the clock is where it was to go, or until it is time to hand it on."""
    deadline = time.monotonic() + TURN_SECONDS
    begun: dict[str, float] = {}
    while (due := _step(database, task.tenant, target)) is not True:
        if due is not None:
            if time.monotonic() - begun.get(due.name, -ASK_SECONDS) >= ASK_SECONDS:
                begun[due.name] = time.monotonic()
                with database.transaction(task.tenant) as tx:
                    at = tx.now()
                due.begin(database, task.tenant, at)
                faults.point("clock.go.after_begin")
            time.sleep(POLL_SECONDS)
        if time.monotonic() >= deadline:
            with database.transaction(task.tenant) as tx:
                clocks.hand_on(tx, task)
            faults.point("clock.go.before_send")
            outbox.send(tx.after_commit)
            return


def _step(database: Database, tenant: Tenant, target: datetime) -> Source | Literal[True] | None:
    """Move to the next moment; or return what is still to be done at this one, or True at the end.

    A clock that has waited long enough goes on without what it waited for.
    """
    elsewhere = _elsewhere(tenant, target)
    with database.transaction(tenant) as tx:
        clock = clocks.lock(tx)
        if clock is None or clock.target is None:
            return True
        found = _moments(tx, tenant, clock, elsewhere)
        due = next((each for each in SOURCES if _is_due(found.get(each.name), clock.now)), None)
        if due is not None and clock.turns < PATIENCE_TURNS:
            return due
        if due is not None:
            observe.line("clock.passed_over", source=due.name, clock=clock.id.hex)
            observe.count("ClockPassedOver", source=due.name)
            clocks.pass_over(tx, clock)
        moment = min((at for at in found.values() if at > clock.now), default=None)
        if moment is None or moment > clock.target:
            clocks.finish(tx, tenant, clock)
            return True
        clocks.move(tx, tenant, clock, min(_looked_for(moment), clock.target))
        faults.point("clock.step.before_commit")
    faults.point("clock.step.after_commit")
    return None


def _is_due(at: datetime | None, now: datetime) -> bool:
    return at is not None and at <= now


def _elsewhere(tenant: Tenant, until: datetime) -> dict[str, datetime | None]:
    """Return when the acquirer and the bank have something next, which no transaction waits for."""
    account = operations.account_name(tenant)
    day = simulated_bank.next_due(ids.now(), account)
    return {
        "notice": _acquirer().next_notice(until, account),
        "bank": datetime.combine(day, datetime.min.time(), UTC) if day else None,
    }


@dataclass(frozen=True, slots=True)
class _Moment:
    source: str
    at: datetime | None


def _moments(
    tx: Transaction, tenant: Tenant, clock: Position, elsewhere: dict[str, datetime | None]
) -> dict[str, datetime]:
    """Return by source when the next of it is due, but for what was waited for in vain."""
    after = clock.passed_over or _LONG_AGO
    found = tx.rows(
        _Moment,
        _MOMENTS,
        merchant_id=tenant.merchant_id,
        now=clock.now,
        **elsewhere,
        lease=dispatch.LEASE,
        after=after,
    )
    return {each.source: each.at for each in found if each.at is not None and each.at > after}


def _looked_for(moment: datetime) -> datetime:
    """Return when a schedule would find what is due at a moment: at the next full minute."""
    return moment + (_LONG_AGO - moment) % timedelta(minutes=1)
