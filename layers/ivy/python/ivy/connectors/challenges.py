"""What the payer of ``tok_requires_action`` is asked, and answers, on the acquirer's page.

The acquirer is simulated, and so is the page; a real one has its own, and Ivy no part in it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StrictBool, StringConstraints

from ivy import errors, ids
from ivy.connectors import remote
from ivy.models import Input, Object, Time, example
from ivy.settings import settings

Reference = Annotated[str, StringConstraints(pattern="^sim_[0-9a-f]{32}$")]
"""The simulated acquirer's own name of a payment."""

Status = Literal["open", "approved", "declined", "expired", "canceled"]


class Challenge(Object):
    """A payment that waits for its payer, or waited."""

    model_config = Object.model_config | example(
        object="challenge",
        reference="sim_019ab2c4d5e67f8091a2b3c4d5e6f708",
        amount=10_000,
        currency="USD",
        status="open",
        expires_at="2026-11-24T10:30:00.000Z",
    )

    object: Literal["challenge"] = "challenge"
    reference: str
    amount: int
    currency: str
    status: Status
    expires_at: Time


class Answer(Input):
    """What the payer says."""

    model_config = Input.model_config | example(approve=True)

    approve: StrictBool


def get(reference: str) -> Challenge:
    """Return a challenge by the acquirer's reference of the payment.

    Raises:
        ResourceMissing: No payment with this reference asks its payer for anything.
        Unavailable: The acquirer does not answer.
    """
    return _ask({"method": "challenge", "reference": reference})


def answer(reference: str, *, approve: bool) -> Challenge:
    """Hand in the payer's answer and return what it led to; the first answer counts.

    Raises:
        ResourceMissing: As ``get``.
        Unavailable: As ``get``.
    """
    return _ask({"method": "act", "reference": reference, "approve": approve})


def _ask(message: dict[str, Any]) -> Challenge:
    acquirer = settings().required("connectors")["simulated"]
    try:
        found = remote.invoke(acquirer, {**message, "at": ids.now().isoformat()})
    except remote.NoAnswerError as error:
        raise errors.Unavailable(retry_after_seconds=1) from error
    if found is None:
        raise errors.ResourceMissing
    return Challenge.model_validate(found)
