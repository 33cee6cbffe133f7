"""Real deliveries, for whatever receives them: signed and sent by the product's own sender."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from ivy import sender
from ivy.egress import Target
from ivy.webhook_messages import Attempted, Delivery
from ivy.wire import Answer, Wire

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STRANGER = "whsec_" + "QkJC" * 16


def event(**changes: Any) -> dict[str, Any]:
    """Return what a delivery says."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "type": "charge.succeeded",
        "timestamp": "2026-11-24T16:04:05.678Z",
        "sequence": 12,
        "livemode": False,
        "api_version": "2026-12-01",
        "data": {"id": "ch_01a2056bd7ac770ba87b3e975fb595e3", "object": "charge", "version": 2},
    } | changes


def deliver(
    url: str, *secrets: str, said: dict[str, Any] | None = None, wire: Wire | None = None
) -> Attempted:
    """Send an event once; the machine must be told that it is local (``IVY_TARGET``)."""
    said = said or event()
    delivery = Delivery(
        id=uuid.uuid4(),
        account="1001-test",
        endpoint=uuid.uuid4(),
        url=url,
        event=said["id"],
        number=1,
        body=json.dumps(said, ensure_ascii=False),
        api_version="2026-12-01",
    )
    return sender.send(delivery, secrets or (SECRET,), wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering(Wire):
    """Changes what it sends, after it was signed."""

    before: bytes
    after: bytes

    def post(self, target: Target, headers: dict[str, str], body: bytes, answer: Answer) -> None:
        assert self.before in body
        Wire.post(self, target, headers, body.replace(self.before, self.after), answer)
