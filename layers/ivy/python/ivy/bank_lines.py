"""Lines of statements in the books: of an order, a deposit, an acquirer's payment, or in suspense.

An order here is a payout or a recovery debit. Its own posting moves ``bank:client`` when the bank's
answer is carried out, which may be before its line comes or after. A line waits for that only as
long as it is promised; from then on it is either that posting's or in suspense. What is no order's
is posted at once: as what it is of a micro-deposit or of an acquirer's settlement, or to suspense.
Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, LiteralString, get_args
from uuid import UUID

from ivy import acquirer_lines, faults, micro_deposits, settlement_matching, suspense_items
from ivy.database import Transaction
from ivy.suspense_items import Open

MAX_LINES = 1_000
"""That one run looks at again; more wait for the next."""

Outcome = Literal["new", "payout", "debit", "suspense"]
Taker = Literal["payout", "debit"]
"""What a line can be the posting of, besides ours."""

_MOVED = ("paid", "collected", "returned")
"""States of orders that have moved the money; the last has moved it back as well."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that nothing is posted for; ``awaited`` when what it says is still to be carried out.

    ``is_back`` says that it moves against what its order asked for, and ``claimed`` that its order
    has moved this way on a statement already.
    """

    id: UUID
    livemode: bool
    currency: str
    amount: int
    booked_on: date
    order_id: UUID | None
    taker: Taker | None
    status: str | None
    is_back: bool | None
    bank_reference: str
    end_to_end_id: str | None
    description: str
    awaited: bool
    claimed: bool


@dataclass(frozen=True, slots=True)
class _Taken(Open):
    """An open item that turned out to be what an order has posted."""

    order_id: UUID
    taker: Taker


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two open items of one order, which sum to nothing."""

    one: UUID
    other: UUID


def place(tx: Transaction, at: datetime, receipt_id: UUID | None = None) -> int:
    """Give lines their place in the books, of one receipt or all; returns how many got one.

    What an order has not taken yet and still may, stays as it is for a later run.
    """
    limit = MAX_LINES if receipt_id is None else None
    deposits = micro_deposits.take_lines(tx, at, limit)
    lines = tx.rows(_Line, _NEW, receipt=receipt_id, limit=limit)
    outcomes = list(zip(lines, _outcomes(lines), strict=True))
    taken = 0
    for taker in get_args(Taker):
        of_it = [line.id for line, outcome in outcomes if outcome == taker]
        taken += len(of_it)
        if of_it:
            tx.run(_PLACE, ids=of_it, outcome=taker)
    others = [line for line, outcome in outcomes if outcome == "suspense"]
    _post(tx, others, at)
    faults.point("bank.lines.before_commit")
    return deposits + taken + len(others)


def look_again(tx: Transaction, at: datetime) -> int:
    """Do what has become possible: place lines that waited, and close what is made good.

    What came back may be on a statement before the bank says whose it was; its order then takes it
    out of suspense. What moved for an order that had failed, and came back, is two items that sum
    to nothing. What an acquirer paid may be there before it says so. Returns how many
    lines and items were dealt with.
    """
    done = place(tx, at) + acquirer_lines.give_late(tx, at, MAX_LINES)
    for item in tx.rows(_Taken, _CAME_BACK, limit=MAX_LINES):
        reason = f"the {item.taker} came back"
        give_to_order(tx, item, item.taker, item.order_id, by="ivy", reason=reason, at=at)
        done += 1
    for pair in tx.rows(_Pair, _OPPOSITES, limit=MAX_LINES):
        for item_id, target in ((pair.one, pair.other), (pair.other, pair.one)):
            suspense_items.close(tx, item_id, target, by="ivy", reason="it came back", at=at)
        done += 2
    faults.point("bank.lines.before_second_commit")
    return done


def oldest_open_days(tx: Transaction) -> float:
    """Return for how long a line of a statement has been in suspense, or nowhere; 0 if none is.

    A payout or debit that was refused after it was paid counts too: its line is missing.
    """
    found: float = tx.value(_OLDEST)
    return found


