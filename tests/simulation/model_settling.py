"""The model's settlement: what of each day becomes available, and what of it later."""

from __future__ import annotations

from datetime import date, timedelta

from tests.simulation.model_charges import Charges
from tests.simulation.model_things import (
    AVAILABLE,
    PENDING,
    RESERVED,
    Batch,
    Charge,
    cents,
    half_up,
)


class Settling(Charges):
    """Charges, whose days pass."""

    def return_fee(self, charge: Charge) -> int:
        return cents(charge.terms["return_fee_cents"], charge.currency)

    def settled_counts(self) -> dict[str, int]:
        """Return how much was settled, and how much moved about what had been."""
        batches = [each for theirs in self.batches.values() for each in theirs]
        over = {name for name, charge in self.charges.items() if self.is_over(charge)}
        return {
            "batches": len(batches),
            "charges settled": len(over),
            "batches with refunds": sum(each.refunds > 0 for each in batches),
            "batches with returns": sum(each.returns > 0 for each in batches),
            "batches below zero": sum(each.net < 0 for each in batches),
            "reserves held": sum(each.kept > 0 for each in batches),
            "reserves released": sum(each.released for each in batches),
            **self.moved_after,
        }

    def settle(self) -> None:
        """Close every day that has come, and let go of what was held long enough."""
        for (merchant, currency), reached in list(self.reached.items()):
            theirs = [
                charge
                for charge in self.charges.values()
                if (charge.merchant, charge.currency) == (merchant, currency)
                and charge.available_on
                and reached < charge.available_on <= self.now.date()
            ]
            for day in sorted({charge.available_on for charge in theirs if charge.available_on}):
                self._close_day(
                    merchant, currency, day, [each for each in theirs if each.available_on == day]
                )
        self._let_go()

    def _close_day(self, merchant: int, currency: str, day: date, charges: list[Charge]) -> None:
        terms = self.merchants[merchant]
        names = {charge.id for charge in charges}
        back = [charge for charge in charges if charge.status == "failed"]
        batch = Batch(
            day=day,
            charges=sum(charge.captured for charge in charges),
            fees=sum(charge.fee or 0 for charge in charges),
            refunds=sum(
                refund.amount
                for refund in self.refunds.values()
                if refund.charge in names
                and (refund.status == "succeeded" or refund.reason == "processing")
            ),
            returns=sum(charge.captured + self.return_fee(charge) for charge in back),
            count=len(charges),
            kept=0,
            release_on=day + timedelta(days=terms.reserve_days),
        )
        share = half_up(batch.charges * terms.reserve_basis_points, 10_000)
        batch.kept = max(min(share, batch.net), 0)
        moved = {PENDING: batch.net, AVAILABLE: batch.kept - batch.net, RESERVED: -batch.kept}
        self.post(merchant, currency, moved)
        self.batches.setdefault((merchant, currency), []).append(batch)
        self.reached[merchant, currency] = day

    def _let_go(self) -> None:
        for (merchant, currency), batches in self.batches.items():
            for batch in batches:
                if batch.kept and not batch.released and batch.release_on <= self.now.date():
                    batch.released = True
                    moved = {RESERVED: batch.kept, AVAILABLE: -batch.kept}
                    self.post(merchant, currency, moved)
