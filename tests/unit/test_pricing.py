from __future__ import annotations

import json
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ivy import money, pricing
from ivy.pricing import STANDARD, Plan, Rate, Tier

MINOR_PER_CENT = {"JPY": 1, "USD": 1, "KWD": 10}  # exponents 0, 2 and 3

currencies = st.sampled_from([money.currencies()[code] for code in MINOR_PER_CENT])
amounts = st.integers(0, money.MAX_AMOUNT_MINOR) | st.integers(0, 10_000)
cents = st.integers(0, 5_000)
basis_points = st.integers(0, 10_000)
prices = st.builds(Rate, basis_points=basis_points, fixed_cents=cents)


@st.composite
def tiered(draw: st.DrawFn) -> Rate:
    limits = sorted(draw(st.sets(st.integers(1, 10_000_000), max_size=4)))
    return Rate(
        tiers=tuple(
            Tier(up_to_cents=limit, basis_points=draw(basis_points), fixed_cents=draw(cents))
            for limit in [*limits, None]
        )
    )


def half_up(amount: int, points: int) -> int:
    return int((Decimal(amount) * points / 10_000).quantize(Decimal(1), ROUND_HALF_UP))


# -- the standard plan


@pytest.mark.parametrize(
    ("currency", "amount", "card", "bank_debit"),
    [
        ("USD", 10_000, 320, 80),  # 100.00: 2.90 + 0.30, and 0.80
        ("USD", 50, 31, 0),  # 1.45 rounds to 1, 0.40 to 0
        ("EUR", 1_050, 60, 8),  # 30.45 rounds to 30, 8.4 to 8
        ("USD", 62_499, 1_842, 500),  # 499.992 rounds to 500: the limit is met, not cut
        ("USD", 62_563, 1_844, 500),  # 500.504 is cut to 500
        ("USD", 1_000_000, 29_030, 500),
        ("JPY", 10_000, 320, 80),
        ("JPY", 1_000_000, 29_030, 500),
        ("KWD", 10_000, 590, 80),  # 10.000: 0.290 + 0.300, and 0.080
        ("KWD", 500, 315, 4),  # 14.5 rounds up to 15
        ("KWD", 1_000_000, 29_300, 5_000),
        ("USD", money.MAX_AMOUNT_MINOR, 29_000_000_030, 500),
        ("USD", 30, 30, 0),  # 31 would be more than there is
        ("USD", 1, 1, 0),
        ("USD", 0, 0, 0),
    ],
)
def test_what_a_charge_costs(currency: str, amount: int, card: int, bank_debit: int) -> None:
    found = money.currencies()[currency]
    assert STANDARD.fee_minor("card", amount, found) == card
    assert STANDARD.fee_minor("bank_debit", amount, found) == bank_debit


@pytest.mark.parametrize(
    ("currency", "dispute", "returned"),
    [("USD", 1_500, 400), ("JPY", 1_500, 400), ("KWD", 15_000, 4_000)],
)
def test_what_a_dispute_and_a_return_cost(currency: str, dispute: int, returned: int) -> None:
    assert STANDARD.dispute_fee_minor(money.currencies()[currency]) == dispute
    assert STANDARD.return_fee_minor(money.currencies()[currency]) == returned


@pytest.mark.parametrize("code", sorted(money.currencies()))
def test_the_smallest_charge_leaves_the_merchant_something(code: str) -> None:
    currency = money.currencies()[code]
    smallest = currency.minimum_minor
    assert STANDARD.fee_minor("card", smallest, currency) < smallest
    assert STANDARD.fee_minor("bank_debit", smallest, currency) < smallest


# -- rates


@given(prices, currencies, amounts)
def test_a_fee_is_the_percentage_and_the_fixed_part(
    rate: Rate, currency: money.Currency, amount: int
) -> None:
    fixed = rate.fixed_cents * MINOR_PER_CENT[currency.code]
    expected = min(amount, half_up(amount, rate.basis_points) + fixed)
    assert rate.fee_minor(amount, currency) == expected


