"""Balance states: on which side of zero what a merchant has available was last seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, computed_field

from ivy import ids, money
from ivy.database import Transaction
from ivy.models import Object, Time, example

Status = Literal["negative", "available"]


class BalanceState(Object):
    """What was available in one currency when it had crossed zero, in minor units.

    It is looked at every minute, so a balance that is below zero for less may not be announced.
    """

    model_config = example(
        id="bal_019ac2c4d5e67f8091a2b3c4d5e6f70a",
        object="balance_state",
        livemode=False,
        created_at="2026-11-30T00:06:00.000Z",
        currency="USD",
        exponent=2,
        status="negative",
        available=-11500,
        negative_since="2026-11-30T00:05:00.000Z",
        version=1,
    )

    id: ids.BalanceStateId
    object: Literal["balance_state"] = "balance_state"
    livemode: bool
    created_at: Time
    currency: str
    status: Status
    available: int
    negative_since: Annotated[
        Time | None, Field(description="When the entry was made that took it below zero.")
    ]
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


def lock(
    tx: Transaction, merchant_id: int, currency: str, *, livemode: bool
) -> BalanceState | None:
    """Return a state that nobody else changes until the transaction ends; None before the first."""
    return tx.row(
        BalanceState,
        "SELECT id, livemode, created_at, currency, status, available, negative_since, version"
        " FROM balance_states WHERE (merchant_id, livemode, currency)"
        " = (%(merchant_id)s, %(livemode)s, %(currency)s) FOR NO KEY UPDATE",
        merchant_id=merchant_id,
        livemode=livemode,
        currency=currency,
    )


def save(tx: Transaction, merchant_id: int, state: BalanceState) -> None:
    """Write a state; the first of a balance begins its row."""
    tx.run(
        _SAVE,
        merchant_id=merchant_id,
        **{name: getattr(state, name) for name in _KEPT},
    )


_KEPT: tuple[str, ...] = (
    *("id", "livemode", "created_at", "currency", "status", "available", "negative_since"),
    "version",
)

_SAVE = """
    INSERT INTO balance_states AS known (merchant_id, livemode, currency, id, available, created_at,
                                         negative_since, version, status)
    VALUES (%(merchant_id)s, %(livemode)s, %(currency)s, %(id)s, %(available)s, %(created_at)s,
            %(negative_since)s, %(version)s, %(status)s)
    ON CONFLICT (merchant_id, livemode, currency) DO UPDATE
    SET available = excluded.available, negative_since = excluded.negative_since,
        version = excluded.version, status = excluded.status
"""
