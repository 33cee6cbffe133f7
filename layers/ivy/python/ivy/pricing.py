"""What merchants pay: fee plans, what of a fee a refund gives back, and splits that add up.

Plans are written in cents, once for every currency: a fixed part of 30 is 0.30 where there are two
decimals, 30 yen where there are none, 0.300 where there are three. Only integers and Decimal touch
money here, and every rounding is half up to the minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ivy.database import Transaction
from ivy.money import BASIS_POINTS, Currency, share

Method = Literal["card", "bank_debit"]

BasisPoints = Annotated[int, Field(strict=True, ge=0, le=BASIS_POINTS)]
Cents = Annotated[int, Field(strict=True, ge=0)]


class _Terms(BaseModel):
    """A part of a plan. What it does not know is an error: nobody guesses at a price."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Terms):
    """The price of amounts up to and including ``up_to_cents``; None has no upper end."""

    up_to_cents: Annotated[int, Field(strict=True, ge=1)] | None
    basis_points: BasisPoints
    fixed_cents: Cents = 0


class Rate(_Terms):
    """The price of one way to pay: a percentage and a fixed part, within limits.

    Instead of one price a rate may have tiers. The tier that an amount falls in prices the whole
    amount, not only what exceeds the tier below; so an amount just above a limit can cost less
    than one just below it.
    """

    basis_points: BasisPoints = 0
    fixed_cents: Cents = 0
    min_cents: Cents | None = None
    max_cents: Cents | None = None
    tiers: tuple[Tier, ...] = ()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        least, most = self.min_cents, self.max_cents
        if least is not None and most is not None and least > most:
            raise ValueError("the minimum is above the maximum")
        if not self.tiers:
            return self
        if self.basis_points or self.fixed_cents:
            raise ValueError("a rate has one price or tiers, not both")
        *limits, last = [tier.up_to_cents for tier in self.tiers]
        closed = [limit for limit in limits if limit is not None]
        if last is not None or len(closed) < len(limits):
            raise ValueError("the last tier, and no other, is without an upper end")
        if closed != sorted(set(closed)):
            raise ValueError("each tier must end above the one before")
        return self

    def fee_minor(self, amount_minor: int, currency: Currency) -> int:
        """Return the fee on an amount, in minor units; never more than the amount.

        A fee is taken out of the money it is charged on. Without the cap the smallest payments
        would leave a merchant owing for having been paid.
        """
        if amount_minor < 0:
            raise ValueError(f"no fee on {amount_minor}")
        basis_points, fixed_cents = self._price(amount_minor, currency)
        fee = share(amount_minor, basis_points) + currency.scaled(fixed_cents)
        if self.min_cents is not None:
            fee = max(fee, currency.scaled(self.min_cents))
        if self.max_cents is not None:
            fee = min(fee, currency.scaled(self.max_cents))
        return min(fee, amount_minor)

    def _price(self, amount_minor: int, currency: Currency) -> tuple[int, int]:
        for tier in self.tiers:
            limit = tier.up_to_cents
            if limit is None or amount_minor <= currency.scaled(limit):
                return tier.basis_points, tier.fixed_cents
        return self.basis_points, self.fixed_cents


class Plan(_Terms):
    """One version of a price list. A version never changes: a new price is a new version.

    Attributes:
        code: Names the plan.
        version: Counts from 1; a charge keeps the version it was made under.
        card: What a card payment costs.
        bank_debit: What a bank debit costs.
        dispute_fee_cents: What a dispute costs.
        return_fee_cents: What a returned bank debit costs.
        payout_fee_cents: What a payout costs.
        fee_return: Whether a refund gives its part of the charge's fee back.
    """

    code: str
    version: Annotated[int, Field(strict=True, ge=1)]
    card: Rate
    bank_debit: Rate
    dispute_fee_cents: Cents
    return_fee_cents: Cents
    payout_fee_cents: Cents = 0
    fee_return: Literal["none", "proportional"]

    def fee_minor(self, method: Method, amount_minor: int, currency: Currency) -> int:
        """Return the fee on a captured amount, in minor units; never more than the amount."""
        rate = self.bank_debit if method == "bank_debit" else self.card
        return rate.fee_minor(amount_minor, currency)

    def dispute_fee_minor(self, currency: Currency) -> int:
        """Return what a dispute costs, in minor units."""
        return currency.scaled(self.dispute_fee_cents)

    def return_fee_minor(self, currency: Currency) -> int:
        """Return what a bank debit that comes back costs, in minor units."""
        return currency.scaled(self.return_fee_cents)

    def payout_fee_minor(self, currency: Currency) -> int:
        """Return what a payout costs, in minor units."""
        return currency.scaled(self.payout_fee_cents)


