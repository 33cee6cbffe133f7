"""The beancount writer by itself: names that its grammar takes, amounts to the last unit."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from importlib.resources import files
from uuid import UUID

import pytest

from ivy.beancount import Balance, Transaction, account_name, journal

NAME = re.compile(r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+")
CHART = {
    int(code): name
    for code, name in re.findall(
        r"^    \((\d{3}), '([a-z_:]+)', '(?:debit|credit)'",
        files("ivy.schema").joinpath("0003_ledger.sql").read_text("utf-8"),
        re.MULTILINE,
    )
}
DAY = date(2026, 11, 24)


def transaction(*legs: tuple[int, int]) -> Transaction:
    padded: list[tuple[int | None, int | None]] = [*legs, *[(None, None)] * (4 - len(legs))]
    return Transaction(
        id=UUID(int=1),
        kind="charge.captured",
        source_prefix="ch",
        source=UUID(int=2),
        owner=1042,
        value_on=DAY,
        recorded_at=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
        accounts=[account for account, _ in padded],
        amounts=[amount for _, amount in padded],
    )


def written(rows: list[Transaction], balances: list[Balance] | None = None) -> list[str]:
    return list(journal("Books", CHART, rows, balances or []))


def test_every_account_of_the_chart_has_a_name_of_its_own() -> None:
    assert len(CHART) > 20
    names = [account_name(CHART, 8400000 + code) for code in CHART]
    assert len(set(names)) == len(CHART)
    assert all(NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (8400110, "Assets:Acquirer-Receivable:Simulated"),
        (10428400210, "Liabilities:Merchants:M1042:Pending"),
        (10428400240, "Liabilities:Merchants:M1042:Dispute-Hold"),
        (8400310, "Liabilities:Refunds-Payable"),
        (8400410, "Income:Processing"),
        (8400510, "Expenses:Processor"),
        (10428400910, "Equity:Memo:M1042:Auth"),
        (8400777, "Equity:Code-777"),
    ],
)
def test_names_say_what_the_number_says(account: int, name: str) -> None:
    assert account_name(CHART, account) == name


@pytest.mark.parametrize(
    ("currency", "amount", "text"),
    [
        (840, 1, "0.01 USD"),
        (840, -1, "-0.01 USD"),
        (840, 123456789012345678, "1234567890123456.78 USD"),
        (392, -1005, "-1005 JPY"),
        (414, 10505, "10.505 KWD"),
        (414, -5, "-0.005 KWD"),
    ],
)
def test_amounts_have_exactly_their_currencys_decimals(
    currency: int, amount: int, text: str
) -> None:
    base = currency * 10_000
    lines = written([transaction((base + 110, amount), (base + 410, -amount))])
    assert f"  Assets:Acquirer-Receivable:Simulated  {text}" in lines


def test_a_transaction_carries_its_ids() -> None:
    lines = written([transaction((8400110, 100), (10428400210, -97), (8400410, -3))])
    assert lines[-1] == ""
    source = f"ch_{2:032x}"
    assert lines[-10:-1] == [
        f'2026-11-24 * "charge.captured" "{source}" ^{source}',
        f'  ltx: "ltx_{1:032x}"',
        '  kind: "charge.captured"',
        f'  source: "{source}"',
        '  merchant: "1042"',
        '  recorded_at: "2026-11-24T09:30:00+00:00"',
        "  Assets:Acquirer-Receivable:Simulated  1.00 USD",
        "  Liabilities:Merchants:M1042:Pending  -0.97 USD",
        "  Income:Processing  -0.03 USD",
    ]


def test_a_balance_is_asserted_when_its_day_is_over_and_said_once() -> None:
    balance = Balance(8400110, DAY, 100)
    rows = [transaction((8400110, 100), (8400410, -100))]
    asserted = "2026-11-25 balance Assets:Acquirer-Receivable:Simulated 1.00 ~ 0 USD"
    assert written(rows, [balance, balance])[-1:] == [asserted]
    assert written(rows, [balance, balance]).count(asserted) == 1
    other = Balance(8400110, DAY, 101)
    assert len(written(rows, [balance, other])) == len(written(rows, [balance])) + 1


def test_accounts_are_opened_on_their_first_day_with_all_their_currencies() -> None:
    rows = [
        transaction((8400110, 1), (8400410, -1)),
        transaction((3920110, 1), (3920410, -1)),
    ]
    opened = [line for line in written(rows) if " open " in line]
    assert opened == [
        "2026-11-24 open Assets:Acquirer-Receivable:Simulated JPY,USD",
        "2026-11-24 open Income:Processing JPY,USD",
    ]
