"""Reports of settlements: a batch's items in files, written once and never changed.

The CSV is the report, and its bytes are what ``items_sha256`` is of. Beside it are the same items
as JSON, and the batch's ledger transactions as a beancount journal, which asserts what they must
come to. What is in a batch does not change, so whoever dies and begins again writes the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from ivy import balance_transactions, beancount, errors, faults, ids, outbox, settlements, states
from ivy import report_files as files
from ivy.balance_transactions import BalanceTransaction, Category, Type
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, account_number
from ivy.models import Object, Time
from ivy.outbox import Task
from ivy.report_files import File, Form, UnbalancedError
from ivy.settlements import ReportFile, Settlement, SettlementTotals

RETRY_SECONDS = 5
"""When to ask again for a report that is not ready."""


class SettlementItem(Object):
    """One item of a settlement; ``created_at`` is when it happened, ``charge`` what it is about."""

    id: ids.BalanceTransactionId
    type: Type
    category: Category
    source: str
    charge: ids.ChargeId | None
    created_at: Time
    available_on: date
    currency: str
    exponent: int
    amount: int
    fee: int
    net: int
    ledger_transaction: ids.LedgerTransactionId


class SettlementReport(Object):
    """A settlement with its items, as JSON has it: ``net`` of all items is ``totals.available``."""

    object: Literal["settlement_report"] = "settlement_report"
    settlement: ids.SettlementId
    livemode: bool
    settled_on: date
    currency: str
    exponent: int
    totals: SettlementTotals
    item_count: int
    items_sha256: str
    items: list[SettlementItem]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report; the first is the CSV."""

    files: tuple[File, ...]
    item_count: int


def write(tx: Transaction, task: Task) -> Written | None:
    """Return the files of a promised report; None when the promise was kept.

    Raises:
        ResourceMissing: The task is about a settlement that its merchant does not have in its mode.
        UnbalancedError: The items do not come to what was settled.
    """
    settlement = settlements.get(tx, task.subject)
    if not outbox.is_owed(tx, task):
        return None
    items = _items(tx, settlement)
    _check(settlement, items)
    merchant = tx.value("SELECT public_id FROM merchants WHERE id = current_merchant()")
    name = ids.Prefix("stl").write(settlement.id)
    key = files.key(merchant, name, livemode=settlement.livemode)
    listing = File(f"{key}.csv", files.table(SettlementItem, items))
    written = SettlementReport(
        settlement=settlement.id,
        livemode=settlement.livemode,
        settled_on=settlement.settled_on,
        currency=settlement.currency,
        exponent=settlement.exponent,
        totals=settlement.totals,
        item_count=len(items),
        items_sha256=listing.sha256,
        items=items,
    )
    journal = "".join(f"{line}\n" for line in _journal(tx, task.tenant, settlement, items))
    return Written(
        (
            listing,
            File(f"{key}.json", written.model_dump_json().encode()),
            File(f"{key}.beancount", journal.encode()),
        ),
        len(items),
    )


def ready(tx: Transaction, task: Task, written: Written) -> Settlement | None:
    """Note that the files of a report are there, and announce it; None when that was done."""
    settlement = settlements.lock(tx, task.subject)
    if not outbox.is_owed(tx, task):
        return None
    listing, at = written.files[0], tx.now()
    file = ReportFile(
        ready_at=at,
        item_count=written.item_count,
        items_sha256=listing.sha256,
        size=len(listing.content),
    )
    after = settlement.model_copy(update={"report": file, "version": settlement.version + 1})
    tx.run(
        _READY,
        id=after.id,
        version=after.version,
        key=listing.key,
        size=file.size,
        sha256=file.items_sha256,
        item_count=file.item_count,
        at=at,
    )
    change = states.transition("settlement", settlement.status, after.status)
    states.record(tx, task.tenant, change, after, at=at)
    outbox.settle(tx, task)
    faults.point("settlements.itemise.before_commit")
    return after


