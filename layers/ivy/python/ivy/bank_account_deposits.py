"""What a bank account hears of its micro-deposits: that they were sent, or that one came back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ivy import bank_accounts, faults, outbox
from ivy.database import Transaction
from ivy.outbox import Task


@dataclass(frozen=True, slots=True)
class _Fate:
    """What has become of both deposits of an account."""

    arrive_on: date | None
    failure_code: str | None


def keep(tx: Transaction, task: Task) -> bool:
    """Tell an account what has become of its deposits; False where the task is about none.

    What it says may be told again: an account that has been verified, has failed or was deleted
    has nothing more to hear.
    """
    waits = tx.value(_WAITS, id=task.subject)
    if waits is None:
        return False
    if outbox.is_owed(tx, task):
        if waits:
            _tell(tx, task)
        tx.run(_TOLD, account=task.subject)
        outbox.settle(tx, task)
    faults.point("bank.accounts.before_commit")
    return True


def _tell(tx: Transaction, task: Task) -> None:
    account = bank_accounts.lock(tx, task.subject)
    fate = tx.row(_Fate, _FATE, account=account.id)
    assert fate is not None  # noqa: S101 - an aggregate returns one row
    at = tx.now()
    if account.verification.deposits_arrive_on is None and fate.arrive_on is not None:
        told = account.verification.model_copy(update={"deposits_arrive_on": fate.arrive_on})
        account = bank_accounts.change(tx, task.tenant, account, at, verification=told)
    if fate.failure_code is not None:
        failed = {"status": "verification_failed", "failure_code": fate.failure_code}
        bank_accounts.change(tx, task.tenant, account, at, **failed)


_WAITS = """
    SELECT status = 'pending_verification' FROM bank_accounts
    WHERE id = %(id)s FOR NO KEY UPDATE
"""

_TOLD = "UPDATE micro_deposits SET untold = false WHERE bank_account_id = %(account)s"

_FATE = """
    SELECT max(arrives_on) AS arrive_on, min(failure_code) AS failure_code
    FROM micro_deposits WHERE bank_account_id = %(account)s
"""
