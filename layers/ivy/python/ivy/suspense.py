"""What is in suspense, shown to operators and resolved by them, each item once.

An item is money that is on our account and nobody's, or that left it and nobody knows why. Whoever
finds out says so here, with a reason. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, LiteralString, get_args
from uuid import UUID

from pydantic import Field

from ivy import (
    acquirer_lines,
    acquirer_settlements,
    bank_lines,
    bank_orders,
    errors,
    faults,
    ids,
    late_refusals,
    observe,
    suspense_items,
)
from ivy.bank_lines import Taker
from ivy.database import Transaction
from ivy.late_refusals import LateRefusal
from ivy.ledger import ACQUIRER_RECEIVABLE, Chart
from ivy.models import Input, Object, ShortText, Time, example
from ivy.suspense_items import Open

MAX_SHOWN = 200
_SUSPENSE = ids.Prefix("sus")
_RECEIPT = ids.Prefix("br")
_PAYOUT = ids.Prefix("po")
_DEBIT = ids.Prefix("rd")
_SETTLEMENT = ids.Prefix("acs")

Target = Literal["payout", "debit", "acquirer", "rounding", "loss"]
_TAKERS: dict[str, Taker] = {"payout": "payout", "debit": "debit"}
_KINDS: dict[Taker, bank_orders.Kind] = {"payout": "payout", "debit": "recovery_debit"}
_MAY_COME_BACK = ("paid", "collected", "returned")
_CHARTS = {"rounding": Chart.ROUNDING, "loss": Chart.LOSS_WRITEOFF}


class SuspenseQuery(Input):
    """Which items to show."""

    model_config = example(currency="USD", livemode=False)

    currency: str | None = None
    livemode: bool | None = None


class SuspenseItem(Object):
    """A line of a statement that nobody has explained yet.

    ``amount`` is as on the statement, in minor units: negative left the account. With a
    ``settlement`` it is only what the line differs by from that.
    """

    id: str
    livemode: bool
    amount: int
    currency: str
    booked_on: date
    opened_at: Time
    age_days: float
    bank_reference: str
    end_to_end_id: str | None
    description: str
    payout: str | None
    debit: str | None
    settlement: str | None
    receipt: str
    file: str
    statement: str
    line: int


class SuspenseList(Object):
    """Open items, the oldest first; ``total`` are open, of which no more than 200 are shown.

    ``refused`` are payouts and debits that were refused after they were paid or collected, and
    wait for their line.
    """

    object: Literal["suspense_list"] = "suspense_list"
    data: list[SuspenseItem]
    total: int
    refused: list[LateRefusal]


class SuspenseResolution(Input):
    """What an operator found out about an item."""

    model_config = example(
        item="sus_019ab2c4d5e67f8091a2b3c4d5e6f708",
        resolved_as="payout",
        payout="po_019ab2c4d5e67f8091a2b3c4d5e6f708",
        by="operator@example.com",
        reason="the bank confirmed by telephone",
    )

    item: Annotated[str, Field(pattern="^sus_[0-9a-f]{32}$")]
    resolved_as: Target
    payout: Annotated[str, Field(pattern="^po_[0-9a-f]{32}$")] | None = None
    debit: Annotated[str, Field(pattern="^rd_[0-9a-f]{32}$")] | None = None
    connector: ShortText | None = None
    settlement: Annotated[str, Field(pattern="^acs_[0-9a-f]{32}$")] | None = None
    by: ShortText
    reason: ShortText


class SuspenseResolved(Object):
    """What became of an item; ``changed`` is false where it was so already."""

    object: Literal["suspense_resolution"] = "suspense_resolution"
    item: str
    resolved_as: str
    ledger_transaction: str | None
    changed: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    id: UUID
    livemode: bool
    amount: int
    currency: str
    booked_on: date
    opened_at: Time
    age_days: float
    bank_reference: str
    end_to_end_id: str | None
    description: str
    payout_id: UUID | None
    debit_id: UUID | None
    settlement_id: UUID | None
    receipt_id: UUID
    file: str
    statement_id: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class _Item(Open):
    resolved_as: str | None
    target: UUID | None
    connector: str | None
    resolution: UUID | None
    settlement_id: UUID | None


@dataclass(frozen=True, slots=True)
class _Order:
    amount: int
    currency: str
    status: str
    is_back: bool
    moved: bool


def find(tx: Transaction, query: SuspenseQuery) -> SuspenseList:
    """Return what is open."""
    of: dict[str, Any] = {"currency": query.currency, "livemode": query.livemode}
    shown = tx.rows(_Shown, _OPEN, **of, limit=MAX_SHOWN)
    return SuspenseList(
        total=tx.value(_HOW_MANY, **of),
        refused=late_refusals.waiting(tx, **of),
        data=[
            SuspenseItem(
                id=_SUSPENSE.write(each.id),
                livemode=each.livemode,
                amount=each.amount,
                currency=each.currency,
                booked_on=each.booked_on,
                opened_at=each.opened_at,
                age_days=round(each.age_days, 2),
                bank_reference=each.bank_reference,
                end_to_end_id=each.end_to_end_id,
                description=each.description,
                payout=_PAYOUT.write(each.payout_id) if each.payout_id else None,
                debit=_DEBIT.write(each.debit_id) if each.debit_id else None,
                settlement=_SETTLEMENT.write(each.settlement_id) if each.settlement_id else None,
                receipt=_RECEIPT.write(each.receipt_id),
                file=each.file,
                statement=each.statement_id,
                line=each.ordinal,
            )
            for each in shown
        ],
    )


def resolve(tx: Transaction, found: SuspenseResolution) -> SuspenseResolved:
    """Post what an operator found out; the same again changes nothing.

    Raises:
        ResourceMissing: There is no such item, or it was resolved otherwise.
        RequestInvalid: It is not what was found: another amount than the order's, an order that
            has moved this way on a statement already, a settlement that has been received, or more
            than rounding can be.
    """
    item = tx.row(_Item, _ITEM, id=_SUSPENSE.read(found.item))
    if item is None:
        raise errors.ResourceMissing(f"No suspense item {found.item}.")
    order_id = _order_id(found)
    settlement_id = _SETTLEMENT.read(found.settlement) if found.settlement else None
    if item.resolved_as is not None:
        was = (item.resolved_as, item.target, item.connector)
        if was != (found.resolved_as, order_id or settlement_id, found.connector):
            raise errors.ResourceMissing(f"{found.item} was resolved as {item.resolved_as}.")
        return _resolved(found, item.resolution, changed=False)
    _check_wanted(found)
    taker = _TAKERS.get(found.resolved_as)
    if taker is not None:
        _give(tx, item, taker, order_id, found)
    elif settlement_id is not None:
        _give_to_settlement(tx, item, settlement_id, found)
    else:
        _move(tx, item, found)
    faults.point("suspense.resolve.before_commit")
    observe.line("suspense.resolved", item=found.item, resolved_as=found.resolved_as, by=found.by)
    resolution = tx.value("SELECT resolution FROM suspense_items WHERE id = %(id)s", id=item.id)
    return _resolved(found, resolution, changed=True)


def _check_wanted(found: SuspenseResolution) -> None:
    """Refuse what is said beside the kind of resolution that it belongs to."""
    for name in get_args(Taker):
        if found.resolved_as != name and getattr(found, name) is not None:
            raise errors.RequestInvalid.of(
                name, "not_wanted", f"is not wanted: the item is no {name}'s"
            )
    for name in ("connector", "settlement"):
        if found.resolved_as != "acquirer" and getattr(found, name) is not None:
            raise errors.RequestInvalid.of(
                name, "not_wanted", "is not wanted: the item is no acquirer's"
            )


def _order_id(found: SuspenseResolution) -> UUID | None:
    """Return the payout or debit that was named, if one was."""
    if found.payout is not None:
        return _PAYOUT.read(found.payout)
    return _DEBIT.read(found.debit) if found.debit is not None else None


def _give(
    tx: Transaction, item: _Item, taker: Taker, order_id: UUID | None, found: SuspenseResolution
) -> None:
    """Say that a line is an order's, which hears it as if its bank had said it."""
    if item.settlement_id is not None:
        raise errors.RequestInvalid.of(taker, "difference", "takes no difference from a settlement")
    sign = 1 if item.amount > 0 else -1
    order = tx.row(
        _Order, _THE_ORDER, kind=_KINDS[taker], id=order_id, livemode=item.livemode, sign=sign
    )
    if order is None or order_id is None:
        raise errors.RequestInvalid.of(taker, "missing", f"is no {taker} of this mode")
    if (order.amount, order.currency) != (abs(item.amount), item.currency):
        raise errors.RequestInvalid.of(
            taker, "other_amount", "is of another amount or currency than the item"
        )
    if order.moved:
        raise errors.RequestInvalid.of(taker, "stated", "has moved this way on a statement already")
    if order.status not in (_MAY_COME_BACK if order.is_back else ("in_transit", *_MAY_COME_BACK)):
        raise errors.RequestInvalid.of(
            taker, "state", f"is {order.status} and does not take this line"
        )
    at = ids.now()
    tx.run(
        _SAY,
        id=ids.new(at),
        kind=_KINDS[taker],
        order=order_id,
        line=item.line_id,
        at=at,
        outcome="came_back" if order.is_back else "paid",
        failure_code="returned" if order.is_back else None,
    )
    bank_lines.give_to_order(tx, item, taker, order_id, by=found.by, reason=found.reason, at=at)