def where(tx: Transaction, settlement_id: UUID, form: Form) -> str:
    """Return the key of a settlement's report in one of its forms.

    Raises:
        ResourceMissing: This merchant has no such settlement in this mode.
        SettlementReportNotReady: It is not written yet.
    """
    settlements.get(tx, settlement_id)
    key = tx.value("SELECT report_key FROM settlements WHERE id = %(id)s", id=settlement_id)
    if key is None:
        raise errors.SettlementReportNotReady(retry_after_seconds=RETRY_SECONDS)
    return f"{key.removesuffix('.csv')}.{form}"


def _check(settlement: Settlement, items: list[SettlementItem]) -> None:
    """Refuse to write what does not add up: nobody would look for the mistake in a report."""
    total = sum(item.net for item in items)
    charged = sum(item.amount for item in items if item.type == "charge")
    if (total, charged) != (settlement.totals.available, settlement.totals.charges):
        raise UnbalancedError(
            f"the items of {ids.Prefix('stl').write(settlement.id)} come to {total} of {charged}"
            f" charged, not to {settlement.totals.available} of {settlement.totals.charges}"
        )


@dataclass(frozen=True, slots=True)
class _Refunded:
    refund: UUID
    charge: UUID


def _items(tx: Transaction, settlement: Settlement) -> list[SettlementItem]:
    charges = {
        ids.Prefix("re").write(row.refund): row.charge
        for row in tx.rows(_Refunded, _REFUNDED, id=settlement.id)
    }
    return [_item(each, charges) for each in balance_transactions.of_settlement(tx, settlement.id)]


def _item(each: BalanceTransaction, charges: dict[str, UUID]) -> SettlementItem:
    prefix, _, digits = each.source.partition("_")
    return SettlementItem(
        id=each.id,
        type=each.type,
        category=each.category,
        source=each.source,
        charge=UUID(hex=digits) if prefix == "ch" else charges.get(each.source),
        created_at=each.created_at,
        available_on=each.available_on,
        currency=each.currency,
        exponent=each.exponent,
        amount=each.amount,
        fee=each.fee,
        net=each.net,
        ledger_transaction=each.ledger_transaction,
    )


def _journal(
    tx: Transaction, tenant: Tenant, settlement: Settlement, items: list[SettlementItem]
) -> list[str]:
    """Return a journal of the batch alone, which asserts that all was settled, and as what."""
    wanted = {item.ledger_transaction for item in items}
    if settlement.ledger_transaction is not None:
        wanted.add(settlement.ledger_transaction)
    rows = tx.rows(beancount.Transaction, _JOURNAL, wanted=sorted(wanted))
    last = max(row.value_on for row in rows)
    totals = settlement.totals
    owed = {Chart.AVAILABLE: totals.available, Chart.RESERVE: totals.reserved}
    touched = {account for row in rows for account in row.accounts}
    balances = [
        beancount.Balance(account, last, -amount)
        for chart, amount in ((Chart.PENDING, 0), *owed.items())
        if (account := account_number(chart, settlement.currency, tenant)) in touched or amount
    ]
    mode = "live" if settlement.livemode else "test"
    title = f"Ivy, {mode} mode, {ids.Prefix('stl').write(settlement.id)}"
    return list(beancount.journal(title, beancount.chart(tx), rows, balances))


_REFUNDED = """
    SELECT refunds.id AS refund, charge_id AS charge
    FROM settlements
    JOIN charges ON charges.currency = settlements.currency AND available_on = settled_on
    JOIN refunds ON charge_id = charges.id
    WHERE settlements.id = %(id)s
"""

_JOURNAL = """
    SELECT id, name AS kind, source_prefix, source, owner, value_on, recorded_at,
           ARRAY[a1, a2, a3, a4] AS accounts, ARRAY[v1, v2, v3, v4] AS amounts
    FROM journal JOIN posting_kinds ON code = kind
    WHERE id = ANY(%(wanted)s)
    ORDER BY value_on, id
"""

_READY = """
    UPDATE settlements
    SET version = %(version)s, report_key = %(key)s, report_size = %(size)s,
        items_sha256 = %(sha256)s, item_count = %(item_count)s, reported_at = %(at)s
    WHERE id = %(id)s
"""
