"""What the simulated acquirer pays: two banking days later, and less what it has given back.

It pays each merchant of test mode by the merchant's own clock: on a banking day all that was
captured two banking days before, less refunds, returned debits, withdrawn disputes and its costs of
that day. What comes to nothing or less is netted into the next. It reads this from the entries of
``acquirer_receivable:simulated``, so that they come down to what it has not paid yet; then it tells
the simulated bank, which shows the money on that day. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from itertools import groupby
from typing import LiteralString

from ivy import acquirer_settlements, faults, ids, simulated_bank
from ivy.acquirer_settlements import Expected
from ivy.connectors import SettlementReport
from ivy.database import Database, Tenant, Transaction
from ivy.operations import account_name
from ivy.simulated_bank import Account
from ivy.simulated_bank_orders import Rail

CONNECTOR = "simulated"

MAX_STREAMS = 200
"""Merchants and currencies that one run looks at; more wait for the next."""

MAX_SENT = 200
"""Of one run; more wait for the next."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an acquirer took in and gave out, in minor units."""

    gross: int = 0
    refunds: int = 0
    returns: int = 0
    disputes: int = 0
    costs: int = 0

    @property
    def net(self) -> int:
        """What it owes."""
        return self.gross - self.refunds - self.returns - self.disputes - self.costs

    def plus(self, other: Amounts, sign: int = 1) -> Amounts:
        """Return both together, or with ``sign`` -1 what is left of this one."""
        names = [each.name for each in fields(self)]
        return Amounts(**{n: getattr(self, n) + sign * getattr(other, n) for n in names})


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one value date, and the day on which it is paid."""

    on: date
    paid_on: date
    amounts: Amounts


def pay(
    database: Database, tenant: Tenant | None = None, present: datetime | None = None
) -> dict[str, int]:
    """Say what is due, each merchant and currency in a transaction of its own, and tell the bank.

    Whoever dies on the way is followed by another who finds what is said and not told.

    Args:
        database: Connected as ``ivy_jobs``.
        tenant: Of one merchant; of all by default.
        present: What time it is for that merchant.
    """
    with database.transaction() as tx:
        due = _due(tx, tenant, present)
    said = 0
    for stream in due:
        with database.transaction() as tx:
            said += _say(tx, stream)
            faults.point("bank.acquirer.before_commit")
        faults.point("bank.acquirer.after_commit")
    with database.transaction() as tx:
        settlements = acquirer_settlements.to_send(tx, CONNECTOR, tenant, MAX_SENT)
        ours = {each.currency: each for each in tx.rows(_Ours, _OURS)}
    for each in settlements:
        simulated_bank.credit(
            _account(each, ours[each.currency]),
            reference=each.reference,
            amount_minor=each.net,
            day=each.expected_on,
        )
        faults.point("bank.acquirer.after_told")
    if settlements:
        with database.transaction() as tx:
            acquirer_settlements.sent(tx, settlements, ids.now())
            merchants = [each.merchant_id for each in settlements]
            tx.run(_TOLD, merchants=merchants, connector=CONNECTOR)
    return {"said": said, "sent": len(settlements)}


def reports(days: Sequence[Day], said: Amounts) -> Iterator[tuple[date, Amounts]]:
    """Yield what is paid, and when: all days until then, less what was said before.

    Args:
        days: Every day from the first on, in order.
        said: What all settlements so far come to.
    """
    owed = Amounts()
    for paid_on, same in groupby(days, key=lambda day: day.paid_on):
        for day in same:
            owed = owed.plus(day.amounts)
        left = owed.plus(said, -1)
        if left.net > 0:
            said = owed
            yield paid_on, left


@dataclass(frozen=True, slots=True)
class _Ours:
    """Our account in a currency."""

    currency: str
    rail: Rail
    number: str


@dataclass(frozen=True, slots=True)
class _Stream:
    """A merchant and currency of which something is due."""

    merchant_id: int
    currency: str
    today: date


@dataclass(frozen=True, slots=True)
class _Day:
    value_on: date
    paid_on: date
    gross: int
    refunds: int
    returns: int
    disputes: int
    costs: int


def _due(tx: Transaction, tenant: Tenant | None, present: datetime | None) -> list[_Stream]:
    return tx.rows(
        _Stream,
        _DUE,
        merchant=tenant.merchant_id if tenant else None,
        at=ids.now(),
        present=present,
        limit=MAX_STREAMS,
    )


def _say(tx: Transaction, stream: _Stream) -> int:
    """Say what is due of a stream, unless another has meanwhile; returns how many settlements."""
    named = {"merchant": stream.merchant_id, "currency": stream.currency}
    tx.run(_OPEN_STREAM, **named)
    through: date = tx.value(_LOCK_STREAM, **named)
    days = [
        Day(row.value_on, row.paid_on, _amounts(row))
        for row in tx.rows(_Day, _DAYS, **named, today=stream.today)
    ]
    if not days or days[-1].on <= through:
        return 0
    before = tx.row(Amounts, _SAID, **named, connector=CONNECTOR)
    assert before is not None  # noqa: S101 - sums are one row
    said = 0
    for paid_on, amounts in reports(_unsaid(days, through), before):
        report = _report(stream, paid_on, amounts)
        at = ids.now()
        said += (
            acquirer_settlements.record(tx, CONNECTOR, stream.merchant_id, report, at) is not None
        )
    tx.run(_SAID_THROUGH, **named, through=days[-1].on, connector=CONNECTOR)
    return said


def _unsaid(days: Sequence[Day], through: date) -> list[Day]:
    """Return days of which all that were spoken of are one, paid with the next."""
    after = [day for day in days if day.on > through]
    before = Amounts()
    for day in days[: len(days) - len(after)]:
        before = before.plus(day.amounts)
    first = after[0]
    return [Day(first.on, first.paid_on, first.amounts.plus(before)), *after[1:]]


def _amounts(row: _Day) -> Amounts:
    return Amounts(row.gross, row.refunds, row.returns, row.disputes, row.costs)


def _account(settlement: Expected, ours: _Ours) -> Account:
    """Return the account that a settlement is paid to, in a statement of its own."""
    assert settlement.merchant_id is not None  # noqa: S101 - it is of test mode
    whose = account_name(Tenant(settlement.merchant_id, livemode=False))
    name = f"{ids.Prefix('acs').write(settlement.id)}.{whose}"
    return Account(name, settlement.id, ours.rail, ours.currency, ours.number)


def _report(stream: _Stream, paid_on: date, amounts: Amounts) -> SettlementReport:
    return SettlementReport(
        reference=f"SIM-{stream.merchant_id}-{stream.currency}-{paid_on:%Y%m%d}",
        currency=stream.currency,
        expected_on=paid_on,
        gross_minor=amounts.gross,
        refunds_minor=amounts.refunds,
        returns_minor=amounts.returns,
        disputes_minor=amounts.disputes,
        costs_minor=amounts.costs,
    )


# The second banking day after a day: what the acquirer's own calendar says.
_PAID_ON: LiteralString = """
    LATERAL (
        SELECT later::date AS paid_on
        FROM generate_series(value_on + 1, value_on + 31, '1 day') AS later
        WHERE extract(isodow FROM later) < 6
          AND NOT EXISTS (SELECT FROM bank_holidays
                          WHERE (bank_holidays.currency, day) = (streams.currency, later::date))
        ORDER BY later OFFSET 1 LIMIT 1) AS paid
