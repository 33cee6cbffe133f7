"""What is promised about orders, kept one by one: that a bank was told, and what it said.

Payouts and recovery debits hear what their bank says; a micro-deposit is its bank account's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from ivy import ids, outbox, payout_outcomes, payouts, recovery_debit_outcomes, recovery_debits
from ivy.bank_orders import Kind
from ivy.database import Tenant, Transaction
from ivy.outbox import Task
from ivy.payouts import Payout
from ivy.recovery_debits import RecoveryDebit

Order = Payout | RecoveryDebit


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What becomes of orders of one kind."""

    lock: Callable[[Transaction, UUID], Order]
    sent: Callable[[Transaction, Tenant, UUID, date], Order]
    carried_out: Callable[[Transaction, Tenant, UUID], Order]
    came_back: Callable[[Transaction, Tenant, UUID, str], Order]


_OUTCOMES: Mapping[Kind, _Outcomes] = {
    "payout": _Outcomes(
        payouts.lock, payout_outcomes.sent, payout_outcomes.paid, payout_outcomes.came_back
    ),
    "recovery_debit": _Outcomes(
        recovery_debits.lock,
        recovery_debit_outcomes.sent,
        recovery_debit_outcomes.collected,
        recovery_debit_outcomes.came_back,
    ),
}


@dataclass(frozen=True, slots=True)
class _Answer:
    id: UUID
    outcome: Literal["paid", "came_back"]
    failure_code: str | None
    unstated: bool


def keep(tx: Transaction, task: Task) -> Order | None:
    """Do what is promised about an order; None when it was done already.

    Raises:
        ResourceMissing: The task is about an order that its merchant does not have in its mode.
    """
    kind: Kind = tx.value(_KIND, id=task.subject) or "payout"
    outcomes = _OUTCOMES[kind]
    order = outcomes.lock(tx, task.subject)
    action = tx.value(_PROMISED, id=task.id, subject=task.subject)
    if action is None:
        return None
    if action == "submit" and (execute_on := tx.value(_EXECUTE_ON, id=order.id)) is not None:
        order = outcomes.sent(tx, task.tenant, order.id, execute_on)
    if order.status != "pending":
        order = _hear(tx, task, outcomes, order)
    outbox.settle(tx, task)
    return order


def _hear(tx: Transaction, task: Task, outcomes: _Outcomes, order: Order) -> Order:
    """Carry out what the bank has said: that it did it before that it came back.

    A report that it refuses what it has done gives nothing back: that waits for its line.
    """
    for answer in tx.rows(_Answer, _ANSWERS, order=order.id):
        if answer.failure_code is None:
            order = outcomes.carried_out(tx, task.tenant, order.id)
        elif answer.unstated and order.status in {"paid", "collected"}:
            continue
        else:
            order = outcomes.came_back(tx, task.tenant, order.id, answer.failure_code)
        tx.run(_APPLIED, id=answer.id, at=ids.now())
    return order


_KIND = """
    SELECT kind FROM bank_orders
    WHERE (merchant_id, livemode, id) = (current_merchant(), current_livemode(), %(id)s)
"""

_PROMISED = "SELECT action FROM outbox WHERE id = %(id)s AND subject = %(subject)s"

_EXECUTE_ON = """
    SELECT execute_on FROM bank_orders AS orders JOIN bank_files ON bank_files.id = bank_file
    WHERE (orders.merchant_id, orders.livemode, orders.id)
        = (current_merchant(), current_livemode(), %(id)s)
"""

_ANSWERS = """
    SELECT id, outcome, failure_code, unstated FROM bank_answers
    WHERE %(order)s IN (payout_id, debit_id) AND applied_at IS NULL
    ORDER BY outcome = 'came_back', id
"""

_APPLIED = "UPDATE bank_answers SET applied_at = %(at)s WHERE id = %(id)s"
