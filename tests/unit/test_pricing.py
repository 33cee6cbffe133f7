from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy import money, pricing
from ivy.connectors.simulated import INTERCHANGE


@pytest.mark.parametrize(
    ("currency", "amount", "fee", "cost"),
    [
        ("USD", 10_000, 320, 180),  # 100.00: 2.90 + 0.30, and 1.50 + 0.30
        ("USD", 50, 31, 31),  # 1.45 rounds to 1, 0.75 to 1
        ("EUR", 1_050, 60, 46),  # 30.45 rounds to 30, 15.75 to 16
        ("JPY", 10_000, 320, 180),
        ("KWD", 10_000, 590, 450),  # 10.000: 0.290 + 0.300, and 0.150 + 0.300
        ("KWD", 500, 315, 308),  # 14.5 rounds up to 15, 7.5 to 8
        ("USD", money.MAX_AMOUNT_MINOR, 29_000_000_030, 15_000_000_030),
    ],
)
def test_fee_and_cost(currency: str, amount: int, fee: int, cost: int) -> None:
    assert pricing.STANDARD.fee_minor(amount, money.currencies()[currency]) == fee
    assert INTERCHANGE.fee_minor(amount, money.currencies()[currency]) == cost


@given(
    st.sampled_from(sorted(money.currencies())),
    st.integers(1, money.MAX_AMOUNT_MINOR),
    st.integers(0, 1_000),
    st.integers(0, 500),
)
@settings(max_examples=300, deadline=None)
def test_a_fee_is_the_decimal_sum(code: str, amount: int, basis_points: int, cents: int) -> None:
    currency = money.currencies()[code]
    plan = pricing.FeePlan(basis_points, cents)
    percentage = (Decimal(amount) * basis_points / 10_000).quantize(Decimal(1), ROUND_HALF_UP)
    fixed = cents * {0: 1, 2: 1, 3: 10}[currency.exponent]
    assert plan.fee_minor(amount, currency) == int(percentage) + fixed


@pytest.mark.parametrize("code", sorted(money.currencies()))
def test_the_smallest_charge_leaves_the_merchant_something(code: str) -> None:
    currency = money.currencies()[code]
    assert pricing.STANDARD.fee_minor(currency.minimum_minor, currency) < currency.minimum_minor