"""

# The first day of each merchant and currency of which the acquirer has said nothing yet. It pays
# where we have an account.
_FIRST: LiteralString = (
    """
    SELECT streams.merchant_id, streams.currency, paid_on
    FROM settled_through AS streams
    JOIN bank_originators USING (livemode, currency)
    JOIN currencies ON currencies.code = streams.currency
    LEFT JOIN acquirer_streams AS said
        ON (said.merchant_id, said.livemode, said.currency)
         = (streams.merchant_id, streams.livemode, streams.currency)
    CROSS JOIN LATERAL (
        SELECT value_on FROM journal
        WHERE owner = streams.merchant_id AND NOT journal.livemode
          AND kind IN (1, 4, 11, 21, 23)
          AND number * 10000 + 110 IN (a1, a2, a3, a4)
          AND value_on > coalesce(said_through, '-infinity')
        ORDER BY value_on LIMIT 1) AS first
    CROSS JOIN """
    + _PAID_ON
    + """
    WHERE NOT streams.livemode
"""
)

NEXT: LiteralString = (
    """
    SELECT least(
        (SELECT min(untold_on) FROM acquirer_streams WHERE merchant_id = %(merchant_id)s),
        (SELECT min(paid_on) FROM ("""
    + _FIRST
    + """
              AND streams.merchant_id = %(merchant_id)s) AS unpaid))::timestamp AT TIME ZONE 'UTC'
    """
)
"""Selects when the acquirer pays a merchant's test mode next, or has said so and not told its bank.
"""

_DUE: LiteralString = (
    """
    SELECT merchant_id, currency, present.today
    FROM ("""
    + _FIRST
    + """
          AND (%(merchant)s::bigint IS NULL OR streams.merchant_id = %(merchant)s)) AS unpaid
    LEFT JOIN test_clocks USING (merchant_id)
    CROSS JOIN LATERAL (
        SELECT (coalesce(%(present)s::timestamptz, %(at)s + coalesce(ahead, '0'))
                AT TIME ZONE 'UTC')::date AS today) AS present
    WHERE paid_on <= today
    ORDER BY paid_on, merchant_id, currency LIMIT %(limit)s
    """
)

_OURS = """
    SELECT currency, rail, coalesce(iban, account_number) AS number
    FROM bank_originators WHERE NOT livemode
