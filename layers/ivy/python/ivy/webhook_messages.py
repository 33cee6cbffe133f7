"""The two messages between those who decide on deliveries and the one that makes them.

The sender knows no database: a ``Delivery`` holds all it needs except the secret, and an
``Attempted`` tells everything that came of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Delivery(BaseModel):
    """One attempt to make: ``body`` is signed and sent byte for byte, in UTF-8.

    Attributes:
        account: Whose event it is, such as ``1001-test``.
        event: The id that receivers see, the same over all attempts.
        number: Which attempt this is, counted from 1.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID
    account: str
    endpoint: UUID
    url: str
    event: str
    number: int
    body: str
    api_version: str


class Attempted(BaseModel):
    """What came of one attempt.

    Attributes:
        at: The second that was signed as ``webhook-timestamp``.
        outcome: ``delivered`` is a complete answer with a status of 2xx, and nothing else is.
        status_code: The status of the answer, also when its body did not end well.
        error: A short code, exactly when it failed; ``ivy.sender`` lists them.
        milliseconds: From looking up the address to the end of the answer.
        response: The beginning of the answer's body, at most 4,096 characters, fit to be shown.
        retry_after_seconds: How long the endpoint asks to be left alone, at most a day.
        gone: Whether the endpoint says that it will never be back (410).
    """

    model_config = ConfigDict(frozen=True)

    delivery: UUID
    account: str
    endpoint: UUID
    number: int
    at: datetime
    outcome: Literal["delivered", "failed"]
    status_code: int | None
    error: str | None
    milliseconds: int
    response: str | None
    retry_after_seconds: int | None
    gone: bool
