"""The model written as the tables are."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from tests.simulation.model_gateway import Gateway
from tests.simulation.sandbox import number_of


def state_of(model: Gateway, tasks: dict[str, UUID]) -> dict[str, Any]:
    """Return the model's view of the tables, as ``Sandbox.state`` shows the tables themselves."""
    things = model.things
    return {
        "charges": {
            c.id: [
                c.merchant, c.status, c.version, c.captured, c.refunded, c.refund_pending,
                c.disputed, c.fee, c.fee_returned, c.failure, c.decline,
                c.available_on and c.available_on.isoformat(), milliseconds(c.capture_before),
            ]
            for c in model.charges.values()
        },
        "refunds": {
            r.id: [
                r.merchant, r.status, r.version, r.amount, r.reason, r.fee_returned, r.failure,
            ]
            for r in model.refunds.values()
        },
        "disputes": {
            d.id: [
                d.merchant, d.status, d.version, d.amount, d.fee, d.evidence,
                milliseconds(d.due_by),
            ]
            for d in model.disputes.values()
        },
        "work": {
            name: [
                str(tasks.get(name)), t.work.action, t.work.amount, t.work.sends,
                milliseconds(t.work.next_send), milliseconds(t.work.expected),
            ]
            for name, t in things.items()
            if t.work
        },
        "attempts": {name[3:]: t.attempts for name, t in things.items() if t.attempts},
        "books": {
            str((owner * 1000 + number_of(currency)) * 10_000 + code): amount
            for (owner, currency, code), amount in model.books.items()
            if amount
        },
        "settlements": {
            f"{merchant} {currency} {b.day}": [
                b.charges, b.fees, b.refunds, b.returns, b.net, b.kept, b.count,
            ]
            for (merchant, currency), batches in model.batches.items()
            for b in batches
        },
        "reserves": {
            f"{merchant} {currency} {b.day}": [
                b.kept, b.release_on.isoformat(), "released" if b.released else "held",
            ]
            for (merchant, currency), batches in model.batches.items()
            for b in batches
            if b.kept
        },
        "settled_through": {
            f"{merchant} {currency}": day.isoformat()
            for (merchant, currency), day in model.reached.items()
        },
        "postings": model.postings,
        "events": sum(thing.version for thing in things.values())
        + sum(batch.events for batches in model.batches.values() for batch in batches),
    }  # fmt: skip


def milliseconds(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
