"""A webhook as it arrived, read and verified as any merchant would: with the official library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MAX_BODY_BYTES = 256 * 1024
"""More than any event has; what is longer is not Ivy's."""


def why_not_verified(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return why a delivery is not to be believed; empty when its signature is right."""
    from standardwebhooks import Webhook, WebhookVerificationError  # noqa: PLC0415 - few commands

    try:
        Webhook(secret).verify(body, dict(headers))
    except WebhookVerificationError as error:
        return str(error)
    except ValueError:  # a signature that is not base64, a body that is not text or not JSON
        return "Malformed signature or body"
    return ""


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery.

    Attributes:
        headers: By their names in lower case.
        refused: Why it is not to be believed; empty when it is verified.
    """

    headers: dict[str, str]
    body: bytes
    refused: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def event(self) -> dict[str, Any]:
        """The body, empty when it is not a JSON object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def subject(self) -> str:
        """The id of the object that the event is about; empty when there is none."""
        data = self.event.get("data")
        return str(data.get("id", "")) if isinstance(data, dict) else ""

    def line(self) -> str:
        """Return time, type, sequence, object and verdict, in columns."""
        event = self.event
        verdict = f"NOT VERIFIED: {self.refused}" if self.refused else "verified"
        return (
            f"{self.at.astimezone():%H:%M:%S}  {event.get('type', '?'):<22}"
            f"  #{event.get('sequence', '?'):<5} {self.subject or '-'}  {verdict}"
        )
