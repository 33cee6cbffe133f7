"""The settlement run: every merchant's day is closed, some hundred merchants in one transaction.

``shards`` says who there is; each shard is settled by itself, and a shard that is settled twice, or
dies on the way, does no harm: what is settled is found settled. Runs as ``ivy_settle``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from ivy import availability, faults, ids, outbox, states
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.models import Input
from ivy.money import share
from ivy.reserves import Reserve
from ivy.settlements import Settlement, SettlementTotals
from ivy.states import Change

SHARD_MERCHANTS = 500
"""Merchants that one transaction settles: far from its time limit."""

STREAM_LIMIT = 2_000
"""Merchants' currencies that one transaction locks, for the server's table of locks is shared by
all; more wait for the next run."""

RELEASE_LIMIT = 2_000
"""Reserves that one transaction releases; more wait for the next run."""


class Shard(Input):
    """Merchants by their numbers, first and last, to be settled together."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What was done to a shard."""

    batches: int
    released: int


def shards(tx: Transaction, size: int = SHARD_MERCHANTS) -> list[Shard]:
    """Return all merchants, in shards."""
    return tx.rows(Shard, _SHARDS, size=size)


def settle(tx: Transaction, shard: Shard, at: datetime) -> Settled:
    """Close every batch of a shard whose day has come, then release what was held long enough.

    Days that were missed are closed in their order, each as a batch of its own. ``at`` is the real
    time; a test mode whose clock is ahead is settled by its own.
    """
    streams = _lock(tx, shard, at)
    faults.point("settlements.settle.after_lock")
    due = tx.rows(_Due, _DUE, **streams, at=at) if streams else []
    _close(tx, due)
    faults.point("settlements.settle.after_closing")
    held = tx.rows(_Held, _HELD, first=shard.first, last=shard.last, at=at, limit=RELEASE_LIMIT)
    _release(tx, held)
    faults.point("settlements.settle.before_commit")
    return Settled(len(due), len(held))


@dataclass(frozen=True, slots=True)
class _Stream:
    merchant_id: int
    livemode: bool
    currency: str


def _lock(tx: Transaction, shard: Shard, at: datetime) -> dict[str, list[int | bool | str]]:
    """Lock the streams that have something due, in one order for everybody, and return them."""
    streams = tx.rows(
        _Stream, _STREAMS, first=shard.first, last=shard.last, at=at, limit=STREAM_LIMIT
    )
    if not streams:
        return {}
    locks = [
        availability.lock_number(Tenant(each.merchant_id, each.livemode), each.currency)
        for each in streams
    ]
    tx.run(
        "SELECT pg_advisory_xact_lock(number) FROM unnest(%(locks)s::bigint[]) AS number",
        locks=sorted(locks),
    )
    return {
        "merchant_ids": [each.merchant_id for each in streams],
        "modes": [each.livemode for each in streams],
        "currencies": [each.currency for each in streams],
    }


@dataclass(frozen=True, slots=True)
class _Due:
    """One batch about to be closed."""

    merchant_id: int
    livemode: bool
    currency: str
    settled_on: date
    charge_count: int
    charges: int
    fees: int
    refunds: int
    returns: int
    reserve_basis_points: int
    reserve_days: int
    present: datetime

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.merchant_id, self.livemode)

    @property
    def net(self) -> int:
        return self.charges - self.fees - self.refunds - self.returns

    @property
    def reserved(self) -> int:
        """The reserve is a share of the charges, and never more than there is."""
        return max(min(share(self.charges, self.reserve_basis_points), self.net), 0)


def _close(tx: Transaction, due: Sequence[_Due]) -> None:
    """Write batches: rows, postings, events and reserves; and promise their reports."""
    if not due:
        return
    closing = states.transition("settlement", states.BEGIN, "closed")
    holding = states.transition("reserve", states.BEGIN, "held")
    batches = [(each, *_batch(name, each)) for name, each in _named(due)]
    held = [(each, _reserve(each, batch)) for each, batch, _ in batches if each.reserved]
    tx.run(
        _INSERT,
        **_columns(due),
        id=[batch.id for _, batch, _ in batches],
        ledger_transaction=[batch.ledger_transaction for _, batch, _ in batches],
        created_at=[batch.created_at for _, batch, _ in batches],
    )
    tx.run(
        _INSERT_RESERVES,
        merchant_id=[each.merchant_id for each, _ in held],
        livemode=[each.livemode for each, _ in held],
        id=[reserve.id for _, reserve in held],
        settlement_id=[reserve.settlement for _, reserve in held],
        amount=[reserve.amount for _, reserve in held],
        release_on=[reserve.release_on for _, reserve in held],
        currency=[reserve.currency for _, reserve in held],
        created_at=[reserve.created_at for _, reserve in held],
    )
    changes = [
        Change(each.tenant, closing, batch, batch.created_at, posting)
        for each, batch, posting in batches
    ]
    changes += [Change(each.tenant, holding, reserve, reserve.created_at) for each, reserve in held]
    states.record_all(tx, changes)
    reports = [(each.tenant, batch.id, batch.created_at) for each, batch, _ in batches]
    outbox.owe_all(tx, "settlement_reports", "report", reports)


