"""The model's charges: what merchants may ask of them, and what the acquirer makes of them.

A request raises ``Refused`` or returns what it makes; nothing changes before that.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tests.simulation.model_acquirer import BANK_DEBITS, Outcome, Payment
from tests.simulation.model_things import (
    AVAILABLE,
    BUSY,
    COSTS,
    FEES,
    INVALID,
    LOOK_AGAIN,
    MAX_AMOUNT,
    MISSING,
    PENDING,
    RECEIVABLE,
    Books,
    Charge,
    Refund,
    Refused,
    Steps,
    Thing,
    Work,
    cents,
    fee_of,
)  # fmt: skip


class Charges(Books):
    """Charges."""

    # -- charges, as merchants ask for them

    def new_charge(self, merchant: int, body: dict[str, Any]) -> Charge:
        amount, currency, token = body["amount"], body["currency"], body["payment_method"]
        capture = body.get("capture", True)
        if not 1 <= amount <= MAX_AMOUNT or amount < cents(50, currency):
            raise Refused(*INVALID)
        if token == "tok_unheard_of" or (token in BANK_DEBITS and not capture):
            raise Refused(*INVALID)
        terms = self.merchants[merchant].plan[-1]
        return Charge(
            "", merchant, "pending", 1, None, 0, set(), amount, currency, token, capture, terms
        )

    def accept_charge(self, charge: Charge, name: str) -> None:
        charge.id = name
        charge.payment = Payment(name, charge.token, charge.currency)
        self.charges[name] = charge
        self.owe(charge, "authorize")

    def own_charge(self, merchant: int, name: str) -> Charge:
        charge = self.charges.get(name)
        if charge is None or charge.merchant != merchant:
            raise Refused(*MISSING)
        return charge

    def capture(self, merchant: int, name: str, body: dict[str, Any]) -> None:
        amount = body.get("amount")
        if amount is not None and not 1 <= amount <= MAX_AMOUNT:
            raise Refused(*INVALID)
        charge = self.own_charge(merchant, name)
        if charge.captured:
            raise Refused(409, "charge_already_captured")
        if charge.status != "authorized":
            raise Refused(409, "charge_not_capturable")
        if body.get("currency", charge.currency) != charge.currency:
            raise Refused(422, "currency_mismatch")
        if amount is not None and amount > charge.amount:
            raise Refused(422, "amount_exceeds_authorized")
        if charge.work:
            raise Refused(*BUSY)
        self.owe(charge, "capture", charge.amount if amount is None else amount)

    def cancel(self, merchant: int, name: str) -> None:
        charge = self.own_charge(merchant, name)
        if charge.status == "authorized" and not charge.work:
            self.owe(charge, "void")
        elif (
            charge.status == "requires_action" and charge.work and charge.work.action == "authorize"
        ):
            self.replace(charge.work, "void")
        elif charge.status in ("authorized", "requires_action"):
            raise Refused(*BUSY)
        else:
            raise Refused(409, "charge_not_cancelable")

    def settled(self, thing: Thing) -> bool:
        """Say whether whoever waits for an outcome has it now."""
        if isinstance(thing, Refund):
            return thing.status != "pending" or thing.reason != "processing"
        if thing.status == "requires_action" and thing.work and thing.work.action == "authorize":
            return True
        return thing.status == "failed" or thing.work is None

    # -- charges, as the acquirer decides them

    def process_charge(self, charge: Charge, death: str | None) -> Steps:
        """Take one step with a charge."""
        work = charge.work
        if work is None:
            return True
        if death == "begin":
            return False
        operation = {"expire": "void"}.get(work.action, work.action)
        key = charge.id if operation == "authorize" else f"{charge.id}.{operation}"
        order = {
            "operation": operation, "key": key, "at": self.now,
            "amount": work.amount or charge.amount, "capture": charge.capture,
        }  # fmt: skip
        action = work.action
        outcome = yield from self.ask(charge, charge.payment, order, death)
        if outcome is None:
            return False
        if charge.work is work and work.action == action:  # or else a copy was faster
            self._decide_charge(charge, work, order, outcome)
        return death != "commit"

    def _decide_charge(
        self, charge: Charge, work: Work, order: dict[str, Any], outcome: Outcome
    ) -> None:
        if outcome[0] == "approved" and work.action in ("void", "expire"):
            self._release(charge, {"void": "canceled", "expire": "expired"}[work.action])
        elif outcome[0] == "approved" and work.action == "authorize" and not charge.capture:
            self.change(charge, status="authorized", capture_before=outcome[2])
            self.post_memo(charge, charge.amount)
            charge.work = None
        elif outcome[0] == "approved":
            self._take(charge, order["amount"], outcome[1])
        elif (
            outcome[0] == "declined"
            and work.action == "void"
            and charge.status == "requires_action"
        ):
            self.replace(work, "authorize")
        elif outcome[0] == "declined" and work.action in ("void", "expire"):
            self._release(charge, {"void": "canceled", "expire": "expired"}[work.action])
        elif outcome[0] == "declined":
            self._release(charge, "failed", failure=outcome[1], decline=outcome[2])
        elif outcome[0] == "pending":
            self.postpone(work, outcome[1])
        elif outcome[0] == "requires_action":
            self.postpone(work, self.now + LOOK_AGAIN["requires_action"])
            if charge.status != "requires_action":
                self.change(charge, status="requires_action")

    def _release(self, charge: Charge, status: str, **why: Any) -> None:
        if charge.status == "authorized":
            self.post_memo(charge, -charge.amount)
        self.change(charge, status=status, capture_before=None, **why)
        charge.work = None

    def _take(self, charge: Charge, amount: int, cost: int) -> None:
        held = charge.status == "authorized"
        self.reached.setdefault((charge.merchant, charge.currency), self.now.date())
        fee = fee_of(charge.terms, charge.method, amount, charge.currency)
        self.change(
            charge,
            status="succeeded",
            captured=amount,
            fee=fee,
            capture_before=None,
            available_on=self._available_on(charge),
        )
        moved = {RECEIVABLE: amount - cost, PENDING: fee - amount, FEES: -fee, COSTS: cost}
        self.post(charge.merchant, charge.currency, moved)
        if held:
            self.post_memo(charge, -charge.amount)
        charge.work = None

    def _available_on(self, charge: Charge) -> date:
        """Two banking days on, and never on a day that is over."""
        reached = self.reached[charge.merchant, charge.currency]
        day = self._banking_day_after(charge.currency, self.now.date(), 2)
        if day <= reached:
            day = self._banking_day_after(charge.currency, reached, 1)
        return day

    def _banking_day_after(self, currency: str, day: date, count: int) -> date:
        while count:
            day += timedelta(days=1)
            count -= day.weekday() < 5 and day not in self.holidays.get(currency, ())
        return day

    def is_over(self, charge: Charge) -> bool:
        """Say whether a charge's day is settled."""
        reached = self.reached.get((charge.merchant, charge.currency))
        return bool(reached and charge.available_on and charge.available_on <= reached)

    def place(self, charge: Charge) -> int:
        """Return the account that a charge's money is in now."""
        return AVAILABLE if self.is_over(charge) else PENDING
