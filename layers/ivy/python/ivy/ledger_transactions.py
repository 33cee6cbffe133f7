"""Ledger transactions as anybody may check them: entries that sum to zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from ivy import errors, ids, money
from ivy.database import Tenant, Transaction
from ivy.ledger import Posting, currency_of, is_merchants, merged
from ivy.models import Object, Time, example


class Entry(Object):
    """One leg of a ledger transaction: a debit is positive, a credit negative."""

    account: str
    number: int
    direction: Literal["debit", "credit"]
    amount: int


class LedgerTransaction(Object):
    """One balanced transaction; its entries sum to zero."""

    model_config = example(
        id="ltx_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        object="ledger_transaction",
        livemode=False,
        created_at="2026-11-24T09:30:00.120Z",
        kind="charge.captured",
        source="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        currency="USD",
        exponent=2,
        value_on="2026-11-24",
        entries=[
            {
                "account": "acquirer_receivable:simulated",
                "number": 8400110,
                "direction": "debit",
                "amount": 9820,
            },
            {
                "account": "expense:processor",
                "number": 8400510,
                "direction": "debit",
                "amount": 180,
            },
            {
                "account": "income:processing",
                "number": 8400410,
                "direction": "credit",
                "amount": -320,
            },
            {
                "account": "merchant:pending",
                "number": 10018400210,
                "direction": "credit",
                "amount": -9680,
            },
        ],
    )

    id: ids.LedgerTransactionId
    object: Literal["ledger_transaction"] = "ledger_transaction"
    livemode: bool
    created_at: Time
    kind: str
    source: str
    currency: str
    exponent: int
    value_on: date
    entries: list[Entry]


class DryRun(Object):
    """What a request would post if the acquirer approved it. Nothing was written."""

    model_config = example(
        object="dry_run",
        livemode=False,
        kind="charge.captured",
        amount=10000,
        currency="USD",
        exponent=2,
        fee=320,
        net=9680,
        available_on="2026-11-27",
        entries=[
            {
                "account": "acquirer_receivable:simulated",
                "number": 8400110,
                "direction": "debit",
                "amount": 10000,
            },
            {
                "account": "merchant:pending",
                "number": 10018400210,
                "direction": "credit",
                "amount": -9680,
            },
            {
                "account": "income:processing",
                "number": 8400410,
                "direction": "credit",
                "amount": -320,
            },
        ],
    )

    object: Literal["dry_run"] = "dry_run"
    livemode: bool
    kind: str
    amount: int
    currency: str
    exponent: int
    fee: int | None = None
    net: int | None = None
    available_on: date | None = None
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class _Named:
    code: int
    name: str


def preview(tx: Transaction, tenant: Tenant, posting: Posting) -> list[Entry]:
    """Return the entries that a posting would make, largest debit first."""
    names = {row.code: row.name for row in tx.rows(_Named, "SELECT code, name FROM chart")}
    legs = [leg for legs in (posting.legs, posting.memo) for leg in merged(tenant, posting, legs)]
    return [
        _entry(number, names[number % 1000], amount)
        for number, amount in sorted(legs, key=lambda leg: (-leg[1], leg[0]))
    ]


def _entry(number: int, name: str, amount: int) -> Entry:
    return Entry(
        account=f"merchant:{name}" if is_merchants(number) else name,
        number=number,
        direction="debit" if amount > 0 else "credit",
        amount=amount,
    )


@dataclass(frozen=True, slots=True)
class _EntryRow:
    kind: str
    source_prefix: str
    source: UUID
    account: int
    account_name: str
    amount: int
    value_on: date
    recorded_at: datetime


def transaction(tx: Transaction, tenant: Tenant, ledger_transaction: UUID) -> LedgerTransaction:
    """Return one ledger transaction with its entries, largest debit first.

    Raises:
        ResourceMissing: This merchant has no such transaction in this mode.
    """
    rows = tx.rows(_EntryRow, _TRANSACTION, id=ledger_transaction)
    if not rows:
        raise errors.ResourceMissing(f"No ledger transaction {_written(ledger_transaction)}.")
    first = rows[0]
    currency = currency_of(first.account)
    return LedgerTransaction(
        id=ledger_transaction,
        livemode=tenant.livemode,
        created_at=first.recorded_at,
        kind=first.kind,
        source=ids.Prefix(first.source_prefix).write(first.source),
        currency=currency,
        exponent=money.currencies()[currency].exponent,
        value_on=first.value_on,
        entries=[_entry(row.account, row.account_name, row.amount) for row in rows],
    )


def _written(ledger_transaction: UUID) -> str:
    return ids.Prefix("ltx").write(ledger_transaction)


_TRANSACTION = """
    SELECT entries.kind, entries.source_prefix, entries.source, account, account_name, amount,
           entries.value_on, entries.recorded_at
    FROM journal
    JOIN posting_kinds ON posting_kinds.code = journal.kind
    JOIN entries ON entries.source = journal.source AND entries.kind = posting_kinds.name
    WHERE journal.id = %(id)s
    ORDER BY entries.part, amount DESC, account
"""
