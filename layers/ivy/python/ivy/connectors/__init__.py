"""Connectors: how Ivy asks an acquirer to move money.

A connector is told our charge id and uses it as its own idempotency key, so asking twice about
one charge moves money once. It is never called inside an open transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from ivy.money import Currency


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an acquirer is asked: take this amount from this payment method, for this charge."""

    charge_id: UUID
    amount_minor: int
    currency: Currency
    payment_method: str


@dataclass(frozen=True, slots=True)
class Approved:
    """The acquirer will pay. ``cost_minor`` is what it keeps, in the charge's currency."""

    reference: str
    cost_minor: int


@dataclass(frozen=True, slots=True)
class Declined:
    """The acquirer will not pay.

    ``failure_code`` says which kind of failure (``card_declined``, ``processing_error``),
    ``decline_code`` the issuer's reason where there is one.
    """

    failure_code: str
    decline_code: str | None = None


Outcome = Approved | Declined


class Connector(Protocol):
    """One acquirer."""

    @property
    def name(self) -> str:
        """The name that accounts and attempts carry."""

    def accepts(self, payment_method: str) -> bool:
        """Say whether a token is one of this acquirer's, without asking it."""

    def authorize(self, request: Authorization) -> Outcome:
        """Ask for the money. Asking again with the same charge id returns the same outcome."""
