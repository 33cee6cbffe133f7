"""What a story can be made of: terms, tokens, amounts, times, and ways to die."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

PLANS: list[list[dict[str, Any]]] = [
    [
        {
            "card": {"basis_points": 290, "fixed_cents": 30},
            "bank_debit": {"basis_points": 80, "max_cents": 500},
            "dispute_fee_cents": 1500,
            "return_fee_cents": 400,
            "fee_return": "none",
        }
    ],
    [
        {
            "card": {
                "min_cents": 35,
                "tiers": [
                    {"up_to_cents": 1000, "basis_points": 333, "fixed_cents": 5},
                    {"up_to_cents": None, "basis_points": 175, "fixed_cents": 25},
                ],
            },
            "bank_debit": {"basis_points": 55, "fixed_cents": 7},
            "dispute_fee_cents": 0,
            "return_fee_cents": 0,
            "fee_return": "proportional",
        },
        {
            "card": {"basis_points": 251, "fixed_cents": 11, "max_cents": 2000},
            "bank_debit": {"basis_points": 55},
            "dispute_fee_cents": 777,
            "return_fee_cents": 1,
            "fee_return": "proportional",
        },
    ],
]
"""What the two merchants pay, by version: a plan begins with its first."""

OVERDRAFT_CENTS = (0, 2000)
RESERVES = ((0, 90), (1_250, 5))
"""Of each merchant's batches, how many basis points of the charges are held, for how many days."""

TOKENS = (
    "tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_insufficient_funds",
    "tok_expired_card", "tok_processing_error", "tok_slow", "tok_timeout", "tok_timeout",
    "tok_duplicate", "tok_capture_declined", "tok_refund_fails", "tok_requires_action",
    "tok_requires_action", "tok_dispute", "tok_dispute", "tok_dispute", "tok_dispute",
    "tok_dispute_twice",
    "tok_ach", "tok_ach", "tok_ach_declined", "tok_ach_r01", "tok_ach_r01", "tok_ach_r01",
)  # fmt: skip
CURRENCIES = ("USD", "USD", "USD", "USD", "JPY", "KWD")
AMOUNTS = (
    50, 51, 99, 100, 150, 500, 999, 1000, 1001, 1234, 5000, 5001, 9999, 10_000, 10_000, 12_345,
    123_456, 7_000_001, 99_999_999_999,
)  # fmt: skip
WRONG_AMOUNTS = (0, -1, 1, 49, 499, 1_000_000_000_000)
"""Too small, in one currency at least, or too large."""

BEGINNINGS = (
    datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 58, tzinfo=UTC),
    datetime(2027, 6, 17, 12, 0, tzinfo=UTC),
    datetime(2028, 2, 28, 23, 59, 50, tzinfo=UTC),
    datetime(2026, 7, 4, 0, 0, tzinfo=UTC),
)
MOVES = (
    timedelta(seconds=40), timedelta(minutes=2), timedelta(minutes=61), timedelta(hours=13),
    timedelta(days=1), timedelta(days=4), timedelta(days=7), timedelta(days=8),
)  # fmt: skip

DAYS = st.integers(1, 6)
WHO = st.integers(0, 1)
YES = st.booleans()
SELDOM = st.sampled_from((False, False, False, True))
PARTS = st.sampled_from(("unsaid", "all", "half", "one", "most", "half", "most"))
WRONG_PARTS = st.sampled_from(("above", "zero", "huge"))
CURRENCY_SAID = st.sampled_from((None, None, None, None, "its own", "its own", "EUR"))
REQUEST_DEATHS = st.sampled_from(
    ("once.before_commit", "once.after_commit", "front.after_complete")
)
DEATHS = st.sampled_from((None, None, "begin", "before", "after", "commit"))
RELAY_DEATHS = st.sampled_from(("outbox.relay.before_commit", "outbox.relay.after_claim"))
SETTLING_DEATHS = st.sampled_from(
    (
        "settlements.run.before_send", "queues.after_send",
        "settlements.settle.after_lock", "settlements.settle.after_closing",
        "settlements.settle.before_commit", "settlements.settle.after_commit",
    )
)  # fmt: skip
NETWORK = st.lists(st.sampled_from(("ok", "lose_request", "lose_answer")), max_size=2)
EVIDENCE = st.sampled_from(("winning_evidence", "a letter"))
ALWAYS = {
    "charge": 4, "wait": 2, "balance": 1, "transactions": 1, "listing": 1, "get": 1,
    "relay": 2, "collect": 1, "roll_up": 1, "reprice": 1, "settle": 1,
}  # fmt: skip
"""What can happen at any time, and how often it should."""
