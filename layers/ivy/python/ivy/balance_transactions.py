"""Balance transactions: everything that changed what a merchant can spend, with its fee.

One for each ledger transaction that moves the merchant's pending or available money, so they share
their id's digits: ``txn_019a…`` is ``ltx_019a…`` seen from the merchant's side.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, computed_field

from ivy import errors, ids, ledger, money, pages
from ivy.database import Transaction
from ivy.ledger import Chart, PostingKind
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
    "recovery_debit",
    "recovery_debit_failure",
    "recovery_debit_return",
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

    of = "txn"

    type: Type | None = None
    currency: str | None = None
    source: Annotated[
        str | None,
        Field(pattern="^[a-z]+_[0-9a-f]{32}$", description="The id of the object that caused it."),
    ] = None
    settlement: Annotated[
        ids.SettlementId | None, Field(description="The items of a settlement.")
    ] = None
    payout: Annotated[ids.PayoutId | None, Field(description="The items of a payout.")] = None


class _Row(Object):
    id: UUID
    livemode: bool
    created_at: Time
    kind: int
    source: UUID
    account: int
    accounts: list[int | None]
    amounts: list[int | None]
    available_on: date


@dataclass(frozen=True, slots=True)
class _Seen:
    """How merchants see a kind of posting: as what, under what, caused by an object of which id."""

    type: Type
    category: Category
    source: str


_KINDS = {
    PostingKind.CHARGE_CAPTURED: _Seen("charge", "charges", "ch"),
    PostingKind.CHARGE_RETURNED: _Seen("charge_return", "charges", "ch"),
    PostingKind.REFUND_ACCEPTED: _Seen("refund", "refunds", "re"),
    PostingKind.REFUND_SUCCEEDED: _Seen("refund_fee_return", "fees", "re"),
    PostingKind.REFUND_RETURNED: _Seen("refund_failure", "refunds", "re"),
    PostingKind.DISPUTE_OPENED: _Seen("dispute", "disputes", "dp"),
    PostingKind.DISPUTE_WON: _Seen("dispute_reversal", "disputes", "dp"),
    PostingKind.SETTLEMENT_CLOSED: _Seen("reserve_hold", "reserves", "stl"),
    PostingKind.RESERVE_RELEASED: _Seen("reserve_release", "reserves", "rsv"),
    PostingKind.PAYOUT_CREATED: _Seen("payout", "payouts", "po"),
    PostingKind.PAYOUT_REVERSED: _Seen("payout_reversal", "payouts", "po"),
    PostingKind.PAYOUT_RETURNED: _Seen("payout_return", "payouts", "po"),
    PostingKind.RECOVERY_WRITEOFF: _Seen("write_off", "recoveries", "rcv"),
    PostingKind.DEBIT_SENT: _Seen("recovery_debit", "recoveries", "rd"),
    PostingKind.DEBIT_REVERSED: _Seen("recovery_debit_failure", "recoveries", "rd"),
    PostingKind.DEBIT_RETURNED: _Seen("recovery_debit_return", "recoveries", "rd"),
}


def get(tx: Transaction, transaction_id: UUID) -> BalanceTransaction:
    """Return one balance transaction of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has none with this id in this mode.
    """
    row = tx.row(_Row, _SELECT + " AND journal.id = %(id)s", id=transaction_id)
    if row is None:
        written = ids.Prefix("txn").write(transaction_id)
        raise errors.ResourceMissing(f"No balance transaction {written}.")
    return _seen(row)


def page(tx: Transaction, query: BalanceTransactionQuery) -> pages.Listing[BalanceTransaction]:
    """Return one page of balance transactions, newest first."""
    lowest, below = query.bounds()
    prefix, source = _source(query.source)
    asked = {
        "source": source,
        "currency": _currency_number(query.currency),
        "settlement": query.settlement,
        "payout": query.payout,
    }
    rows = tx.rows(
        _Row,
        _SELECT
        + " AND journal.id >= %(lowest)s AND journal.id < %(below)s AND kind = ANY(%(kinds)s)"
        # only what is asked: each filter that is not costs every page its planning
        + "".join(_FILTERS[name] for name, value in asked.items() if value is not None)
        + " ORDER BY journal.id DESC"
        + query.rows,
        **asked,
        lowest=lowest,
        below=below,
        kinds=[
            int(kind)
            for kind, seen in _KINDS.items()
            if query.type in (None, seen.type) and prefix in (None, seen.source)
        ],
    )
    return pages.listing(BalanceTransaction, [_seen(row) for row in rows], query.limit)


def of_settlement(tx: Transaction, settlement_id: UUID) -> list[BalanceTransaction]:
    """Return every item of a settlement, oldest first; what is in a batch does not change."""
    rows = tx.rows(
        _Row, _SELECT + _IN_SETTLEMENT + " ORDER BY journal.id", settlement=settlement_id
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
        + _IN_CURRENCY
        + " ORDER BY recorded_at, journal.id",
        currency=_currency_number(currency),
        begins_at=begins_at,
        ends_at=ends_at,
    )
    return [_seen(row) for row in rows]


def _source(written: str | None) -> tuple[str | None, UUID | None]:
    """Return the prefix and the id that a source is written as."""
    if written is None:
        return None, None
    prefix, _, digits = written.partition("_")
    return prefix, UUID(hex=digits)


def _currency_number(code: str | None) -> int | None:
    """Return the number of a currency; one that matches nothing for a code nobody knows."""
    if code is None:
        return None
    known = money.currencies().get(code.upper())
    return known.number if known else -1


def _seen(row: _Row) -> BalanceTransaction:
    seen = _KINDS[PostingKind(row.kind)]
    moved: Counter[int] = Counter()
    for account, amount in zip(row.accounts, row.amounts, strict=True):
        if account is not None and amount is not None:
            moved[account % 1000] -= amount
    net = moved[Chart.PENDING] + moved[Chart.AVAILABLE]
    processing, dispute = moved[Chart.INCOME_PROCESSING], moved[Chart.INCOME_DISPUTE]
    fees = (("processing", processing), ("dispute", dispute))
    return BalanceTransaction(
        id=row.id,
        livemode=row.livemode,
        created_at=row.created_at,
        type=seen.type,
        category=seen.category,
        amount=net + processing + dispute,
        fee=processing + dispute,
        net=net,
        fee_details=[
            FeeDetail.model_validate({"type": name, "amount": amount})
            for name, amount in fees
            if amount
        ],
        currency=ledger.currency_of(row.account),
        available_on=row.available_on,
        source=ids.Prefix(seen.source).write(row.source),
        ledger_transaction=row.id,
    )


# What changes what can be spent, 210 or 220; and a charge of which nothing is left after its fee,
# 410, which moved no balance and happened all the same.
_SELECT = """
    SELECT journal.id, journal.livemode, recorded_at AS created_at, kind, source,
           a1 AS account, ARRAY[a1, a2, a3, a4] AS accounts, ARRAY[v1, v2, v3, v4] AS amounts,
           coalesce(charges.available_on, value_on) AS available_on
    FROM journal
    LEFT JOIN charges ON kind = 1
        AND (charges.merchant_id, charges.livemode, charges.id) = (owner, journal.livemode, source)
    WHERE part = 0
      AND (CASE WHEN mod(a1, 1000) IN (210, 220) THEN v1 ELSE 0 END
           + CASE WHEN mod(a2, 1000) IN (210, 220) THEN v2 ELSE 0 END
           + CASE WHEN mod(a3, 1000) IN (210, 220) THEN v3 ELSE 0 END
           + CASE WHEN mod(a4, 1000) IN (210, 220) THEN v4 ELSE 0 END <> 0
        OR 410 IN (mod(a1, 1000), mod(a2, 1000), mod(a3, 1000), mod(a4, 1000)))
"""

_IN_CURRENCY = " AND mod(a1 / 10000, 1000) = %(currency)s"

_IN_PAYOUT = """
    AND journal.id IN (SELECT ledger_transaction FROM payout_items WHERE payout_id = %(payout)s)
"""

# What the charges of its day, and their refunds, did to what was pending; and what of that the
# batch itself held back.
_IN_SETTLEMENT = """
    AND (kind = 1 OR 210 IN (mod(a1, 1000), mod(a2, 1000), mod(a3, 1000), mod(a4, 1000)))
    AND journal.source IN (
        WITH of_the_day AS (
            SELECT charges.id FROM settlements JOIN charges
                ON charges.currency = settlements.currency AND available_on = settled_on
            WHERE settlements.id = %(settlement)s)
        SELECT id FROM of_the_day
        UNION ALL
        SELECT id FROM settlements WHERE id = %(settlement)s
        UNION ALL
        SELECT refunds.id FROM refunds JOIN of_the_day ON charge_id = of_the_day.id)
"""

_FILTERS = {
    "source": " AND source = %(source)s",
    "currency": _IN_CURRENCY,
    "settlement": _IN_SETTLEMENT,
    "payout": _IN_PAYOUT,
}
