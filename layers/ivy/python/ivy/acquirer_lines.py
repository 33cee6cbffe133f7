"""Lines of statements that are what acquirers pay, posted against what those owe us.

Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ivy import acquirer_settlements, ids, ledger, suspense_items
from ivy.acquirer_settlements import Expected
from ivy.database import Tenant, Transaction
from ivy.ledger import ACQUIRER_RECEIVABLE, Posting, PostingKind, credit
from ivy.settlement_matching import Line, Match
from ivy.suspense_items import Open


@dataclass(frozen=True, slots=True)
class _Late(Open):
    """An open item that names a settlement which was not known when its line came."""

    settlement_id: UUID


def receive(tx: Transaction, line: Line, match: Match, at: datetime) -> None:
    """Post a line as the settlement that it is, on the day that the bank booked it.

    What it differs by is in suspense. Expects the settlement locked.
    """
    settlement = match.settlement
    posting = Posting(
        id=ids.new(at),
        kind=PostingKind.ACQUIRER_PAID,
        source=settlement.id,
        currency=line.currency,
        legs=(
            suspense_items.in_bank(line.amount),
            credit(ACQUIRER_RECEIVABLE[settlement.connector], settlement.net),
            suspense_items.in_suspense(settlement.net - line.amount),
        ),
        value_on=line.booked_on,
        recorded_at=at,
    )
    ledger.post(tx, Tenant(ledger.OURS, line.livemode), posting)
    tx.run("UPDATE bank_lines SET outcome = 'acquirer' WHERE id = %(id)s", id=line.id)
    acquirer_settlements.receive(tx, settlement, match.how, line=line.id, posting=posting.id, at=at)
    _keep_difference(tx, settlement, line.amount, line.id, posting.id, at=at)


def give(
    tx: Transaction, item: Open, settlement: Expected, *, by: str, reason: str, at: datetime
) -> None:
    """Take an item out of suspense, because it is what an acquirer said that it pays.

    What it differs by stays there, as an item of its own. Expects the settlement locked.
    """
    posting_id = suspense_items.resolve(
        tx,
        item,
        suspense_items.moved_to(ACQUIRER_RECEIVABLE[settlement.connector], settlement.net),
        target=settlement.id,
        resolved_as="acquirer",
        connector=settlement.connector,
        by=by,
        reason=reason,
        at=at,
    )
    acquirer_settlements.receive(
        tx, settlement, "resolved", line=item.line_id, posting=posting_id, at=at
    )
    _keep_difference(tx, settlement, item.amount, item.line_id, posting_id, at=at)


def give_late(tx: Transaction, at: datetime, limit: int) -> int:
    """Give open items to settlements that were said after their lines had come; returns how many.

    Only what names the settlement, has its amount, and can be no other.
    """
    late = tx.rows(_Late, _SAID_LATER, limit=limit)
    meant = Counter(each.id for each in late)
    done = 0
    for item in late:
        settlement = acquirer_settlements.lock(tx, item.settlement_id, livemode=item.livemode)
        if settlement is not None and settlement.status == "expected" and meant[item.id] == 1:
            give(tx, item, settlement, by="ivy", reason="the acquirer said it later", at=at)
            done += 1
    return done


def _keep_difference(
    tx: Transaction,
    settlement: Expected,
    amount: int,
    line_id: UUID,
    posting_id: UUID,
    *,
    at: datetime,
) -> None:
    if amount != settlement.net:
        suspense_items.open_difference(
            tx,
            line=line_id,
            settlement=settlement.id,
            posting=posting_id,
            amount=amount - settlement.net,
            at=at,
        )


_SAID_LATER = """
    SELECT item.id, item.line_id, item.ledger_transaction, item.livemode, item.currency,
           item.amount, booked_on, said.id AS settlement_id
    FROM suspense_items AS item
    JOIN bank_lines AS line ON line.id = item.line_id
    JOIN acquirer_settlements AS said
        ON (said.livemode, said.currency, said.net) = (item.livemode, item.currency, item.amount)
        AND said.reference IN (end_to_end_id, bank_reference)
    WHERE said.status = 'expected' AND resolved_at IS NULL AND settlement_id IS NULL
      AND num_nonnulls(payout_id, debit_id) = 0
    ORDER BY item.id LIMIT %(limit)s FOR NO KEY UPDATE OF item SKIP LOCKED
"""
