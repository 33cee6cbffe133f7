"""Reserves: what of a settlement is held back, and the day on which it becomes available."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import computed_field

from ivy import ids, money
from ivy.models import Object, Time, example


class Reserve(Object):
    """A part of one settlement that is held until ``release_on``, in minor units."""

    model_config = example(
        id="rsv_019ac2c4d5e67f8091a2b3c4d5e6f709",
        object="reserve",
        livemode=False,
        created_at="2026-11-27T00:05:00.000Z",
        settlement="stl_019ac2c4d5e67f8091a2b3c4d5e6f708",
        amount=1000,
        currency="USD",
        exponent=2,
        status="held",
        release_on="2027-02-25",
        ledger_transaction=None,
        version=1,
    )

    id: ids.ReserveId
    object: Literal["reserve"] = "reserve"
    livemode: bool
    created_at: Time
    settlement: ids.SettlementId
    amount: int
    currency: str
    status: Literal["held", "released"] = "held"
    release_on: date
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent
