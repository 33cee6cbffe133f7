from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from xml.etree.ElementTree import Element

import pytest
from defusedxml import ElementTree  # type: ignore[import-untyped]  # publishes no types
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ivy import money


def entries() -> list[Element]:
    """The standard itself, as published."""
    root = ElementTree.fromstring(files("iso4217").joinpath("table.xml").read_text("utf-8"))
    return [entry for entry in root.iter("CcyNtry") if entry.find("Ccy") is not None]


def test_the_table_is_the_standard_without_funds_metals_and_four_decimals() -> None:
    standard = {}
    for entry in entries():
        name = entry.find("CcyNm")
        decimals = entry.findtext("CcyMnrUnts")
        if name is not None and name.get("IsFund") is None and decimals in {"0", "2", "3"}:
            code = str(entry.findtext("Ccy"))
            standard[code] = (int(str(entry.findtext("CcyNbr"))), int(str(decimals)))
    assert len(standard) > 150
    assert standard == {c.code: (c.number, c.exponent) for c in money.currencies().values()}


def test_numbers_lead_back_to_codes() -> None:
    assert len(money.currency_codes()) == len(money.currencies())
    assert money.currency_codes()[840] == "USD"
    assert all(money.currency_codes()[c.number] == code for code, c in money.currencies().items())


@pytest.mark.parametrize(("code", "minimum"), [("USD", 50), ("JPY", 50), ("KWD", 500)])
def test_the_minimum_is_half_a_major_unit(code: str, minimum: int) -> None:
    assert money.currencies()[code].minimum_minor == minimum


@pytest.mark.parametrize(
    ("amount", "basis_points", "expected"),
    [(10_000, 290, 290), (50, 290, 1), (1, 5_000, 1), (1, 4_999, 0), (3, 5_000, 2), (0, 290, 0)],
)
def test_a_share_rounds_half_up(amount: int, basis_points: int, expected: int) -> None:
    assert money.share(amount, basis_points) == expected


@given(st.integers(0, money.MAX_AMOUNT_MINOR), st.integers(0, money.BASIS_POINTS))
@example(money.MAX_AMOUNT_MINOR, money.BASIS_POINTS)
@settings(max_examples=300, deadline=None)
def test_a_share_is_the_exact_decimal_rounded(amount: int, basis_points: int) -> None:
    exact = Decimal(amount) * Decimal(basis_points) / Decimal(10_000)
    share = money.share(amount, basis_points)
    assert share == int(exact.to_integral_value(ROUND_HALF_UP))
    assert 0 <= share <= amount
