"""Balance transactions: everything that changed what a merchant can spend, with its fee.

One for each ledger transaction that moves the merchant's pending or available money, so they share
their id's digits: ``txn_019a…`` is ``ltx_019a…`` seen from the merchant's side.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, computed_field

from ivy import errors, ids, ledger, money, pages
from ivy.database import Transaction
from ivy.ledger import Chart
from ivy.models import Object, Time, example

Type = Literal[
    "charge",
    "charge_return",
    "refund",
    "refund_fee_return",
    "refund_failure",
    "dispute",
    "dispute_reversal",
    "reserve_hold",
    "reserve_release",
    "payout",
    "payout_reversal",
    "payout_return",
    "write_off",
]
Category = Literal["charges", "refunds", "disputes", "fees", "reserves", "payouts", "recoveries"]


class FeeDetail(Object):
    """One fee that is part of a balance transaction."""

    type: Literal["processing", "dispute"]
    amount: int


class BalanceTransaction(Object):
    """A change of the balance, in minor units: ``net`` is ``amount`` less ``fee``.

    Money in is positive. ``type`` says what happened and ``category`` what to report it under;
    neither changes its meaning. ``source`` is the object that caused it.
    """

    model_config = example(
        id="txn_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        object="balance_transaction",
        livemode=False,
        created_at="2026-11-24T09:30:00.120Z",
        type="charge",
        category="charges",
        amount=10000,
        fee=320,
        net=9680,
        fee_details=[{"type": "processing", "amount": 320}],
        currency="USD",
        exponent=2,
        available_on="2026-11-27",
        source="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        ledger_transaction="ltx_019ab2c4d7117a3c9e55d02f8b1c4e6a",
    )

    id: ids.BalanceTransactionId
    object: Literal["balance_transaction"] = "balance_transaction"
    livemode: bool
    created_at: Time
    type: Type
    category: Category
    amount: int
    fee: int
    net: int
    fee_details: list[FeeDetail]
    currency: str
    available_on: date
    source: str
    ledger_transaction: ids.LedgerTransactionId

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


class BalanceTransactionQuery(pages.Page):
    """Which balance transactions to list."""

    type: Type | None = None
    currency: str | None = None
    source: str | None = None
    settlement: Annotated[
        ids.SettlementId | None, Field(description="The items of a settlement.")
    ] = None
    payout: Annotated[ids.PayoutId | None, Field(description="The items of a payout.")] = None


class _Row(Object):
    id: UUID
    livemode: bool
    created_at: Time
    kind: str
    source_prefix: str
    source: UUID
    account: int
    net: int
    processing: int
    dispute: int
    available_on: date


_KINDS: dict[str, tuple[Type, Category]] = {
    "charge.captured": ("charge", "charges"),
    "charge.returned": ("charge_return", "charges"),
    "refund.accepted": ("refund", "refunds"),
    "refund.succeeded": ("refund_fee_return", "fees"),
    "refund.returned": ("refund_failure", "refunds"),
    "dispute.opened": ("dispute", "disputes"),
    "dispute.won": ("dispute_reversal", "disputes"),
    "settlement.closed": ("reserve_hold", "reserves"),
    "reserve.released": ("reserve_release", "reserves"),
    "payout.created": ("payout", "payouts"),
    "payout.reversed": ("payout_reversal", "payouts"),
    "payout.returned": ("payout_return", "payouts"),
    "recovery.writeoff": ("write_off", "recoveries"),
}


def get(tx: Transaction, transaction_id: UUID) -> BalanceTransaction:
    """Return one balance transaction of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has none with this id in this mode.
    """
    row = tx.row(_Row, _SELECT + " AND journal.id = %(id)s" + _CHANGED, **_CODES, id=transaction_id)
    if row is None:
        written = ids.Prefix("txn").write(transaction_id)
        raise errors.ResourceMissing(f"No balance transaction {written}.")
    return _seen(row)


def page(tx: Transaction, query: BalanceTransactionQuery) -> pages.Listing[BalanceTransaction]:
    """Return one page of balance transactions, newest first."""
    lowest, below = query.bounds()
    rows = tx.rows(
        _Row,
        _SELECT
        + " AND journal.id >= %(lowest)s AND journal.id < %(below)s"
        + " AND posting_kinds.name = ANY(%(kinds)s)"
        + " AND (%(source)s::text IS NULL"
        + " OR source_prefix || '_' || replace(journal.source::text, '-', '') = %(source)s)"
        + " AND (%(currency)s::int IS NULL OR a1 / 10000 %% 1000 = %(currency)s)"
        + _IN_SETTLEMENT
        + _IN_PAYOUT
        + _CHANGED
        + " ORDER BY journal.id DESC LIMIT %(limit)s + 1",
        **_CODES,
        lowest=lowest,
        below=below,
        kinds=[name for name, (kind, _) in _KINDS.items() if query.type in (None, kind)],
        source=query.source,
        settlement=query.settlement,
        payout=query.payout,
        currency=_currency_number(query.currency),
        limit=query.limit,
    )
    return pages.listing(BalanceTransaction, [_seen(row) for row in rows], query.limit)


def of_settlement(tx: Transaction, settlement_id: UUID) -> list[BalanceTransaction]:
    """Return every item of a settlement, oldest first; what is in a batch does not change."""
    rows = tx.rows(
        _Row,
        _SELECT + _IN_SETTLEMENT + _CHANGED + " ORDER BY journal.id",
        **_CODES,
        settlement=settlement_id,
    )
    return [_seen(row) for row in rows]


def between(
    tx: Transaction, currency: str, begins_at: datetime, ends_at: datetime
) -> list[BalanceTransaction]:
    """Return every balance transaction of a currency and a time, oldest first."""
    rows = tx.rows(
        _Row,
        _SELECT
        + " AND recorded_at >= %(begins_at)s AND recorded_at < %(ends_at)s"
        + " AND a1 / 10000 %% 1000 = %(currency)s"
        + _CHANGED
        + " ORDER BY recorded_at, journal.id",
        **_CODES,
        currency=_currency_number(currency),
        begins_at=begins_at,
        ends_at=ends_at,
    )
    return [_seen(row) for row in rows]


def _currency_number(code: str | None) -> int | None:
    """Return the number of a currency; one that matches nothing for a code nobody knows."""
    if code is None:
        return None
    known = money.currencies().get(code.upper())
    return known.number if known else -1


def _seen(row: _Row) -> BalanceTransaction:
    kind, category = _KINDS[row.kind]
    fees = (("processing", row.processing), ("dispute", row.dispute))
    return BalanceTransaction(
        id=row.id,
        livemode=row.livemode,
        created_at=row.created_at,
        type=kind,
        category=category,
        amount=row.net + row.processing + row.dispute,
        fee=row.processing + row.dispute,
        net=row.net,
        fee_details=[
            FeeDetail.model_validate({"type": name, "amount": amount})
            for name, amount in fees
            if amount
        ],
        currency=ledger.currency_of(row.account),
        available_on=row.available_on,
        source=ids.Prefix(row.source_prefix).write(row.source),
        ledger_transaction=row.id,
    )


_CODES = {
    "spendable": [int(Chart.PENDING), int(Chart.AVAILABLE)],
    "income_processing": int(Chart.INCOME_PROCESSING),
    "income_dispute": int(Chart.INCOME_DISPUTE),
}

_SELECT = """
    SELECT journal.id, journal.livemode, recorded_at AS created_at, posting_kinds.name AS kind,
           source_prefix, journal.source, a1 AS account, effect.net, effect.processing,
           effect.dispute, coalesce(charges.available_on, value_on) AS available_on
    FROM journal
    JOIN posting_kinds ON posting_kinds.code = journal.kind
    LEFT JOIN charges ON charges.id = journal.source AND posting_kinds.name = 'charge.captured'
    CROSS JOIN LATERAL (
        SELECT
            -coalesce(sum(v) FILTER (WHERE a %% 1000 = ANY(%(spendable)s)), 0)::bigint AS net,
            -coalesce(sum(v) FILTER (WHERE a %% 1000 = %(income_processing)s), 0)::bigint
                AS processing,
            -coalesce(sum(v) FILTER (WHERE a %% 1000 = %(income_dispute)s), 0)::bigint AS dispute
        FROM (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (a, v)
    ) AS effect
    WHERE part = 0
"""

# A charge of which nothing is left after its fee moved no balance, and happened all the same.
_CHANGED = " AND (effect.net <> 0 OR effect.processing <> 0)"

_IN_PAYOUT = """
    AND (%(payout)s::uuid IS NULL OR journal.id IN (
        SELECT ledger_transaction FROM payout_items WHERE payout_id = %(payout)s))
"""

# What the charges of its day, and their refunds, did to what was pending; and what of that the
# batch itself held back.
_IN_SETTLEMENT = """
    AND (%(settlement)s::uuid IS NULL
        OR (posting_kinds.name = 'charge.captured'
            OR 210 IN (mod(a1, 1000), mod(a2, 1000), mod(a3, 1000), mod(a4, 1000)))
        AND journal.source IN (
            WITH of_the_day AS (
                SELECT charges.id FROM settlements JOIN charges
                    ON charges.currency = settlements.currency AND available_on = settled_on
                WHERE settlements.id = %(settlement)s)
            SELECT id FROM of_the_day
            UNION ALL
            SELECT %(settlement)s
            UNION ALL
            SELECT refunds.id FROM refunds JOIN of_the_day ON charge_id = of_the_day.id))
"""