def give_to_order(
    tx: Transaction,
    item: Open,
    taker: Taker,
    order_id: UUID,
    *,
    by: str,
    reason: str,
    at: datetime,
) -> None:
    """Take an item out of suspense, because an order posts or has posted what its line says.

    The line is the order's at once, or waits until the bank's answer is carried out.
    """
    suspense_items.resolve(
        tx,
        item,
        (suspense_items.in_suspense(item.amount), suspense_items.in_bank(-item.amount)),
        target=order_id,
        resolved_as=taker,
        by=by,
        reason=reason,
        at=at,
    )
    tx.run(_GIVE[taker], line=item.line_id, order=order_id)
    place_one(tx, item.line_id, at)


def place_one(tx: Transaction, line_id: UUID, at: datetime) -> None:
    """Give one line its place, if that is known."""
    lines = tx.rows(_Line, _NEW_ONE, line=line_id)
    for line, outcome in zip(lines, _outcomes(lines), strict=True):
        if outcome == "suspense":
            _post(tx, [line], at)
        elif outcome != "new":
            tx.run(_PLACE, ids=[line.id], outcome=outcome)


def _outcomes(lines: Iterable[_Line]) -> list[Outcome]:
    """Return what becomes of lines; an order moves each way once."""
    moved: set[tuple[UUID | None, bool]] = set()
    outcomes: list[Outcome] = []
    for line in lines:
        way = (line.order_id, line.amount > 0)
        outcome = "suspense" if line.claimed or way in moved else _outcome(line)
        if outcome == line.taker:
            moved.add(way)
        outcomes.append(outcome)
    return outcomes


def _outcome(line: _Line) -> Outcome:
    if line.taker is None:
        return "suspense"
    if line.status in (("returned",) if line.is_back else _MOVED):
        return line.taker
    may_still = ("pending", "in_transit", *(_MOVED if line.is_back else ()))
    return "new" if line.awaited and line.status in may_still else "suspense"


def _post(tx: Transaction, lines: Iterable[_Line], at: datetime) -> None:
    """Post lines that are no order's: each is what an acquirer pays, or goes to suspense."""
    left = {line.id: line for line in lines}
    came = [line for line in left.values() if line.amount > 0 and line.order_id is None]
    for match in settlement_matching.matches(tx, came):
        acquirer_lines.receive(tx, left.pop(match.line), match, at)
    if left:
        suspense_items.open_each(tx, [*left.values()], at)
        tx.run(_PLACE, ids=[*left], outcome="suspense")


_ORDER_OF_LINE: LiteralString = """
    bank_orders AS orders
        ON (orders.merchant_id, orders.livemode, orders.id)
        = (line.merchant_id, line.livemode, coalesce(line.payout_id, line.debit_id))
"""

_TAKER: LiteralString = """
    CASE WHEN line.payout_id IS NOT NULL THEN 'payout'
         WHEN line.debit_id IS NOT NULL THEN 'debit' END AS taker
"""

_LINES: LiteralString = (
    """
    SELECT line.id, line.livemode, line.currency, line.amount, line.booked_on,
           orders.id AS order_id, orders.status, sign(line.amount) <> orders.way AS is_back,"""
    + _TAKER
    + """,
           line.bank_reference, line.end_to_end_id, line.description,
           EXISTS (SELECT FROM bank_answers
                   WHERE (bank_answers.merchant_id, bank_answers.livemode)
                       = (line.merchant_id, line.livemode)
                     AND orders.id IN (bank_answers.payout_id, bank_answers.debit_id)
                     AND applied_at IS NULL
                     AND bank_answers.outcome = CASE WHEN sign(line.amount) = orders.way
                                                     THEN 'paid' ELSE 'came_back' END) AS awaited,
           EXISTS (SELECT FROM bank_lines AS other
                   WHERE orders.id IN (other.payout_id, other.debit_id)
                     AND other.outcome IN ('payout', 'debit')
                     AND (other.amount > 0) = (line.amount > 0)) AS claimed
    FROM bank_lines AS line
    LEFT JOIN"""
    + _ORDER_OF_LINE
    + """
    WHERE line.outcome = 'new'
    """
)

