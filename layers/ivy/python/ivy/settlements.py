"""Settlements: what became available to a merchant on one day, in one currency and mode.

A batch is closed by ``ivy.settlement_run``; this is what callers see of it. Its items are the
balance transactions of the charges whose day it was.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field, computed_field

from ivy import errors, ids, money, pages
from ivy.database import Transaction
from ivy.models import CurrencyCode, Object, Time, example

Status = Literal["closed"]


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


class Settlement(Object):
    """A day's charges of one currency, moved from pending to available in one batch."""

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
        version=1,
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
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


class SettlementQuery(pages.Page):
    """Which settlements to list."""

    currency: CurrencyCode | None = None


def get(tx: Transaction, settlement_id: UUID) -> Settlement:
    """Return one settlement of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such settlement in this mode.
    """
    found = tx.row(Settlement, _SELECT + " WHERE id = %(id)s", id=settlement_id)
    if found is None:
        raise errors.ResourceMissing(f"No settlement {ids.Prefix('stl').write(settlement_id)}.")
    return found


def page(tx: Transaction, query: SettlementQuery) -> pages.Listing[Settlement]:
    """Return one page of settlements, newest first."""
    lowest, below = query.bounds()
    found = tx.rows(
        Settlement,
        _SELECT
        + " WHERE id >= %(lowest)s AND id < %(below)s"
        + " AND (%(currency)s::text IS NULL OR currency = %(currency)s)"
        + " ORDER BY id DESC LIMIT %(limit)s + 1",
        lowest=lowest,
        below=below,
        currency=query.currency,
        limit=query.limit,
    )
    return pages.listing(Settlement, found, query.limit)


_SELECT: LiteralString = """
    SELECT id, livemode, created_at, settled_on, currency, status, charge_count,
           jsonb_build_object('charges', charges, 'fees', fees, 'refunds', refunds,
               'returns', returns, 'net', net, 'reserved', reserved,
               'available', net - reserved) AS totals,
           ledger_transaction, version
    FROM settlements
"""