STANDARD = Plan(
    code="standard",
    version=1,
    card=Rate(basis_points=290, fixed_cents=30),
    bank_debit=Rate(basis_points=80, max_cents=500),
    dispute_fee_cents=1500,
    return_fee_cents=400,
    fee_return="none",
)
"""2.9 % + 0.30 by card, 0.8 % and at most 5.00 by bank debit: what every merchant begins with."""


def returned_fee(
    fee_minor: int,
    captured_minor: int,
    refunded_before_minor: int,
    refund_minor: int,
    returned_before_minor: int,
) -> int:
    """Return the part of a charge's fee that a refund gives back under "proportional".

    After each refund the fee returned so far is the fee's share of all that is refunded so far,
    rounded half up once; a part is what is still missing from that. So parts are never negative,
    never sum to more than the fee, and sum to exactly the fee when the whole capture is refunded,
    in however many steps.

    Args:
        fee_minor: The fee that was taken.
        captured_minor: What it was taken on.
        refunded_before_minor: Refunded by earlier refunds.
        refund_minor: Refunded by this one.
        returned_before_minor: Returned with the earlier ones.

    Raises:
        ValueError: More would be refunded than captured, or more is returned than was taken.
    """
    refunded = refunded_before_minor + refund_minor
    if not (refunded_before_minor >= 0 < refund_minor and refunded <= captured_minor):
        raise ValueError(f"cannot refund {refund_minor} after {refunded_before_minor}")
    if not 0 <= returned_before_minor <= fee_minor:
        raise ValueError(f"{returned_before_minor} of a fee of {fee_minor} cannot be back")
    owed = (2 * fee_minor * refunded + captured_minor) // (2 * captured_minor)
    return max(0, owed - returned_before_minor)


def split(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount in proportion to weights, so that the parts sum to the whole.

    Each part is its exact share rounded down; the units left over go one each to the parts that
    lost most by it, of equals to the earlier ones. No part is a unit or more away from its exact
    share, and a weight of zero gets nothing.

    Raises:
        ValueError: A negative amount or weight, or no weight above zero.
    """
    whole = sum(weights)
    if amount_minor < 0 or whole <= 0 or min(weights) < 0:
        raise ValueError(f"cannot split {amount_minor} by {list(weights)}")
    shares = [divmod(amount_minor * weight, whole) for weight in weights]
    parts = [part for part, _ in shares]
    by_loss = sorted(range(len(shares)), key=lambda index: -shares[index][1])
    for index in by_loss[: amount_minor - sum(parts)]:
        parts[index] += 1
    return parts


@dataclass(frozen=True, slots=True)
class _Stored:
    code: str
    version: int
    terms: dict[str, Any]


_plans: dict[tuple[str, int], Plan] = {}  # a version never changes, so what was read stays true


def plan(tx: Transaction, code: str, version: int) -> Plan:
    """Return one version of a plan; the database is asked once in the life of the process.

    Raises:
        LookupError: No such plan.
    """
    known = _plans.get((code, version))
    if known is not None:
        return known
    stored = tx.row(
        _Stored,
        "SELECT code, version, terms FROM fee_plans"
        " WHERE code = %(code)s AND version = %(version)s",
        code=code,
        version=version,
    )
    return _remembered(stored, f"no version {version} of the fee plan {code}")


def current(tx: Transaction) -> Plan:
    """Return what the transaction's merchant pays from now on: the newest version of their plan.

    Raises:
        LookupError: No merchant is chosen, or their plan does not exist.
    """
    stored = tx.row(
        _Stored,
        "SELECT code, version, terms FROM merchants JOIN fee_plans ON code = fee_plan"
        " WHERE merchants.id = current_merchant() ORDER BY version DESC LIMIT 1",
    )
    return _remembered(stored, "the merchant has no fee plan")


def _remembered(stored: _Stored | None, otherwise: str) -> Plan:
    if stored is None:
        raise LookupError(otherwise)
    key = (stored.code, stored.version)
    if key not in _plans:
        _plans[key] = Plan(code=stored.code, version=stored.version, **stored.terms)
    return _plans[key]
