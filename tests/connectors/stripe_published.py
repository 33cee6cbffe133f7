"""What Stripe publishes about its API, as far as the connector is concerned."""

from __future__ import annotations

from collections.abc import Mapping

DECLINES: Mapping[str, tuple[str, str | None]] = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
}
CUSTOMERS = {"pm_saved": "cus_1", "pm_savedAuthenticationRequired": "cus_2"}
AUTHENTICATION = {"pm_card_authenticationRequired", "pm_savedAuthenticationRequired"}
BANK = {"pm_usBankAccount_success"}
TOKENS = {
    "pm_card_visa",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    *DECLINES,
    *CUSTOMERS,
    *AUTHENTICATION,
    *BANK,
}

PARAMETERS: Mapping[str, set[str]] = {
    "POST payment_intents": {
        *("amount", "currency", "payment_method", "automatic_payment_methods", "capture_method"),
        *("confirm", "metadata", "expand", "customer", "off_session", "return_url"),
        "error_on_requires_action",
    },
    "GET payment_intents/:id": {"expand"},
    "GET payment_intents/search": {"query", "expand", "limit", "page"},
    "POST payment_intents/:id/capture": {"amount_to_capture", "expand"},
    "POST payment_intents/:id/cancel": {"cancellation_reason", "expand"},
    "GET payment_methods/:id": {"expand"},
    "POST refunds": {"payment_intent", "amount", "metadata", "expand"},
    "GET refunds": {"payment_intent", "limit", "starting_after", "expand"},
    "GET disputes/:id": {"expand"},
    "POST disputes/:id": {"evidence", "submit", "metadata", "expand"},
    "POST disputes/:id/close": {"expand"},
    "GET events": {"types", "type", "created", "limit", "starting_after", "ending_before"},
}

ZERO_DECIMALS = {
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
}
THREE_DECIMALS = {"BHD", "JOD", "KWD", "OMR", "TND"}
TWO_DECIMALS_WITHOUT_ANY = {"ISK", "UGX"}
"""Whole amounts, yet counted in hundredths."""
