"""Settlements: what became available to a merchant on one day, in one currency and mode.

A batch is closed by ``ivy.settlement_run``; this is what callers see of it. Its items are the
balance transactions of the charges whose day it was, and what of them is held back;
``ivy.settlement_reports`` writes them down.

A batch is paid out when a payout is paid that its money is in: the payout that took the batch's
entry, or, when that one failed or came back, the one that took what it gave back, and so on. A bank
that gives a paid payout back makes its batches ``closed`` again.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field, computed_field

from ivy import ids, money, objects, pages, states
from ivy.database import Tenant, Transaction
from ivy.models import CurrencyCode, Object, Time, example
from ivy.states import Change

Status = Literal["closed", "paid_out"]


class SettlementTotals(Object):
    """A batch by category, in minor units; ``net`` is charges less all others but the reserve."""

    charges: int
    fees: int
    refunds: int
    returns: Annotated[
        int, Field(description="Bank debits that came back before the day, with their fees.")
    ]
    net: int
    reserved: Annotated[int, Field(description="What of `net` is held back for a time.")]
    available: Annotated[int, Field(description="`net` less `reserved`: what can be paid out.")]


class ReportFile(Object):
    """The file of a batch's items, written once: ``items_sha256`` is of the bytes of its CSV."""

    ready_at: Time
    item_count: int
    items_sha256: str
    size: Annotated[int, Field(description="Of the CSV, in bytes.")]


class Settlement(Object):
    """A day's charges of one currency, moved from pending to available in one batch.

    ``report`` is null for the moments until it is written. A batch that makes nothing available, or
    comes to nothing, has nothing to pay out, and stays ``closed``.
    """

    model_config = example(
        id="stl_019ac2c4d5e67f8091a2b3c4d5e6f708",
        object="settlement",
        livemode=False,
        created_at="2026-11-27T00:05:00.000Z",
        settled_on="2026-11-27",
        currency="USD",
        exponent=2,
        status="closed",
        charge_count=1,
        totals={
            "charges": 10000,
            "fees": 320,
            "refunds": 0,
            "returns": 0,
            "net": 9680,
            "reserved": 0,
            "available": 9680,
        },
        ledger_transaction="ltx_019ac2c4d7117a3c9e55d02f8b1c4e6a",
        report={
            "ready_at": "2026-11-27T00:05:02.000Z",
            "item_count": 1,
            "items_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "size": 356,
        },
        version=2,
    )

    id: ids.SettlementId
    object: Literal["settlement"] = "settlement"
    livemode: bool
    created_at: Time
    settled_on: date
    currency: str
    status: Status = "closed"
    charge_count: int
    totals: SettlementTotals
    ledger_transaction: ids.LedgerTransactionId | None
    report: ReportFile | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


class SettlementQuery(pages.Page):
    """Which settlements to list."""

    of = "stl"

    currency: CurrencyCode | None = None


def get(tx: Transaction, settlement_id: UUID) -> Settlement:
    """Return one settlement of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such settlement in this mode.
    """
    return objects.one(tx, Settlement, _SELECT + " WHERE id = %(id)s", settlement_id)


def page(tx: Transaction, query: SettlementQuery) -> pages.Listing[Settlement]:
    """Return one page of settlements, newest first."""
    return pages.read(tx, Settlement, _SELECT + " WHERE", query, {"currency": query.currency})


def lock(tx: Transaction, settlement_id: UUID) -> Settlement:
    """Return one settlement that nobody else changes until the transaction ends.

    Raises:
        ResourceMissing: This merchant has no such settlement in this mode.
    """
    one = _SELECT + " WHERE id = %(id)s FOR NO KEY UPDATE"
    return objects.one(tx, Settlement, one, settlement_id)


def paid_out(tx: Transaction, tenant: Tenant, payout_id: UUID) -> None:
    """Note that a payout was paid, and with it every batch whose money is in it."""
    _follow(tx, tenant, payout_id, "closed", "paid_out")


def came_back(tx: Transaction, tenant: Tenant, payout_id: UUID) -> None:
    """Note that a paid payout was given back, and with it every batch whose money was in it."""
    _follow(tx, tenant, payout_id, "paid_out", "closed")


def _follow(
    tx: Transaction, tenant: Tenant, payout_id: UUID, before: Status, after: Status
) -> None:
    """Take batches along with the payout that their money is in."""
    change, at = states.transition("settlement", before, after), tx.now()
    carried = tx.rows(Settlement, _CARRIED, payout=payout_id, status=before)
    changed = [
        each.model_copy(update={"status": after, "version": each.version + 1}) for each in carried
    ]
    tx.run(
        "UPDATE settlements SET status = %(status)s, version = version + 1 WHERE id = ANY(%(ids)s)",
        status=after,
        ids=[each.id for each in changed],
    )
    states.record_all(tx, [Change(tenant, change, each, at) for each in changed])


_SELECT: LiteralString = """
    SELECT id, livemode, created_at, settled_on, currency, status, charge_count,
           jsonb_build_object('charges', charges, 'fees', fees, 'refunds', refunds,
               'returns', returns, 'net', net, 'reserved', reserved,
               'available', net - reserved) AS totals,
           ledger_transaction, version,
           CASE WHEN reported_at IS NOT NULL THEN jsonb_build_object('ready_at', reported_at,
               'item_count', item_count, 'items_sha256', items_sha256, 'size', report_size)
           END AS report
    FROM settlements
"""

# Kinds 42 and 43 are what a payout gave back that failed or was returned.
_CARRIED: LiteralString = (
    """
    WITH RECURSIVE carried (payout) AS (
        SELECT %(payout)s::uuid
        UNION
        SELECT journal.source FROM carried
        JOIN payout_items ON payout_id = payout
        JOIN journal ON journal.id = payout_items.ledger_transaction AND kind IN (42, 43)
    )
    """
    + _SELECT
    + """
    WHERE status = %(status)s AND ledger_transaction IN (
        SELECT payout_items.ledger_transaction FROM carried
        JOIN payout_items ON payout_id = payout)
    ORDER BY id
    FOR NO KEY UPDATE
    """
)
