"""Items in suspense: opened with the line that nobody has explained, and resolved once.

Each opening and each resolution is a posting of ours alone. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from ivy import ids, ledger
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Leg, Posting, PostingKind, credit, debit


class Unexplained(Protocol):
    """A line that is nobody's."""

    @property
    def id(self) -> UUID:
        """Which one."""

    @property
    def livemode(self) -> bool:
        """Its mode."""

    @property
    def currency(self) -> str:
        """Its currency."""

    @property
    def amount(self) -> int:
        """As on the statement, in minor units."""

    @property
    def booked_on(self) -> date:
        """The bank's day."""


@dataclass(frozen=True, slots=True)
class Open:
    """An open item, as its resolution needs it."""

    id: UUID
    line_id: UUID
    ledger_transaction: UUID
    livemode: bool
    currency: str
    amount: int
    booked_on: date


def open_each(tx: Transaction, lines: Sequence[Unexplained], at: datetime) -> None:
    """Post lines to suspense, one item each, on the day that the bank booked them."""
    postings = [
        (
            Tenant(ledger.OURS, line.livemode),
            Posting(
                id=ids.new(at),
                kind=PostingKind.SUSPENSE_OPENED,
                source=ids.new(at),
                currency=line.currency,
                legs=(in_bank(line.amount), in_suspense(-line.amount)),
                value_on=line.booked_on,
                recorded_at=at,
            ),
        )
        for line in lines
    ]
    ledger.post_all(tx, postings)
    tx.run(
        _OPEN,
        items=[posting.source for _, posting in postings],
        postings=[posting.id for _, posting in postings],
        lines=[line.id for line in lines],
    )


def open_difference(
    tx: Transaction,
    *,
    line: UUID,
    settlement: UUID,
    posting: UUID,
    amount: int,
    at: datetime,
) -> None:
    """Note what a line differs by from its settlement, which a posting has left in suspense."""
    tx.run(
        _OPEN_DIFFERENCE,
        id=ids.new(at),
        line=line,
        settlement=settlement,
        posting=posting,
        amount=amount,
    )


def resolve(
    tx: Transaction,
    item: Open,
    legs: tuple[Leg, ...],
    *,
    resolved_as: str,
    by: str,
    reason: str,
    at: datetime,
    target: UUID | None = None,
    connector: str | None = None,
) -> UUID:
    """Post what becomes of an item, as a correction of the day that its line was booked on.

    Returns the ledger transaction.
    """
    posting = Posting(
        id=ids.new(at),
        kind=PostingKind.SUSPENSE_RESOLVED,
        source=item.id,
        currency=item.currency,
        legs=legs,
        value_on=item.booked_on,
        recorded_at=at,
        reverses=item.ledger_transaction,
        reason=reason,
    )
    ledger.post(tx, Tenant(ledger.OURS, item.livemode), posting)
    tx.run(
        _RESOLVE, id=item.id, resolution=posting.id, target=target, resolved_as=resolved_as,
        by=by, reason=reason, at=at, connector=connector,
    )  # fmt: skip
    return posting.id


def close(
    tx: Transaction, item_id: UUID, other: UUID, *, by: str, reason: str, at: datetime
) -> None:
    """Close one of two items that sum to nothing: there is nothing to post."""
    tx.run(
        _RESOLVE, id=item_id, resolution=None, target=other, resolved_as="opposite", by=by,
        reason=reason, at=at, connector=None,
    )  # fmt: skip


def moved_to(chart: Chart, amount: int) -> tuple[Leg, ...]:
    """Return the legs that take an amount from suspense to another account of ours."""
    return in_suspense(amount), credit(chart, amount)


def in_suspense(amount: int) -> Leg:
    """Return the leg that an amount is taken out of suspense by; below zero puts it there."""
    return debit(Chart.SUSPENSE_BANK, amount)


def in_bank(amount: int) -> Leg:
    """Return the leg of a line on our account."""
    return debit(Chart.BANK_CLIENT, amount)


_OPEN = """
    INSERT INTO suspense_items (id, line_id, ledger_transaction, livemode, currency, amount,
                                opened_at)
    SELECT made.id, bank_lines.id, posting, livemode, currency, amount, now()
    FROM unnest(%(items)s::uuid[], %(postings)s::uuid[], %(lines)s::uuid[])
        AS made (id, posting, line)
    JOIN bank_lines ON bank_lines.id = line
"""

_OPEN_DIFFERENCE = """
    INSERT INTO suspense_items (id, line_id, ledger_transaction, settlement_id, livemode, currency,
                                amount, opened_at)
    SELECT %(id)s, bank_lines.id, %(posting)s, %(settlement)s, livemode, currency, %(amount)s, now()
    FROM bank_lines WHERE bank_lines.id = %(line)s
"""

_RESOLVE = """
    UPDATE suspense_items
    SET (resolution, target, resolved_at, resolved_as, resolved_by, reason, connector)
      = (%(resolution)s, %(target)s, %(at)s, %(resolved_as)s, %(by)s, %(reason)s, %(connector)s)
    WHERE id = %(id)s
"""
