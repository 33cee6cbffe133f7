"""The books in beancount's language, so that another program can add them up again.

Rows in, lines out. Beancount, like the journal, writes debits positive and credits negative,
so every amount keeps its sign. An amount has all the decimals of its currency, and a balance is
asserted to the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from ivy import database, ledger, money
from ivy.ids import Prefix

_ROOTS = {
    1: "Assets",
    2: "Liabilities:Merchants",
    3: "Liabilities",
    4: "Income",
    5: "Expenses",
    9: "Equity:Memo",
}
"""What the hundreds of a code in the chart are to beancount."""

_SAID_BY_ROOT = ("income:", "expense:")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One row of the journal; legs that it does not have are None."""

    id: UUID
    kind: str
    source_prefix: str
    source: UUID
    owner: int
    value_on: date
    recorded_at: datetime
    accounts: list[int | None]
    amounts: list[int | None]

    def legs(self) -> Iterator[tuple[int, int]]:
        """Return account numbers and amounts in minor units."""
        for account, amount in zip(self.accounts, self.amounts, strict=True):
            if account is not None and amount is not None:
                yield account, amount


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account came to when a day ended, in minor units, debit positive."""

    account: int
    day: date
    amount: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What accounts came to when a journal begins, with transactions before it left out.

    Attributes:
        day: The journal's first.
        legs: Account numbers and amounts, which balance.
    """

    day: date
    legs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Named:
    code: int
    name: str


def chart(tx: database.Transaction) -> dict[int, str]:
    """Return the names of the accounts by their code."""
    return {row.code: row.name for row in tx.rows(_Named, "SELECT code, name FROM chart")}


def journal(
    title: str,
    names: Mapping[int, str],
    transactions: Iterable[Transaction],
    balances: Iterable[Balance],
    opening: Opening | None = None,
) -> Iterator[str]:
    """Return the lines of a beancount file.

    Args:
        title: What the books are called.
        names: Of the accounts by their code.
        transactions: In the order of their days, all of one mode.
        balances: What accounts came to by the ends of days; asserted, not computed here.
        opening: What there was before the first of them; nothing if left out.
    """
    rows = list(transactions)
    opened: dict[str, tuple[date, set[str]]] = {}
    before = [(opening.day, account) for account, _ in opening.legs] if opening else []
    for day, account in (*before, *((row.value_on, a) for row in rows for a, _ in row.legs())):
        since, currencies = opened.setdefault(account_name(names, account), (day, set()))
        opened[account_name(names, account)] = (
            min(since, day),
            currencies | {ledger.currency_of(account)},
        )
    yield f'option "title" "{title}"'
    for currency in sorted({code for _, codes in opened.values() for code in codes}):
        yield f'option "operating_currency" "{currency}"'
    yield ""
    for name, (since, currencies) in sorted(opened.items()):
        yield f"{since} open {name} {','.join(sorted(currencies))}"
    if opening and opening.legs:
        yield ""
        yield f'{opening.day} * "opening balance"'
        for account, minor in opening.legs:
            yield f"  {account_name(names, account)}  {_amount(account, minor)}"
    for row in rows:
        yield ""
        yield from _transaction(names, row)
    yield ""
    for balance in sorted(set(balances), key=lambda each: (each.day, each.account, each.amount)):
        name = account_name(names, balance.account)
        amount, currency = _amount(balance.account, balance.amount).split()
        next_day = balance.day + timedelta(days=1)  # beancount asserts at the start of a day
        yield f"{next_day} balance {name} {amount} ~ 0 {currency}"


def _transaction(names: Mapping[int, str], row: Transaction) -> Iterator[str]:
    source = Prefix(row.source_prefix).write(row.source)
    yield f'{row.value_on} * "{row.kind}" "{source}" ^{source}'
    yield f'  ltx: "{Prefix("ltx").write(row.id)}"'
    yield f'  kind: "{row.kind}"'
    yield f'  source: "{source}"'
    yield f'  merchant: "{row.owner}"'
    yield f'  recorded_at: "{row.recorded_at.astimezone(UTC).isoformat()}"'
    for account, amount in row.legs():
        yield f"  {account_name(names, account)}  {_amount(account, amount)}"


def account_name(names: Mapping[int, str], account: int) -> str:
    """Return beancount's name of an account, such as ``Liabilities:Merchants:M1042:Pending``."""
    code, owner = account % 1000, account // 10_000_000
    name = names.get(code, f"code_{code}")
    for prefix in _SAID_BY_ROOT:
        name = name.removeprefix(prefix)
    parts = [part.replace("_", "-").title() for part in name.split(":")]
    return ":".join([_ROOTS.get(code // 100, "Equity"), *([f"M{owner}"] if owner else []), *parts])


def _amount(account: int, amount_minor: int) -> str:
    """Return an amount with every decimal of its currency, made of integers only."""
    currency = money.currencies()[ledger.currency_of(account)]
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**currency.exponent)
    decimals = f".{part:0{currency.exponent}d}" if currency.exponent else ""
    return f"{sign}{whole}{decimals} {currency.code}"
