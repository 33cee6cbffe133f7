"""Events: one row per change of state, written in the transaction of the change itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from ivy import ids
from ivy.database import Tenant, Transaction

EventType = Literal[
    "charge.pending",
    "charge.requires_action",
    "charge.authorized",
    "charge.captured",
    "charge.succeeded",
    "charge.failed",
    "charge.canceled",
    "charge.expired",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.succeeded",
    "refund.failed",
    "refund.canceled",
    "dispute.created",
    "dispute.updated",
    "dispute.funds_withdrawn",
    "dispute.funds_reinstated",
    "dispute.won",
    "dispute.lost",
]


class Announced(Protocol):
    """An object as a caller sees it."""

    def model_dump_json(self) -> str:
        """Return it as callers see it."""


def record(
    tx: Transaction,
    tenant: Tenant,
    *,
    event: EventType,
    subject: UUID,
    version: int,
    data: Announced,
    at: datetime,
    ledger_transaction: UUID | None = None,
) -> None:
    """Write the event that announces a change, and name the posting that the change made.

    The table accepts one event per version of an object, so a change cannot be announced twice
    and two changes cannot share an announcement. ``data`` is the object as the change left it.
    """
    tx.run(
        "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,"
        " ledger_transaction, created_at)"
        " VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(subject)s, %(version)s, %(event)s,"
        " %(data)s, %(ledger_transaction)s, %(at)s)",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=ids.new(at),
        subject=subject,
        version=version,
        event=event,
        data=data.model_dump_json(),
        ledger_transaction=ledger_transaction,
        at=at,
    )