def _named(due: Sequence[_Due]) -> Iterator[tuple[UUID, _Due]]:
    """Name batches, which come in the order of days, so that lists and events are in it too."""
    names: dict[datetime, list[UUID]] = {}
    for each in due:
        names.setdefault(each.present, []).append(ids.new(each.present))
    in_order = {present: iter(sorted(found)) for present, found in names.items()}
    for each in due:
        yield next(in_order[each.present]), each


def _batch(settlement_id: UUID, due: _Due) -> tuple[Settlement, Posting | None]:
    """Return a batch, and its posting unless its items cancel out."""
    at = due.present
    posting = None
    if due.net:
        posting = Posting(
            id=ids.new(at),
            kind=PostingKind.SETTLEMENT_CLOSED,
            source=settlement_id,
            currency=due.currency,
            legs=(
                debit(Chart.PENDING, due.net),
                credit(Chart.AVAILABLE, due.net - due.reserved),
                credit(Chart.RESERVE, due.reserved),
            ),
            value_on=due.settled_on,
            recorded_at=at,
        )
    settlement = Settlement(
        id=settlement_id,
        livemode=due.livemode,
        created_at=at,
        settled_on=due.settled_on,
        currency=due.currency,
        charge_count=due.charge_count,
        totals=SettlementTotals(
            charges=due.charges,
            fees=due.fees,
            refunds=due.refunds,
            returns=due.returns,
            net=due.net,
            reserved=due.reserved,
            available=due.net - due.reserved,
        ),
        ledger_transaction=posting.id if posting else None,
    )
    return settlement, posting


def _reserve(due: _Due, settlement: Settlement) -> Reserve:
    return Reserve(
        id=ids.new(settlement.created_at),
        livemode=due.livemode,
        created_at=settlement.created_at,
        settlement=settlement.id,
        amount=due.reserved,
        currency=due.currency,
        release_on=due.settled_on + timedelta(days=due.reserve_days),
    )


def _columns(due: Sequence[_Due]) -> dict[str, list[object]]:
    names = (
        *("merchant_id", "livemode", "currency", "settled_on", "charge_count"),
        *("charges", "fees", "refunds", "returns", "net", "reserved"),
    )
    return {name: [getattr(each, name) for each in due] for name in names}


@dataclass(frozen=True, slots=True)
class _Held:
    merchant_id: int
    livemode: bool
    id: UUID
    settlement: UUID
    created_at: datetime
    amount: int
    currency: str
    release_on: date
    present: datetime

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.merchant_id, self.livemode)


def _release(tx: Transaction, held: Sequence[_Held]) -> None:
    """Make reserves available whose day has come."""
    if not held:
        return
    released = states.transition("reserve", "held", "released")
    changes = []
    for each in held:
        reserve, posting = _released(each)
        changes.append(Change(each.tenant, released, reserve, each.present, posting))
    tx.run(
        _RELEASE,
        merchant_id=[each.merchant_id for each in held],
        livemode=[each.livemode for each in held],
        id=[each.id for each in held],
        ledger_transaction=[each.posting.id for each in changes if each.posting],
    )
    states.record_all(tx, changes)


def _released(held: _Held) -> tuple[Reserve, Posting]:
    """Return a reserve as its release leaves it, and the posting of that."""
    posting = Posting(
        id=ids.new(held.present),
        kind=PostingKind.RESERVE_RELEASED,
        source=held.id,
        currency=held.currency,
        legs=(debit(Chart.RESERVE, held.amount), credit(Chart.AVAILABLE, held.amount)),
        value_on=held.release_on,
        recorded_at=held.present,
    )
    reserve = Reserve(
        id=held.id,
        livemode=held.livemode,
        created_at=held.created_at,
        settlement=held.settlement,
        amount=held.amount,
        currency=held.currency,
        status="released",
        release_on=held.release_on,
        ledger_transaction=posting.id,
        version=2,
    )
    return reserve, posting


_SHARDS = """
    SELECT min(id) AS first, max(id) AS last
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %(size)s AS shard FROM merchants)
        AS numbered
    GROUP BY shard ORDER BY shard
"""

_STREAMS = """
    SELECT merchant_id, livemode, currency
    FROM settled_through JOIN merchants ON merchants.id = merchant_id
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    WHERE merchant_id BETWEEN %(first)s AND %(last)s
      AND EXISTS (
        SELECT FROM charges
        WHERE (charges.merchant_id, charges.livemode, charges.currency)
            = (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
          AND available_on > settled_on
          AND available_on <= (
            (%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date)
    LIMIT %(limit)s
"""

