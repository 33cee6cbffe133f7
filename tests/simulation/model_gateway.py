"""What Ivy should do, in plain Python: every state, amount, fee, refusal and balance."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.simulation.model_acquirer import UNKNOWN, Notice
from tests.simulation.model_settling import Settling
from tests.simulation.model_things import (
    AVAILABLE,
    BUSY,
    DEAD,
    DISPUTE_FEES,
    DISPUTED_AWAY,
    FEES,
    HELD,
    INVALID,
    LOOK_AGAIN,
    MAX_AMOUNT,
    MISSING,
    RECEIVABLE,
    REFUNDS_PAYABLE,
    Charge,
    Dispute,
    Refund,
    Refused,
    Steps,
    Work,
    cents,
    half_up,
)  # fmt: skip


class Gateway(Settling):
    """Everything that should be known."""

    # -- refunds

    def new_refund(self, merchant: int, body: dict[str, Any]) -> Refund:
        amount = body.get("amount")
        if amount is not None and not 1 <= amount <= MAX_AMOUNT:
            raise Refused(*INVALID)
        charge = self.own_charge(merchant, body["charge"])
        if charge.status not in ("succeeded", "pending", "requires_action"):
            raise Refused(409, "charge_not_refundable")
        if body.get("currency", charge.currency) != charge.currency:
            raise Refused(422, "currency_mismatch")
        wanted = charge.left if amount is None else amount
        if wanted > charge.left or wanted < 1:
            raise Refused(422, "refund_exceeds_charge")
        reason = "charge_pending"
        if charge.captured:
            reason = "processing" if self._affords(charge, wanted) else "insufficient_funds"
        return Refund("", merchant, "pending", 1, None, 0, set(), charge.id, wanted, reason)

    def _affords(self, charge: Charge, amount: int) -> bool:
        overdraft = cents(self.merchants[charge.merchant].overdraft_cents, charge.currency)
        return self.funds(charge.merchant, charge.currency) - amount >= -overdraft

    def accept_refund(self, refund: Refund, name: str) -> None:
        refund.id = name
        self.refunds[name] = refund
        charge = self.charges[refund.charge]
        charge.refund_pending += refund.amount
        if refund.reason == "processing":
            self._set_aside(charge, refund.amount)
        self.owe(refund, "refund")

    def _set_aside(self, charge: Charge, amount: int) -> None:
        moved = {self.place(charge): amount, REFUNDS_PAYABLE: -amount}
        way = "refund" if amount > 0 else "failed refund"
        self.moved_after[f"{way} after settlement"] += self.is_over(charge)
        self.post(charge.merchant, charge.currency, moved)

    def process_refund(self, refund: Refund, death: str | None) -> Steps:
        """Take one step with a refund."""
        charge, work = self.charges[refund.charge], refund.work
        if work is None:
            return True
        if refund.reason != "processing" and not self._may_go_on(charge, refund):
            self._wait_or_give_up(charge, refund, work)
            return True
        if death == "begin":
            return False
        if refund.reason != "processing":
            self.change(refund, reason="processing")
            self._set_aside(charge, refund.amount)
        order = {
            "operation": "refund", "key": refund.id, "at": self.now, "amount": refund.amount,
        }  # fmt: skip
        outcome = yield from self.ask(refund, charge.payment, order, death)
        if outcome is None:
            return False
        if refund.work is not work:
            pass  # a copy was faster
        elif outcome[0] == "approved":
            self._refunded(charge, refund)
        elif outcome[0] == "declined":
            self._set_aside(charge, -refund.amount)
            charge.refund_pending -= refund.amount
            self.change(refund, status="failed", reason=None, failure=outcome[1])
            refund.work = None
        return death != "commit"

    def _fits(self, charge: Charge, refund: Refund) -> bool:
        return refund.amount <= charge.left + refund.amount

    def _may_go_on(self, charge: Charge, refund: Refund) -> bool:
        fits = self._fits(charge, refund)
        return charge.status == "succeeded" and fits and self._affords(charge, refund.amount)

    def _wait_or_give_up(self, charge: Charge, refund: Refund, work: Work) -> None:
        captured = charge.status == "succeeded"
        if charge.status in DEAD or (captured and not self._fits(charge, refund)):
            charge.refund_pending -= refund.amount
            self.change(refund, status="canceled", reason=None)
            refund.work = None
            return
        self.postpone(work, self.now + LOOK_AGAIN["waiting"])
        if captured and refund.reason != "insufficient_funds":
            self.change(refund, reason="insufficient_funds")

    def _refunded(self, charge: Charge, refund: Refund) -> None:
        back = 0
        if charge.terms["fee_return"] == "proportional":
            assert charge.fee is not None
            so_far = half_up(charge.fee * (charge.refunded + refund.amount), charge.captured)
            back = so_far - charge.fee_returned
        self.change(refund, status="succeeded", reason=None, fee_returned=back)
        self.change(charge, refunded=charge.refunded + refund.amount)
        charge.refund_pending -= refund.amount
        charge.fee_returned += back
        moved = {REFUNDS_PAYABLE: refund.amount, RECEIVABLE: -refund.amount}
        self.post(charge.merchant, charge.currency, moved | {FEES: back, AVAILABLE: -back})
        refund.work = None

    # -- disputes

    def own_dispute(self, merchant: int, name: str) -> Dispute:
        dispute = self.disputes.get(name)
        if dispute is None or dispute.merchant != merchant:
            raise Refused(*MISSING)
        return dispute

    def submit(self, merchant: int, name: str, body: dict[str, Any]) -> None:
        dispute = self.own_dispute(merchant, name)
        if dispute.status != "needs_response" or dispute.due_by <= self.now:
            raise Refused(409, "dispute_closed")
        if body.get("submit") and dispute.work:
            raise Refused(*BUSY)
        dispute.evidence = body["text"]
        if body.get("submit"):
            self.change(dispute, status="under_review")
            self.owe(dispute, "contest")

    def give_up(self, merchant: int, name: str) -> None:
        dispute = self.own_dispute(merchant, name)
        if dispute.status != "needs_response":
            raise Refused(409, "dispute_closed")
        if dispute.work:
            raise Refused(*BUSY)
        self._lose(dispute)
        self.owe(dispute, "concede")

    def process_dispute(self, dispute: Dispute, death: str | None) -> Steps:
        """Take one step with a dispute."""
        work = dispute.work
        if work is None:
            return True
        if work.action == "lapse":
            if dispute.status == "needs_response" and dispute.due_by <= self.now:
                self._lose(dispute)
            dispute.work = None
            return True
        if death == "begin":
            return False
        order = {
            "operation": work.action, "key": f"{dispute.id}.{work.action}", "at": self.now,
            "amount": dispute.amount, "evidence": dispute.evidence,
        }  # fmt: skip
        payment = self.charges[dispute.charge].payment
        outcome = yield from self.ask(dispute, payment, order, death)
        if outcome is None:
            return False
        if outcome != UNKNOWN and dispute.work is work:
            dispute.work = None
        return death != "commit"

    def _lose(self, dispute: Dispute) -> None:
        moved = {HELD: dispute.amount, DISPUTED_AWAY: -dispute.amount}
        self.post(dispute.merchant, self.charges[dispute.charge].currency, moved)
        self.change(dispute, status="lost")

    # -- what the acquirer did by itself

    def record(self, charge: Charge, notice: Notice, name: str) -> bool:
        """Write a notice down; ``name`` is for a new dispute. Says whether that is all of it."""
        if not charge.captured:
            return charge.status in DEAD
        theirs = [each for each in self.disputes.values() if each.charge == charge.id]
        if notice.kind == "returned":
            if charge.status == "succeeded":
                self._came_back(charge)
        elif notice.kind == "opened":
            if not theirs:
                self._open_dispute(charge, notice, name)
        elif not theirs:
            return False
        elif theirs[0].status not in ("won", "lost"):
            self._close(charge, theirs[0], won=notice.won)
        return True

    def _came_back(self, charge: Charge) -> None:
        fee = self.return_fee(charge)
        self.change(charge, status="failed", failure="bank_debit_returned", decline="R01")
        self.moved_after["return after settlement"] += self.is_over(charge)
        moved = {
            self.place(charge): charge.captured + fee,
            RECEIVABLE: -charge.captured,
            FEES: -fee,
        }
        self.post(charge.merchant, charge.currency, moved)

    def _open_dispute(self, charge: Charge, notice: Notice, name: str) -> None:
        fee = cents(charge.terms["dispute_fee_cents"], charge.currency)
        assert notice.due_by is not None
        self.disputes[name] = Dispute(
            name,
            charge.merchant,
            "needs_response",
            2,
            None,
            0,
            set(),
            charge.id,
            notice.amount,
            fee,
            None,
            notice.due_by,
        )
        charge.disputed += notice.amount
        hold = {AVAILABLE: notice.amount + fee, HELD: -notice.amount, DISPUTE_FEES: -fee}
        self.post(charge.merchant, charge.currency, hold)
        taken = {DISPUTED_AWAY: notice.amount, RECEIVABLE: -notice.amount}
        self.post(charge.merchant, charge.currency, taken)

    def _close(self, charge: Charge, dispute: Dispute, *, won: bool) -> None:
        dispute.work = None
        if not won:
            self._lose(dispute)
            return
        amount = dispute.amount
        self.change(dispute, status="won")
        self.post(charge.merchant, charge.currency, {HELD: amount, AVAILABLE: -amount})
        self.change(dispute)
        self.post(charge.merchant, charge.currency, {RECEIVABLE: amount, DISPUTED_AWAY: -amount})
        charge.disputed -= amount

    # -- schedules

    def relay(self) -> list[str]:
        """Send what is overdue again; returns what it is about."""
        due = []
        for name, thing in self.things.items():
            if thing.work and thing.work.next_send <= self.now:
                minutes = min(2 ** min(thing.work.sends, 6), 60)
                thing.work.next_send = self.now + timedelta(minutes=minutes)
                thing.work.sends += 1
                due.append(name)
        return due

    def expire(self) -> list[str]:
        """Promise to let go of what nobody captured in time."""
        over = [
            charge
            for charge in self.charges.values()
            if charge.status == "authorized" and not charge.work
            and charge.capture_before is not None and charge.capture_before <= self.now
        ]  # fmt: skip
        for charge in over:
            self.owe(charge, "expire")
        return [charge.id for charge in over]

    def lapse(self) -> list[str]:
        """Promise to close the disputes that nobody answered in time."""
        over = [
            dispute
            for dispute in self.disputes.values()
            if dispute.status == "needs_response" and not dispute.work
            and dispute.due_by <= self.now
        ]  # fmt: skip
        for dispute in over:
            self.owe(dispute, "lapse")
        return [dispute.id for dispute in over]
