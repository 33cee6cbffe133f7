"""Payouts: what a merchant has available goes to its bank, with every entry that it consists of.

What changed the available balance since the payout before is in the next one: ``opening`` and the
items less the payout and its fee are ``closing``, which the next one opens with. Requests are in
``ivy.payout_requests``; what becomes of them at the bank is in ``ivy.payout_outcomes``.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from pydantic import Field, computed_field

from ivy import ids, money, objects, pages, states
from ivy.database import Tenant, Transaction
from ivy.ledger import Posting
from ivy.models import (
    AmountMinor,
    CurrencyCode,
    Flag,
    Input,
    LongText,
    Metadata,
    Object,
    Time,
    example,
)

Status = Literal[
    "requires_approval", "pending", "in_transit", "paid", "rejected", "canceled", "failed",
    "returned",
]  # fmt: skip


MAX_AMOUNT_MINOR = 9_999_999_999
"""The most that a transfer of ACH holds; what is above goes with another payout."""


class NewPayout(Input):
    """A payout to make."""

    model_config = example(
        amount=9680, currency="USD", bank_account="ba_019ab2c9b1c27d3e8f4a5b6c7d8e9f01"
    )

    amount: Annotated[
        Annotated[AmountMinor, Field(le=MAX_AMOUNT_MINOR)] | None,
        Field(description="All that is available, up to the most there is, when left out."),
    ] = None
    currency: CurrencyCode
    bank_account: Annotated[
        ids.BankAccountId | None,
        Field(description="The newest payable one in the currency when left out."),
    ] = None
    description: LongText | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    dry_run: Annotated[
        Flag, Field(description="Write nothing; answer with the entries it would post.")
    ] = False


class Decision(Input):
    """Nothing more to say about a payout than the path does."""

    model_config = example()


class Itemisation(Object):
    """Which entries a payout consists of: ``opening + items - payout - fee = closing``.

    Its items are the balance transactions with ``payout`` set to it.
    """

    opening: int
    item_count: int
    items: int
    closing: int


class Payout(Object):
    """Money on its way to a merchant's bank account, in minor units of ``currency``.

    ``itemisation`` is null until the money has left the balance, which approval may precede.
    """

    model_config = example(
        id="po_019ac2c9b1c27d3e8f4a5b6c7d8e9f02",
        object="payout",
        livemode=False,
        created_at="2026-11-27T10:00:00.000Z",
        amount=9680,
        fee=0,
        currency="USD",
        exponent=2,
        status="pending",
        bank_account="ba_019ab2c9b1c27d3e8f4a5b6c7d8e9f01",
        automatic=False,
        arrives_on=None,
        failure_code=None,
        description=None,
        metadata={},
        itemisation={"opening": 0, "item_count": 1, "items": 9680, "closing": 0},
        ledger_transaction="ltx_019ac2c9b1c27d3e8f4a5b6c7d8e9f03",
        version=1,
    )

    id: ids.PayoutId
    object: Literal["payout"] = "payout"
    livemode: bool
    created_at: Time
    amount: int
    fee: int = 0
    currency: str
    status: Status
    bank_account: ids.BankAccountId
    automatic: bool
    arrives_on: date | None = None
    failure_code: str | None = None
    description: str | None
    metadata: dict[str, str]
    itemisation: Itemisation | None = None
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


class PayoutQuery(pages.Page):
    """Which payouts to list."""

    of = "po"

    status: Status | None = None
    currency: CurrencyCode | None = None


def get(tx: Transaction, payout_id: UUID) -> Payout:
    """Return one payout of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such payout in this mode.
    """
    return objects.one(tx, Payout, _ONE, payout_id)


def lock(tx: Transaction, payout_id: UUID) -> Payout:
    """Return one payout that nobody else changes until the transaction ends.

    Raises:
        ResourceMissing: This merchant has no such payout in this mode.
    """
    return objects.one(tx, Payout, _ONE + " FOR NO KEY UPDATE", payout_id)


def changed(payout: Payout, **fields: Any) -> Payout:
    """Return a payout after a change, which counts its version."""
    return payout.model_copy(update={**fields, "version": payout.version + 1})


def save(
    tx: Transaction,
    tenant: Tenant,
    before: Payout,
    after: Payout,
    posting: Posting | None,
    *,
    at: datetime,
    decided_by: UUID | None = None,
) -> None:
    """Write a transition: the payout's row, its posting, its event."""
    tx.run(
        _UPDATE,
        id=after.id,
        status=after.status,
        version=after.version,
        arrives_on=after.arrives_on,
        failure_code=after.failure_code,
        decided_by=decided_by,
    )
    change = states.transition("payout", before.status, after.status)
    states.record(tx, tenant, change, after, at=at, posting=posting)


def page(tx: Transaction, query: PayoutQuery) -> pages.Listing[Payout]:
    """Return one page of payouts, newest first."""
    return pages.read(
        tx, Payout, _SELECT + " WHERE", query, {"status": query.status, "currency": query.currency}
    )


_SELECT: LiteralString = """
    SELECT id, livemode, created_at, amount, fee, currency, status,
           bank_account_id AS bank_account, scheduled_on IS NOT NULL AS automatic, arrives_on,
           failure_code, description, metadata, ledger_transaction, version,
           CASE WHEN closing IS NOT NULL THEN jsonb_build_object('opening', opening,
               'item_count', item_count, 'items', items, 'closing', closing) END AS itemisation
    FROM payouts
"""

_ONE: LiteralString = _SELECT + " WHERE id = %(id)s"

_UPDATE: LiteralString = """
    UPDATE payouts
    SET status = %(status)s, version = %(version)s, arrives_on = %(arrives_on)s,
        failure_code = %(failure_code)s, decided_by = coalesce(%(decided_by)s, decided_by)
    WHERE id = %(id)s
"""
