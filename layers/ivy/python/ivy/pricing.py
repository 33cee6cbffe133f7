"""What a charge costs the merchant."""

from dataclasses import dataclass

from ivy.money import Currency, share


@dataclass(frozen=True, slots=True)
class FeePlan:
    """A percentage of the amount plus a fixed part; both round half up to the minor unit."""

    basis_points: int
    fixed_cents: int

    def fee_minor(self, amount_minor: int, currency: Currency) -> int:
        """Return the fee on an amount, in minor units of its currency."""
        return share(amount_minor, self.basis_points) + self.fixed_minor(currency)

    def fixed_minor(self, currency: Currency) -> int:
        """Return the fixed part: cents, or as many yen, or ten times as many fils."""
        return self.fixed_cents * (10 if currency.exponent == 3 else 1)  # noqa: PLR2004 - dinars


STANDARD = FeePlan(basis_points=290, fixed_cents=30)
"""2.9 % + 0.30."""