@given(prices | tiered(), cents | st.none(), cents | st.none(), currencies, amounts)
def test_a_fee_keeps_its_limits_and_never_exceeds_the_amount(
    rate: Rate, least: int | None, most: int | None, currency: money.Currency, amount: int
) -> None:
    assume(least is None or most is None or least <= most)
    limited = rate.model_copy(update={"min_cents": least, "max_cents": most})
    fee = limited.fee_minor(amount, currency)
    per_cent = MINOR_PER_CENT[currency.code]
    assert 0 <= fee <= amount
    assert most is None or fee <= most * per_cent
    assert least is None or fee >= min(amount, least * per_cent)
    free = rate.fee_minor(amount, currency)
    within = (least is None or free >= least * per_cent) and (
        most is None or free <= most * per_cent
    )
    assert fee == free or not within


@given(tiered(), currencies, amounts)
def test_the_tier_an_amount_falls_in_prices_all_of_it(
    rate: Rate, currency: money.Currency, amount: int
) -> None:
    per_cent = MINOR_PER_CENT[currency.code]
    tier = next(
        tier
        for tier in rate.tiers
        if tier.up_to_cents is None or amount <= tier.up_to_cents * per_cent
    )
    price = Rate(basis_points=tier.basis_points, fixed_cents=tier.fixed_cents)
    assert rate.fee_minor(amount, currency) == price.fee_minor(amount, currency)


@pytest.mark.parametrize(
    ("currency", "limit"), [("USD", 100_000), ("JPY", 100_000), ("KWD", 1_000_000)]
)
def test_a_tier_includes_its_limit(currency: str, limit: int) -> None:
    rate = Rate(
        tiers=(
            Tier(up_to_cents=100_000, basis_points=300, fixed_cents=30),
            Tier(up_to_cents=None, basis_points=200),
        )
    )
    found = money.currencies()[currency]
    assert rate.fee_minor(limit, found) == limit * 3 // 100 + found.scaled(30)
    assert rate.fee_minor(limit + 100, found) == (limit + 100) * 2 // 100  # more, and yet less


@pytest.mark.parametrize("amount", [-1, -10_000])
def test_there_is_no_fee_on_a_negative_amount(amount: int) -> None:
    with pytest.raises(ValueError, match="no fee on"):
        STANDARD.fee_minor("card", amount, money.currencies()["USD"])


OPEN = {"up_to_cents": None, "basis_points": 100}
LOW = {"up_to_cents": 100, "basis_points": 200}
HIGH = {"up_to_cents": 200, "basis_points": 150}


