"""Balances: what a merchant has, exact at the moment of asking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, LiteralString

from ivy import ledger, money
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart
from ivy.models import Object, Time, example


class CurrencyBalance(Object):
    """What a merchant has in one currency, in minor units."""

    currency: str
    exponent: int
    pending: int
    available: int
    reserved: int
    disputed: int
    in_transit: int


class Balance(Object):
    """A merchant's money in one mode, one line per currency it has ever held.

    ``pending`` is earned and not yet available; ``available`` can be paid out; ``reserved`` and
    ``disputed`` are held back; ``in_transit`` has left and is not confirmed by the bank.
    """

    model_config = example(
        object="balance",
        livemode=False,
        as_of="2026-11-24",
        known_at="2026-11-24T09:31:00.000Z",
        balances=[
            {
                "currency": "USD",
                "exponent": 2,
                "pending": 9680,
                "available": 0,
                "reserved": 0,
                "disputed": 0,
                "in_transit": 0,
            }
        ],
    )

    object: Literal["balance"] = "balance"
    livemode: bool
    as_of: date
    known_at: Time
    balances: list[CurrencyBalance]


@dataclass(frozen=True, slots=True)
class _AccountBalance:
    currency_number: int
    code: int
    amount: int


def balance(tx: Transaction, tenant: Tenant, known_at: datetime) -> Balance:
    """Return the merchant's balance, exact in the transaction's own view of the ledger."""
    accounts = ledger.account_range(tenant)
    rows = tx.rows(
        _AccountBalance,
        _BALANCE,
        owner=tenant.merchant_id,
        livemode=tenant.livemode,
        lowest=accounts.start,
        highest=accounts.stop - 1,
    )
    held: dict[str, dict[int, int]] = {}
    for row in rows:
        code = money.currency_codes()[row.currency_number]
        held.setdefault(code, {})[row.code] = -row.amount
    return Balance(
        livemode=tenant.livemode,
        as_of=known_at.date(),
        known_at=known_at,
        balances=[
            CurrencyBalance(
                currency=code,
                exponent=money.currencies()[code].exponent,
                pending=amounts.get(Chart.PENDING, 0),
                available=amounts.get(Chart.AVAILABLE, 0),
                reserved=amounts.get(Chart.RESERVE, 0),
                disputed=amounts.get(Chart.DISPUTE_HOLD, 0),
                in_transit=amounts.get(Chart.PAYOUTS_IN_TRANSIT, 0),
            )
            for code, amounts in sorted(held.items())
        ],
    )


_BALANCE: LiteralString = (
    "WITH"
    + ledger.TAIL
    + """, legs AS (
        SELECT number AS account, balance AS amount
        FROM accounts WHERE number / 1000 %% 10 = %(livemode)s::boolean::integer
        UNION ALL SELECT a1, v1 FROM tail
        UNION ALL SELECT a2, v2 FROM tail
        UNION ALL SELECT a3, v3 FROM tail
        UNION ALL SELECT a4, v4 FROM tail
    )
    SELECT (account / 10000 %% 1000)::integer AS currency_number,
           (account %% 1000)::integer AS code,
           sum(amount)::bigint AS amount
    FROM legs WHERE account BETWEEN %(lowest)s AND %(highest)s
    GROUP BY account
    """
)
