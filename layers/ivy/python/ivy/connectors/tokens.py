"""Which connector a payment method belongs to, and what the test tokens do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Method = Literal["card", "bank_debit"]

TEST_TOKENS: Mapping[str, str] = {
    "tok_visa": "succeeds",
    "tok_declined": "is declined",
    "tok_insufficient_funds": "is declined for lack of funds",
    "tok_expired_card": "is declined because the card has expired",
    "tok_processing_error": "fails at the acquirer",
    "tok_slow": "succeeds after two seconds",
    "tok_timeout": "succeeds, but the acquirer never answers: found out by asking again",
    "tok_duplicate": "succeeds, but the acquirer answers only when asked twice",
    "tok_capture_declined": "is authorised, and its capture is declined",
    "tok_refund_fails": "succeeds, and its refunds fail",
    "tok_requires_action": "waits until the payer has confirmed it",
    "tok_dispute": "succeeds, then is disputed",
    "tok_dispute_twice": "the same, and the acquirer says everything twice",
    "tok_ach": "bank debit: succeeds after three business days",
    "tok_ach_declined": "bank debit: refused after three business days",
    "tok_ach_r01": "bank debit: succeeds, is returned two business days later",
}
"""What the simulated acquirer knows, and what each token does."""

BANK_DEBIT_TOKENS = frozenset({"tok_ach", "tok_ach_declined", "tok_ach_r01"})


def connector_of(token: str) -> str | None:
    """Return the name of the connector that a token belongs to; None for a token of nobody."""
    if token in TEST_TOKENS:
        return "simulated"
    return "stripe" if token.startswith("pm_") else None


def method_of(token: str) -> Method:
    """Return how a token pays."""
    return "bank_debit" if token in BANK_DEBIT_TOKENS else "card"