def _give_to_settlement(
    tx: Transaction, item: _Item, settlement_id: UUID, found: SuspenseResolution
) -> None:
    """Say that an item is what an acquirer said that it pays; a difference stays in suspense."""
    settlement = acquirer_settlements.lock(tx, settlement_id, livemode=item.livemode)
    if settlement is None or settlement.connector != found.connector:
        raise errors.RequestInvalid.of(
            "settlement", "missing", "is no settlement of this acquirer and mode"
        )
    if settlement.status != "expected":
        raise errors.RequestInvalid.of("settlement", "received", "has been received")
    if item.settlement_id is not None or item.amount < 0:
        raise errors.RequestInvalid.of(
            "settlement", "not_wanted", "is not wanted: the item is no payment"
        )
    if settlement.currency != item.currency:
        raise errors.RequestInvalid.of(
            "settlement", "other_currency", "is in another currency than the item"
        )
    acquirer_lines.give(tx, item, settlement, by=found.by, reason=found.reason, at=ids.now())


def _move(tx: Transaction, item: _Item, found: SuspenseResolution) -> None:
    """Post an item to the account of ours that it belongs on."""
    suspense_items.resolve(
        tx,
        item,
        suspense_items.moved_to(_chart(item, found), item.amount),
        resolved_as=found.resolved_as,
        connector=found.connector,
        by=found.by,
        reason=found.reason,
        at=ids.now(),
    )


