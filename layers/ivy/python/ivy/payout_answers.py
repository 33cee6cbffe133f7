"""What is promised about payouts, kept one by one: that a bank was told, and what it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from ivy import ids, outbox, payout_outcomes, payouts
from ivy.database import Transaction
from ivy.outbox import Task
from ivy.payouts import Payout


@dataclass(frozen=True, slots=True)
class _Answer:
    id: UUID
    outcome: Literal["paid", "came_back"]
    failure_code: str | None
    unstated: bool


def keep(tx: Transaction, task: Task) -> Payout | None:
    """Do what is promised about a payout; None when it was done already.

    Raises:
        ResourceMissing: The task is about a payout that its merchant does not have in its mode.
    """
    payout = payouts.lock(tx, task.subject)
    action = tx.value(_PROMISED, id=task.id, subject=task.subject)
    if action is None:
        return None
    if action == "submit" and (execute_on := _execute_on(tx, payout)) is not None:
        payout = payout_outcomes.sent(tx, task.tenant, payout.id, execute_on)
    if payout.status != "pending":
        payout = _hear(tx, task, payout)
    outbox.settle(tx, task)
    return payout


def _hear(tx: Transaction, task: Task, payout: Payout) -> Payout:
    """Carry out what the bank has said: that it paid before that it came back.

    A report that it refuses what it has paid gives nothing back: that waits for its line.
    """
    for answer in tx.rows(_Answer, _ANSWERS, payout=payout.id):
        if answer.failure_code is None:
            payout = payout_outcomes.paid(tx, task.tenant, payout.id)
        elif answer.unstated and payout.status == "paid":
            continue
        else:
            payout = payout_outcomes.came_back(tx, task.tenant, payout.id, answer.failure_code)
        tx.run(_APPLIED, id=answer.id, at=ids.now())
    return payout


def _execute_on(tx: Transaction, payout: Payout) -> date | None:
    found: date | None = tx.value(_EXECUTE_ON, id=payout.id)
    return found


_PROMISED = "SELECT action FROM outbox WHERE id = %(id)s AND subject = %(subject)s"

_EXECUTE_ON = """
    SELECT execute_on FROM payouts JOIN bank_files ON bank_files.id = bank_file
    WHERE payouts.id = %(id)s
"""

_ANSWERS = """
    SELECT id, outcome, failure_code, unstated FROM bank_answers
    WHERE payout_id = %(payout)s AND applied_at IS NULL
    ORDER BY outcome = 'came_back', id
"""

_APPLIED = "UPDATE bank_answers SET applied_at = %(at)s WHERE id = %(id)s"