@pytest.mark.parametrize(
    "terms",
    [
        {"basis_points": 2.9},
        {"basis_points": 290.0},
        {"basis_points": "290"},
        {"basis_points": True},
        {"basis_points": -1},
        {"basis_points": 10_001},
        {"fixed_cents": -1},
        {"fixed_cents": 0.3},
        {"min_cents": 2, "max_cents": 1},
        {"percent": 3},
        {"tiers": [LOW]},  # nothing for larger amounts
        {"tiers": [OPEN, LOW]},
        {"tiers": [OPEN, OPEN]},
        {"tiers": [HIGH, LOW, OPEN]},
        {"tiers": [LOW, LOW, OPEN]},
        {"tiers": [LOW, OPEN], "basis_points": 1},
        {"tiers": [LOW, OPEN], "fixed_cents": 1},
        {"tiers": [{"up_to_cents": 0, "basis_points": 1}, OPEN]},
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rate.model_validate(terms)


def test_a_rate_may_have_tiers_and_limits() -> None:
    rate = Rate.model_validate({"tiers": [LOW, HIGH, OPEN], "min_cents": 1, "max_cents": 1})
    assert rate.fee_minor(150, money.currencies()["USD"]) == 1


@given(prices | tiered(), prices, cents, cents, st.sampled_from(["none", "proportional"]))
def test_a_plan_survives_its_json(
    card: Rate, bank_debit: Rate, dispute: int, returned: int, fee_return: Any
) -> None:
    plan = Plan(
        code="custom",
        version=3,
        card=card,
        bank_debit=bank_debit,
        dispute_fee_cents=dispute,
        return_fee_cents=returned,
        fee_return=fee_return,
    )
    terms = json.loads(json.dumps(plan.model_dump(mode="json", exclude={"code", "version"})))
    assert Plan(code="custom", version=3, **terms) == plan


# -- what a refund gives back


@st.composite
def refunds(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A captured amount and the refunds that give all of it back, one after the other."""
    captured = draw(st.integers(1, 60) | st.integers(1, money.MAX_AMOUNT_MINOR))
    cuts = sorted(draw(st.sets(st.integers(1, captured), max_size=12)) | {captured})
    return captured, [after - before for before, after in pairwise([0, *cuts])]


@given(refunds(), st.data())
@settings(max_examples=400)
def test_a_fee_comes_back_in_parts_that_sum_to_it(
    made: tuple[int, list[int]], data: st.DataObject
) -> None:
    captured, steps = made
    fee = data.draw(st.integers(0, captured))
    refunded = returned = 0
    for step in steps:
        part = pricing.returned_fee(fee, captured, refunded, step, returned)
        refunded, returned = refunded + step, returned + part
        assert part >= 0
        assert abs(returned - Fraction(fee * refunded, captured)) <= Fraction(1, 2)
    assert (refunded, returned) == (captured, fee)


def test_the_last_refund_returns_the_exact_rest() -> None:
    parts: list[int] = []
    refunded = 0
    for step in (3_333, 3_333, 3_334):
        parts.append(pricing.returned_fee(320, 10_000, refunded, step, sum(parts)))
        refunded += step
    assert parts == [107, 106, 107]  # 106.656, 213.312 and 320 so far


def test_a_fee_that_came_back_too_early_is_made_up_for() -> None:
    """A refund that failed took its amount away again, but not the fee that came with it."""
    assert pricing.returned_fee(320, 10_000, 0, 5_000, 200) == 0
    assert pricing.returned_fee(320, 10_000, 5_000, 5_000, 200) == 120


@pytest.mark.parametrize(
    "numbers",
    [
        (320, 10_000, 5_000, 5_001, 160),
        (320, 10_000, 0, 0, 0),
        (320, 10_000, 0, -1, 0),
        (320, 10_000, -1, 1, 0),
        (320, 10_000, 0, 1, 321),
        (320, 10_000, 0, 1, -1),
        (0, 0, 0, 1, 0),
    ],
)
def test_impossible_refunds_are_refused(numbers: tuple[int, int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot"):
        pricing.returned_fee(*numbers)


# -- splits


@given(amounts, st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any))
def test_parts_sum_to_the_whole_and_are_fair(amount: int, weights: list[int]) -> None:
    parts = pricing.split(amount, weights)
    assert sum(parts) == amount
    assert len(parts) == len(weights)
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(amount * weight, sum(weights))
        assert abs(part - exact) < 1
        assert part == exact or exact.denominator > 1
    lost = [
        (part - amount * weight // sum(weights), Fraction(amount * weight, sum(weights)) % 1)
        for part, weight in zip(parts, weights, strict=True)
    ]
    rounded_up = [loss for up, loss in lost if up]
    rounded_down = [loss for up, loss in lost if not up]
    assert not rounded_up or not rounded_down or min(rounded_up) >= max(rounded_down)


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),  # of equals, the first
        (101, [1, 1, 1], [34, 34, 33]),
        (2, [1, 1, 1, 1], [1, 1, 0, 0]),
        (5, [3, 3, 3, 1], [2, 2, 1, 0]),  # 1.5 1.5 1.5 0.5: all have lost a half
        (10, [0, 1, 0, 2], [0, 3, 0, 7]),
        (0, [1, 2], [0, 0]),
        (7, [5], [7]),
    ],
)
def test_who_gets_what_is_left_over(amount: int, weights: list[int], parts: list[int]) -> None:
    assert pricing.split(amount, weights) == parts


@pytest.mark.parametrize(
    ("amount", "weights"), [(-1, [1]), (1, []), (1, [0, 0]), (1, [2, -1]), (1, [-1])]
)
def test_impossible_splits_are_refused(amount: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        pricing.split(amount, weights)