def _chart(item: _Item, found: SuspenseResolution) -> Chart:
    if found.resolved_as == "acquirer":
        if found.connector not in ACQUIRER_RECEIVABLE:
            raise errors.RequestInvalid.of("connector", "unknown", "is no acquirer's")
        return ACQUIRER_RECEIVABLE[found.connector]
    if found.resolved_as == "rounding" and abs(item.amount) > 1:
        raise errors.RequestInvalid.of(
            "resolved_as", "too_much", "cannot be rounding: it is more than one unit"
        )
    return _CHARTS[found.resolved_as]


def _resolved(
    found: SuspenseResolution, resolution: UUID | None, *, changed: bool
) -> SuspenseResolved:
    return SuspenseResolved(
        item=found.item,
        resolved_as=found.resolved_as,
        ledger_transaction=ids.Prefix("ltx").write(resolution) if resolution else None,
        changed=changed,
    )


_SHOWN_OF: LiteralString = """
    WHERE resolved_at IS NULL
      AND (%(currency)s::text IS NULL OR item.currency = %(currency)s)
      AND (%(livemode)s::boolean IS NULL OR item.livemode = %(livemode)s)
"""

_HOW_MANY: LiteralString = "SELECT count(*) FROM suspense_items AS item" + _SHOWN_OF

_OPEN: LiteralString = (
    """
    SELECT item.id, item.livemode, item.amount, item.currency, booked_on, opened_at,
           (extract(epoch FROM now() - opened_at) / 86400)::double precision AS age_days,
           bank_reference, end_to_end_id, description, payout_id, debit_id, settlement_id,
           receipt_id, bank_receipts.name AS file, statement_id, ordinal
    FROM suspense_items AS item
    JOIN bank_lines ON bank_lines.id = line_id
    JOIN bank_receipts ON bank_receipts.id = receipt_id
    """
    + _SHOWN_OF
    + " ORDER BY opened_at, item.id LIMIT %(limit)s"
)

_ITEM = """
    SELECT item.id, line_id, ledger_transaction, item.livemode, item.currency, item.amount,
           booked_on, resolved_as, target, connector, resolution, settlement_id
    FROM suspense_items AS item JOIN bank_lines ON bank_lines.id = line_id
    WHERE item.id = %(id)s FOR NO KEY UPDATE OF item
"""

_THE_ORDER = """
    SELECT amount, currency, status, way <> %(sign)s AS is_back,
           EXISTS (SELECT FROM bank_lines
                   WHERE orders.id IN (payout_id, debit_id) AND outcome <> 'suspense'
                     AND sign(bank_lines.amount) = %(sign)s) AS moved
    FROM bank_orders AS orders
    WHERE (kind, id, livemode) = (%(kind)s, %(id)s, %(livemode)s) AND bank_file IS NOT NULL
"""

_SAY = """
    INSERT INTO bank_answers (merchant_id, livemode, id, payout_id, debit_id, receipt_id,
                              created_at, outcome, failure_code)
    SELECT orders.merchant_id, orders.livemode, %(id)s,
           CASE kind WHEN 'payout' THEN orders.id END,
           CASE kind WHEN 'recovery_debit' THEN orders.id END,
           receipt_id, %(at)s, %(outcome)s, %(failure_code)s
    FROM bank_orders AS orders JOIN bank_lines ON bank_lines.id = %(line)s
    WHERE (kind, orders.id) = (%(kind)s, %(order)s) AND orders.livemode = bank_lines.livemode
    ON CONFLICT DO NOTHING -- it was said before
"""
