"""What the simulated acquirer should do, in plain Python: the model's other party.

It is written from what each test token promises, not from the acquirer's code, and knows nothing
of tables, networks or Ivy. An outcome is a tuple whose first word says which; the gateway's model
reads the rest of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

Outcome = tuple[Any, ...]
UNKNOWN: Outcome = ("unknown",)
MISSING: Outcome = ("missing",)

DECLINES = {
    "tok_declined": ("declined", "card_declined", "generic_decline"),
    "tok_insufficient_funds": ("declined", "card_declined", "insufficient_funds"),
    "tok_expired_card": ("declined", "expired_card", "expired_card"),
    "tok_processing_error": ("declined", "processing_error", None),
}
BANK_DEBITS = ("tok_ach", "tok_ach_declined", "tok_ach_r01")
SAYS_NOTHING_AT_FIRST = ("tok_timeout", "tok_duplicate", "tok_dispute_twice")
"""Whatever they are asked is done, and answered only to those who ask again."""

WRONG_PLACE = {
    "new": "payment_not_authorized",
    "waiting": "payment_not_authorized",
    "authorized": "already_authorized",
    "captured": "already_captured",
    "released": "authorization_released",
}


def declined(code: str, reason: str | None = None) -> Outcome:
    return ("declined", code, reason)


@dataclass
class Notice:
    """Something that happened by itself; ``amount`` and ``due_by`` are of a dispute."""

    id: str
    at: datetime
    kind: str
    amount: int = 0
    due_by: datetime | None = None
    won: bool = False


@dataclass
class Payment:
    """One payment at the acquirer."""

    charge: str
    token: str
    currency: str
    state: str = "new"
    amount: int = 0
    captured: int = 0
    refunded: int = 0
    takes: bool = True
    until: datetime | None = None
    expires: datetime | None = None
    touched: datetime | None = None
    returned: bool = False
    dispute: dict[str, Any] | None = None
    ahead: tuple[datetime, str, bool] | None = None
    notices: list[Notice] = field(default_factory=list)
    answers: dict[str, Outcome] = field(default_factory=dict)

    # -- what it is asked

    def ask(self, order: dict[str, Any], *, asked_before: bool, fate: str) -> Outcome:
        """Have an order done as a careful client does; ``fate`` may lose what is said."""
        if fate == "lose_request":
            return UNKNOWN
        answer, silent = MISSING, False
        if asked_before:
            self.pass_time(order["at"])
            answer = self.answers.get(order["key"], MISSING)
        if answer == MISSING:
            silent = order["key"] not in self.answers and self.token in SAYS_NOTHING_AT_FIRST
            answer = self.obey(order)
        return UNKNOWN if silent or fate == "lose_answer" else answer

    def obey(self, order: dict[str, Any]) -> Outcome:
        self.pass_time(order["at"])
        if order["key"] not in self.answers:
            done: Outcome = getattr(self, f"_{order['operation']}")(order)
            self.answers.setdefault(order["key"], done)
            self.touched = max(self.touched or order["at"], order["at"])
        return self.answers[order["key"]]

    def _authorize(self, order: dict[str, Any]) -> Outcome:
        if self.state != "new":
            return declined(WRONG_PLACE[self.state])
        if self.token in DECLINES:
            return DECLINES[self.token]
        if self.token == "tok_capture_declined" and order["capture"]:
            return DECLINES["tok_declined"]
        at, self.amount, self.takes = order["at"], order["amount"], order["capture"]
        if self.token == "tok_requires_action":
            self.state, self.until = "waiting", at + timedelta(hours=1)
            return ("requires_action",)
        if self.token in BANK_DEBITS:
            self.state, self.until = "waiting", weekdays_after(at, 3)
            if self.token == "tok_ach_r01":
                self.ahead = (weekdays_after(self.until, 2), "returned", False)
            return ("pending", self.until)
        return self._granted(at)

    def _granted(self, at: datetime) -> Outcome:
        if self.takes:
            return self._taken(self.amount, at)
        self.state, self.expires = "authorized", at + timedelta(days=7)
        return ("approved", 0, self.expires)

    def _taken(self, amount: int, at: datetime) -> Outcome:
        self.state, self.captured = "captured", amount
        if self.token in ("tok_dispute", "tok_dispute_twice"):
            self.ahead = (at, "opened", False)
        cost = (amount * 150 * 2 + 10_000) // 20_000 + (300 if self.currency == "KWD" else 30)
        return ("approved", cost, None)

    def _capture(self, order: dict[str, Any]) -> Outcome:
        if self.state != "authorized" or self.expires is None:
            return declined(WRONG_PLACE[self.state])
        if order["at"] >= self.expires:
            return declined("authorization_expired")
        if self.token == "tok_capture_declined":
            return DECLINES["tok_declined"]
        return self._taken(order["amount"], order["at"])

    def _void(self, _: dict[str, Any]) -> Outcome:
        if self.state in ("captured", "released"):
            return declined(WRONG_PLACE[self.state])
        if self.state == "waiting":
            self._decide(declined("authorization_released"))
        self.state = "released"
        return ("approved", 0, None)

    def _refund(self, order: dict[str, Any]) -> Outcome:
        left = self.captured - self.refunded
        if self.state != "captured":
            return declined("payment_not_captured")
        if self.returned:
            return declined("payment_returned")
        if order["amount"] > left:
            return declined("refund_exceeds_payment")
        if order["amount"] > left - self.disputed:
            return declined("charge_disputed")
        if self.token == "tok_refund_fails":
            return declined("expired_or_canceled_card")
        self.refunded += order["amount"]
        return ("approved", 0, None)

    def _contest(self, order: dict[str, Any]) -> Outcome:
        if not self._disputable(order["at"]):
            return declined("dispute_not_open")
        assert self.dispute is not None
        self.dispute["contested"] = True
        won = "winning_evidence" in order["evidence"]
        self.ahead = (order["at"] + timedelta(minutes=1), "closed", won)
        return ("approved", 0, None)

    def _concede(self, order: dict[str, Any]) -> Outcome:
        if not self._disputable(order["at"]):
            return declined("dispute_not_open")
        assert self.dispute is not None
        self.dispute["closed"], self.ahead = True, None
        return ("approved", 0, None)

    def _disputable(self, at: datetime) -> bool:
        about = self.dispute
        return bool(
            about and not about["closed"] and not about["contested"] and at <= about["due_by"]
        )

    @property
    def disputed(self) -> int:
        """What an open or a lost dispute holds."""
        return self.dispute["amount"] if self.dispute and not self.dispute["won"] else 0

    # -- its payer, and time

    def pass_time(self, at: datetime) -> None:
        """Decide what waited, once its time has come."""
        if self.state == "waiting" and self.until is not None and at >= self.until:
            if self.token == "tok_ach_declined":
                self._decide(declined("bank_declined", "R03"))
            elif self.token == "tok_requires_action":
                self._decide(declined("authentication_expired"))
            else:
                self.answers[self.charge] = self._granted(self.until)

    def payer_answers(self, at: datetime, *, approve: bool) -> None:
        self.pass_time(at)
        if self.state != "waiting" or self.token != "tok_requires_action":
            return
        assert self.touched is not None
        if approve:
            self.answers[self.charge] = self._granted(self.touched)
        else:
            self._decide(declined("authentication_failed"))

    def _decide(self, refused: Outcome) -> None:
        self.state, self.ahead = "new", None
        self.answers[self.charge] = refused

    def due(self, at: datetime) -> bool:
        """Say whether there is something to hear."""
        return bool(self.notices or (self.ahead and self.ahead[0] <= at))

    def hear(self, at: datetime) -> list[Notice]:
        """Let everything happen that is due, and return what it has to tell."""
        self.pass_time(at)
        while self.ahead and self.ahead[0] <= at:
            due, kind, won = self.ahead
            self.ahead = None
            self._happen(due, kind, won=won)
        return [notice for notice in self.notices if notice.at <= at]

    def _happen(self, due: datetime, kind: str, *, won: bool) -> None:
        name = f"{self.charge.removeprefix('ch_')}_{kind}"
        told = Notice(name, due, kind, won=won)
        if kind == "opened":
            left = self.captured - self.refunded
            if left == 0:
                return
            assert self.touched is not None
            told.at = self.touched = max(due, self.touched)
            last_day = told.at.date() + timedelta(days=7)
            told.amount, told.due_by = left, datetime.combine(last_day, time(23, 59, 59), UTC)
            self.dispute = {
                "amount": left, "due_by": told.due_by,
                "contested": False, "closed": False, "won": False,
            }  # fmt: skip
            self.ahead = (told.due_by, "closed", False)
        elif kind == "closed":
            assert self.dispute is not None
            self.dispute |= {"closed": True, "won": won}
        else:
            self.returned = True
        self.notices.append(told)
        if self.token == "tok_dispute_twice":
            self.notices.append(Notice(**{**vars(told), "id": f"{name}_again"}))


def weekdays_after(at: datetime, count: int) -> datetime:
    """Return the same time so many days from Monday to Friday later."""
    while count:
        at += timedelta(days=1)
        count -= at.weekday() < 5
    return at
