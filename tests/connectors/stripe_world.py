"""What happens to payments at the stand-in for Stripe without anybody asking its API."""

from __future__ import annotations

import time
from typing import Any

from tests.connectors.stripe_account import DAY, Object, StripeAccount


class StripeWorld(StripeAccount):
    """An account with payers and banks around it."""

    def confirm(self, name: str) -> None:
        """Be the payer, who confirms a payment on the bank's page."""
        intent = self.objects[name]
        intent["next_action"] = None
        self._charge(intent)

    def clear(self, name: str, *, failure: str | None = None) -> None:
        """Be the bank, which has decided about a debit."""
        intent = self.objects[name]
        if failure is None:
            intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
            return
        intent["status"] = "requires_payment_method"
        intent["last_payment_error"] = {"type": "card_error", "code": failure}

    def dispute(self, name: str, status: str = "needs_response", **more: Any) -> Object:
        """Be the payer, who disputes a payment."""
        intent = self.objects[name]
        dispute = self._add(
            "dispute",
            "du",
            **{
                "amount": intent["amount_received"],
                "balance_transactions": [],
                "charge": intent["latest_charge"],
                "currency": intent["currency"],
                "evidence": {"uncategorized_text": None},
                "evidence_details": {
                    "due_by": int(time.time()) + 10 * DAY,
                    "has_evidence": False,
                    "past_due": False,
                    "submission_count": 0,
                },
                "is_charge_refundable": False,
                "livemode": intent["livemode"],
                "metadata": {},
                "payment_intent": name,
                "reason": "fraudulent",
                "status": status,
                **more,
            },
        )
        self.happened("charge.dispute.created", dispute)
        if not status.startswith("warning"):
            self.happened("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def decide(self, dispute: Object, status: str) -> None:
        """Be the payer's bank."""
        dispute["status"] = status
        self.happened("charge.dispute.closed", dispute)