"""

_OPEN_STREAM = """
    INSERT INTO acquirer_streams (merchant_id, currency, said_through)
    VALUES (%(merchant)s, %(currency)s, '0001-01-01') ON CONFLICT DO NOTHING
"""

_LOCK_STREAM = """
    SELECT said_through FROM acquirer_streams
    WHERE (merchant_id, livemode, currency) = (%(merchant)s, false, %(currency)s) FOR UPDATE
"""

_UNTOLD: LiteralString = """
    (SELECT min(expected_on) FROM acquirer_settlements AS said
     WHERE (said.merchant_id, said.livemode, said.connector, said.currency)
         = (acquirer_streams.merchant_id, false, %(connector)s, acquirer_streams.currency)
       AND sent_at IS NULL)
"""

_TOLD: LiteralString = (
    "UPDATE acquirer_streams SET untold_on = "
    + _UNTOLD
    + " WHERE merchant_id = ANY(%(merchants)s::bigint[])"
)

_SAID_THROUGH: LiteralString = (
    "UPDATE acquirer_streams SET said_through = %(through)s, untold_on = "
    + _UNTOLD
    + """
    WHERE (merchant_id, livemode, currency) = (%(merchant)s, false, %(currency)s)
    """
)

# A capture's entry is what is left after the acquirer's costs.
_DAYS: LiteralString = (
    """
    WITH moved AS (
        SELECT value_on, kind, leg.account = receivable.account AS owed, leg.amount
        FROM (SELECT number * 10000 + 110 AS account, number * 10000 + 510 AS cost
              FROM currencies WHERE code = %(currency)s) AS receivable
        JOIN journal ON receivable.account IN (a1, a2, a3, a4)
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
        WHERE owner = %(merchant)s AND NOT livemode AND kind IN (1, 4, 11, 21, 23)
          AND leg.account IN (receivable.account, cost)),
    streams AS (
        SELECT %(currency)s AS currency, value_on,
               coalesce(sum(amount) FILTER (WHERE kind = 1), 0)::bigint AS gross,
               coalesce(-sum(amount) FILTER (WHERE kind = 11 AND owed), 0)::bigint AS refunds,
               coalesce(-sum(amount) FILTER (WHERE kind = 4 AND owed), 0)::bigint AS returns,
               coalesce(-sum(amount) FILTER (WHERE kind IN (21, 23) AND owed), 0)::bigint
                   AS disputes,
               coalesce(sum(amount) FILTER (WHERE kind = 1 AND NOT owed), 0)::bigint AS costs
        FROM moved GROUP BY value_on)
    SELECT value_on, paid_on, gross, refunds, returns, disputes, costs
    FROM streams CROSS JOIN """
    + _PAID_ON
    + """
    WHERE paid_on <= %(today)s
    ORDER BY value_on
    """
)

_SAID = """
    SELECT coalesce(sum(gross), 0)::bigint AS gross, coalesce(sum(refunds), 0)::bigint AS refunds,
           coalesce(sum(returns), 0)::bigint AS returns,
           coalesce(sum(disputes), 0)::bigint AS disputes, coalesce(sum(costs), 0)::bigint AS costs
    FROM acquirer_settlements
    WHERE (merchant_id, livemode, connector, currency)
        = (%(merchant)s, false, %(connector)s, %(currency)s)
"""
