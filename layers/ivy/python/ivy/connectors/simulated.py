"""A simulated acquirer: what it answers depends on the test token alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivy.connectors import Approved, Authorization, Declined, Outcome
from ivy.pricing import FeePlan

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERCHANGE = FeePlan(basis_points=150, fixed_cents=30)
"""What this acquirer keeps: 1.5 % + 0.30."""

_DECLINES: Mapping[str, Declined] = {
    "tok_declined": Declined("card_declined", "generic_decline"),
    "tok_insufficient_funds": Declined("card_declined", "insufficient_funds"),
    "tok_expired_card": Declined("expired_card", "expired_card"),
    "tok_processing_error": Declined("processing_error"),
}


class SimulatedAcquirer:
    """Approves ``tok_visa``, declines the tokens named after a reason, and knows no others."""

    name = "simulated"

    def accepts(self, payment_method: str) -> bool:
        """Say whether a token is one of the test tokens."""
        return payment_method == "tok_visa" or payment_method in _DECLINES

    def authorize(self, request: Authorization) -> Outcome:
        """Answer as the token says. Keeps nothing, so the same question has the same answer."""
        declined = _DECLINES.get(request.payment_method)
        if declined is not None:
            return declined
        return Approved(
            reference=f"sim_{request.charge_id.hex}",
            cost_minor=INTERCHANGE.fee_minor(request.amount_minor, request.currency),
        )