_NEW: LiteralString = (
    _LINES
    + """
      AND (%(receipt)s::uuid IS NULL OR line.receipt_id = %(receipt)s)
    ORDER BY line.created_at, line.ordinal, line.id LIMIT %(limit)s
    FOR NO KEY UPDATE OF line SKIP LOCKED
    """
)

_NEW_ONE: LiteralString = _LINES + " AND line.id = %(line)s"

_PLACE = "UPDATE bank_lines SET outcome = %(outcome)s WHERE id = ANY(%(ids)s)"

_GIVE: Mapping[Taker, LiteralString] = {
    "payout": """
        UPDATE bank_lines
        SET (outcome, payout_id, merchant_id) = ('new', payouts.id, payouts.merchant_id)
        FROM payouts WHERE payouts.id = %(order)s AND bank_lines.id = %(line)s
          AND payouts.livemode = bank_lines.livemode
    """,
    "debit": """
        UPDATE bank_lines
        SET (outcome, debit_id, merchant_id)
            = ('new', recovery_debits.id, recovery_debits.merchant_id)
        FROM recovery_debits WHERE recovery_debits.id = %(order)s AND bank_lines.id = %(line)s
          AND recovery_debits.livemode = bank_lines.livemode
    """,
}

_CAME_BACK: LiteralString = (
    """
    SELECT item.id, line_id, item.ledger_transaction, item.livemode,
           item.currency, item.amount, booked_on, orders.id AS order_id, """
    + _TAKER
    + """
    FROM suspense_items AS item
    JOIN bank_lines AS line ON line.id = line_id
    JOIN"""
    + _ORDER_OF_LINE
    + """
    WHERE resolved_at IS NULL AND sign(item.amount) = -orders.way AND orders.status = 'returned'
      AND NOT EXISTS (SELECT FROM bank_lines AS other
                      WHERE orders.id IN (other.payout_id, other.debit_id)
                        AND other.outcome IN ('payout', 'debit')
                        AND sign(other.amount) = -orders.way)
      AND NOT EXISTS (SELECT FROM suspense_items AS older
                      JOIN bank_lines AS its ON its.id = older.line_id
                      WHERE orders.id IN (its.payout_id, its.debit_id)
                        AND older.resolved_at IS NULL
                        AND sign(older.amount) = -orders.way AND older.id < item.id)
    ORDER BY item.id LIMIT %(limit)s FOR NO KEY UPDATE OF item SKIP LOCKED
    """
)

_OPPOSITES: LiteralString = (
    """
    WITH open AS (
        SELECT item.id, orders.id AS order_id, item.amount,
               row_number() OVER (PARTITION BY orders.id, item.amount ORDER BY item.id) AS n
        FROM suspense_items AS item
        JOIN bank_lines AS line ON line.id = line_id
        JOIN"""
    + _ORDER_OF_LINE
    + """
        WHERE resolved_at IS NULL AND orders.status = 'failed')
    SELECT one.id AS one, other.id AS other
    FROM open AS debits
    JOIN open AS credits USING (order_id, n)
    JOIN suspense_items AS one ON one.id = debits.id
    JOIN suspense_items AS other ON other.id = credits.id
    WHERE debits.amount < 0 AND credits.amount = -debits.amount
      AND one.resolved_at IS NULL AND other.resolved_at IS NULL
    ORDER BY one.id LIMIT %(limit)s FOR NO KEY UPDATE OF one, other SKIP LOCKED
    """
)

_OLDEST = """
    SELECT coalesce(extract(epoch FROM now() - least(
        (SELECT min(opened_at) FROM suspense_items WHERE resolved_at IS NULL),
        (SELECT min(created_at) FROM bank_lines WHERE outcome = 'new'),
        (SELECT min(bank_answers.created_at)
         FROM bank_answers JOIN bank_orders AS orders USING (merchant_id, livemode)
         WHERE unstated AND applied_at IS NULL AND orders.id = coalesce(payout_id, debit_id)
           AND orders.status IN ('paid', 'collected')))) / 86400, 0)
        ::double precision
"""
