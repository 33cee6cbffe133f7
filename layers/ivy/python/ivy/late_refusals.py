"""Payouts that a bank refused after it had paid them, and debits after it had collected them.

A report says what became of a file; it moves no money. What it refuses before the money has left
is available again at once, or owed. Once it is paid, the money is the bank's until a line of a
statement shows it back, so the refusal waits for that line. Runs as ``ivy_jobs``.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from ivy import ids
from ivy.database import Transaction
from ivy.models import Object, Time

MAX_SHOWN = 200


class LateRefusal(Object):
    """A payout or debit that was carried out, then refused; no statement shows it back yet."""

    payout: ids.PayoutId | None
    debit: ids.RecoveryDebitId | None
    livemode: bool
    amount: int
    currency: str
    refused_at: Time
    age_days: float
    code: str
    failure_code: str
    receipt: Annotated[UUID, ids.Prefix("br")]
    file: str


def state(tx: Transaction) -> None:
    """Let refusals be carried out whose money has come back on a statement."""
    tx.run(_STATE)


def waiting(
    tx: Transaction, *, currency: str | None = None, livemode: bool | None = None
) -> list[LateRefusal]:
    """Return what waits for its line, the oldest first."""
    return tx.rows(LateRefusal, _WAITING, currency=currency, livemode=livemode, limit=MAX_SHOWN)


_STATE = """
    UPDATE bank_answers SET unstated = false
    WHERE unstated AND applied_at IS NULL
      AND EXISTS (SELECT FROM bank_lines AS line
                  WHERE (line.merchant_id, line.livemode, coalesce(line.payout_id, line.debit_id))
                      = (bank_answers.merchant_id, bank_answers.livemode,
                         coalesce(bank_answers.payout_id, bank_answers.debit_id))
                    AND (line.amount > 0) = (line.debit_id IS NULL))
"""

_WAITING = """
    SELECT said.payout_id AS payout, said.debit_id AS debit, orders.livemode, amount, currency,
           said.created_at AS refused_at,
           (extract(epoch FROM now() - said.created_at) / 86400)::double precision AS age_days,
           code, said.failure_code, receipt_id AS receipt, bank_receipts.name AS file
    FROM bank_answers AS said
    JOIN bank_orders AS orders ON (orders.merchant_id, orders.livemode, orders.id)
        = (said.merchant_id, said.livemode, coalesce(said.payout_id, said.debit_id))
    JOIN bank_receipts ON bank_receipts.id = receipt_id
    WHERE unstated AND applied_at IS NULL AND orders.status IN ('paid', 'collected')
      AND (%(currency)s::text IS NULL OR currency = %(currency)s)
      AND (%(livemode)s::boolean IS NULL OR orders.livemode = %(livemode)s)
    ORDER BY said.created_at, said.id LIMIT %(limit)s
"""
