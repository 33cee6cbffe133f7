from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy import ledger, money
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Leg, Posting, PostingKind, credit, debit


def posting(*legs: Leg) -> Posting:
    return Posting(
        id=UUID(int=1),
        kind=PostingKind.CHARGE_CAPTURED,
        source=UUID(int=2),
        currency="USD",
        legs=legs,
        value_on=date(2026, 1, 1),
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Recorder:
    """Stands in for a transaction where only the parameters matter."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def run(self, _statement: str, **values: Any) -> None:
        self.values = values


def test_a_posting_out_of_balance_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="out of balance by 1"):
        posting(debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, 100), credit(Chart.PENDING, 99))


def test_a_posting_of_five_accounts_is_refused() -> None:
    charts = list(Chart)[:5]
    legs = [debit(charts[0], 4), *[credit(chart, 1) for chart in charts[1:]]]
    with pytest.raises(ValueError, match="has 5 legs"):
        ledger.post(cast("Transaction", Recorder()), Tenant(7, livemode=False), posting(*legs))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Chart.PENDING, Chart.AVAILABLE, Chart.INCOME_PROCESSING]),
            st.integers(-5, 5),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_legs_are_merged_by_account_and_zeros_left_out(moves: list[tuple[Chart, int]]) -> None:
    legs = [Leg(chart, amount) for chart, amount in moves]
    legs.append(credit(Chart.EXPENSE_PROCESSOR, sum(amount for _, amount in moves)))
    tx = Recorder()
    ledger.post(cast("Transaction", tx), Tenant(7, livemode=False), posting(*legs))
    written = {
        tx.values[f"a{n}"]: tx.values[f"v{n}"]
        for n in range(1, 5)
        if tx.values[f"a{n}"] is not None
    }
    expected: dict[int, int] = {}
    for leg in legs:
        number = ledger.account_number(leg.chart, "USD", Tenant(7, livemode=False))
        expected[number] = expected.get(number, 0) + leg.amount_minor
    assert written == {number: amount for number, amount in expected.items() if amount}


def test_an_account_number_says_everything() -> None:
    def number(chart: Chart, *, livemode: bool) -> int:
        return ledger.account_number(chart, "USD", Tenant(1042, livemode))

    assert number(Chart.PENDING, livemode=False) == 1042_840_0_210
    assert number(Chart.PENDING, livemode=True) == 1042_840_1_210
    assert number(Chart.INCOME_PROCESSING, livemode=False) == 840_0_410


def test_account_numbers_never_collide() -> None:
    numbers = [
        ledger.account_number(chart, currency, Tenant(merchant, livemode))
        for chart in ledger.MERCHANT_ACCOUNTS
        for currency in money.currencies()
        for merchant in (1, 2, 10)
        for livemode in (False, True)
    ]
    assert len(set(numbers)) == len(numbers)
