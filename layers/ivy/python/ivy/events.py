"""Events: one row per change of state, written in the transaction of the change itself."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from ivy import ids
from ivy.database import Tenant, Transaction
from ivy.models import Object

EventType = Literal["charge.pending", "charge.succeeded", "charge.failed"]


def record(
    tx: Transaction,
    tenant: Tenant,
    *,
    event: EventType,
    subject: UUID,
    version: int,
    data: Object,
    at: datetime,
) -> None:
    """Write the event that announces a change.

    The table accepts one event per version of an object, so a change cannot be announced twice
    and two changes cannot share an announcement. ``data`` is the object as the change left it.
    """
    tx.run(
        "INSERT INTO events"
        " (merchant_id, livemode, id, object_id, version, type, data, created_at)"
        " VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(subject)s, %(version)s, %(event)s,"
        " %(data)s, %(at)s)",
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=ids.new(at),
        subject=subject,
        version=version,
        event=event,
        data=data.model_dump_json(),
        at=at,
    )