# What a charge leaves in pending by its day: what was captured, less our fee, less refunds that
# were accepted by then; of a bank debit that came back only its fees are left.
_DUE = """
    WITH streams AS (
        SELECT merchant_id, livemode, currency, settled_on,
               %(at)s + coalesce(ahead, '0') AS present,
               ((%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date AS today,
               reserve_basis_points, reserve_days
        FROM unnest(%(merchant_ids)s::bigint[], %(modes)s::boolean[], %(currencies)s::text[])
            AS due (merchant_id, livemode, currency)
        JOIN settled_through USING (merchant_id, livemode, currency)
        JOIN merchants ON merchants.id = merchant_id
        LEFT JOIN test_clocks USING (merchant_id, livemode)
    ), captured AS (
        SELECT merchant_id, livemode, currency, available_on, count(*)::integer AS charge_count,
               sum(amount_captured) AS charges, sum(fee) AS fees,
               sum(CASE WHEN amount_refunded + amount_refund_pending > 0 THEN (
                   SELECT sum(refunds.amount) FROM refunds
                   WHERE (refunds.merchant_id, refunds.livemode, charge_id)
                       = (charges.merchant_id, charges.livemode, charges.id)
                     AND (refunds.status = 'succeeded' OR pending_reason = 'processing')
               ) END) AS refunds,
               sum(CASE WHEN status = 'failed' THEN amount_captured + (
                   SELECT (terms->>'return_fee_cents')::bigint
                          * CASE exponent WHEN 3 THEN 10 ELSE 1 END
                   FROM fee_plans JOIN currencies ON currencies.code = charges.currency
                   WHERE (fee_plans.code, fee_plans.version) = (fee_plan, fee_plan_version)
               ) END) AS returns
        FROM streams JOIN charges USING (merchant_id, livemode, currency)
        WHERE available_on > settled_on AND available_on <= today
        GROUP BY merchant_id, livemode, currency, available_on
    ), moved AS (
        UPDATE settled_through SET settled_on = reached.settled_on
        FROM (SELECT merchant_id, livemode, currency, max(available_on) AS settled_on
              FROM captured GROUP BY merchant_id, livemode, currency) AS reached
        WHERE (settled_through.merchant_id, settled_through.livemode, settled_through.currency)
            = (reached.merchant_id, reached.livemode, reached.currency)
    )
    SELECT merchant_id, livemode, currency, available_on AS settled_on, charge_count,
           charges::bigint, fees::bigint, coalesce(refunds, 0)::bigint AS refunds,
           coalesce(returns, 0)::bigint AS returns, reserve_basis_points, reserve_days,
           present
    FROM captured
    JOIN streams USING (merchant_id, livemode, currency)
    ORDER BY available_on, merchant_id, livemode, currency
"""

_INSERT = """
    INSERT INTO settlements (merchant_id, livemode, id, currency, settled_on, charge_count, charges,
                             fees, refunds, returns, net, reserved, ledger_transaction, created_at)
    SELECT * FROM unnest(
        %(merchant_id)s::bigint[], %(livemode)s::boolean[], %(id)s::uuid[], %(currency)s::text[],
        %(settled_on)s::date[], %(charge_count)s::integer[], %(charges)s::bigint[],
        %(fees)s::bigint[], %(refunds)s::bigint[], %(returns)s::bigint[], %(net)s::bigint[],
        %(reserved)s::bigint[], %(ledger_transaction)s::uuid[], %(created_at)b::timestamptz[])
"""

_INSERT_RESERVES = """
    INSERT INTO reserves (merchant_id, livemode, id, settlement_id, amount, release_on, currency,
                          created_at)
    SELECT * FROM unnest(
        %(merchant_id)s::bigint[], %(livemode)s::boolean[], %(id)s::uuid[],
        %(settlement_id)s::uuid[], %(amount)s::bigint[], %(release_on)s::date[],
        %(currency)s::text[], %(created_at)s::timestamptz[])
"""

_HELD = """
    SELECT merchant_id, livemode, reserves.id, settlement_id AS settlement,
           reserves.created_at, amount, currency, release_on,
           %(at)s + coalesce(ahead, '0') AS present
    FROM reserves JOIN merchants ON merchants.id = merchant_id
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    WHERE reserves.status = 'held' AND merchant_id BETWEEN %(first)s AND %(last)s
      AND release_on <= ((%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date
    ORDER BY release_on, merchant_id, reserves.id
    LIMIT %(limit)s
    FOR UPDATE OF reserves
"""

_RELEASE = """
    UPDATE reserves
    SET status = 'released', version = 2, ledger_transaction = released.ledger_transaction
    FROM unnest(%(merchant_id)s::bigint[], %(livemode)s::boolean[], %(id)s::uuid[],
                %(ledger_transaction)s::uuid[])
        AS released (merchant_id, livemode, id, ledger_transaction)
    WHERE (reserves.merchant_id, reserves.livemode, reserves.id)
        = (released.merchant_id, released.livemode, released.id)
"""
