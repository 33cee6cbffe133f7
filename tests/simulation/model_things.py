"""The model's vocabulary: charges, refunds, disputes, promises, prices, refusals, and the books.

The books are kept by the codes of the chart of accounts, debit positive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.simulation.model_acquirer import BANK_DEBITS, Outcome, Payment

RECEIVABLE, DISPUTED_AWAY, PENDING, AVAILABLE, RESERVED, HELD = 110, 160, 210, 220, 230, 240
REFUNDS_PAYABLE, FEES, DISPUTE_FEES, COSTS, AUTHORIZED, CONTRA = 310, 410, 420, 510, 910, 960

MAX_AMOUNT = 999_999_999_999
RESEND = timedelta(seconds=30)
STUCK = timedelta(minutes=5)
LOOK_AGAIN = {"requires_action": timedelta(minutes=1), "waiting": timedelta(minutes=2)}
LATER = datetime.max.replace(tzinfo=UTC)
DEAD = ("failed", "canceled", "expired")


class Refused(Exception):  # noqa: N818 - what a request is
    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


INVALID = (422, "request_invalid")
MISSING = (404, "resource_missing")
BUSY = (409, "operation_in_progress")


def cents(count: int, currency: str) -> int:
    return count * 10 if currency == "KWD" else count


def half_up(above: int, below: int) -> int:
    return (2 * above + below) // (2 * below)


def fee_of(terms: dict[str, Any], method: str, amount: int, currency: str) -> int:
    """Price an amount by a plan's terms, as they are written in the database."""
    rate = terms[method]
    points, fixed = rate.get("basis_points", 0), rate.get("fixed_cents", 0)
    for tier in rate.get("tiers", ()):
        if tier["up_to_cents"] is None or amount <= cents(tier["up_to_cents"], currency):
            points, fixed = tier["basis_points"], tier.get("fixed_cents", 0)
            break
    fee = half_up(amount * points, 10_000) + cents(fixed, currency)
    fee = max(fee, cents(rate.get("min_cents", 0), currency))
    if "max_cents" in rate:
        fee = min(fee, cents(rate["max_cents"], currency))
    return min(fee, amount)


@dataclass(frozen=True)
class Question:
    """What an acquirer is about to be asked."""

    payment: Payment
    order: dict[str, Any]
    asked_before: bool


Steps = Generator[Question, Outcome, bool]
"""A step with a thing: it asks, is told, and returns False when the consumer died on the way."""


@dataclass
class Work:
    """What is promised about an object."""

    action: str
    next_send: datetime
    expected: datetime
    amount: int | None = None
    sends: int = 1


@dataclass(repr=False)
class Thing:
    """What charges, refunds and disputes have in common."""

    id: str
    merchant: int
    status: str
    version: int = 1
    work: Work | None = None
    attempts: int = 0
    asked: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"{self.id} {self.status}"


@dataclass(repr=False)
class Charge(Thing):
    amount: int = 0
    currency: str = ""
    token: str = ""
    capture: bool = True
    terms: dict[str, Any] = field(default_factory=dict)
    captured: int = 0
    refunded: int = 0
    refund_pending: int = 0
    disputed: int = 0
    fee: int | None = None
    fee_returned: int = 0
    failure: str | None = None
    decline: str | None = None
    capture_before: datetime | None = None
    available_on: date | None = None
    payment: Payment = field(init=False)

    @property
    def method(self) -> str:
        return "bank_debit" if self.token in BANK_DEBITS else "card"

    @property
    def left(self) -> int:
        """What can still be refunded, of what was or may yet be captured."""
        base = self.captured or self.amount
        return base - self.refunded - self.refund_pending - self.disputed


@dataclass(repr=False)
class Refund(Thing):
    charge: str = ""
    amount: int = 0
    reason: str | None = None
    fee_returned: int = 0
    failure: str | None = None


@dataclass(repr=False)
class Dispute(Thing):
    charge: str = ""
    amount: int = 0
    fee: int = 0
    evidence: str | None = None
    due_by: datetime = LATER


@dataclass
class Merchant:
    """A merchant's terms: of each version of its plan, and how far refunds may overdraw."""

    number: int
    plan: list[dict[str, Any]]
    overdraft_cents: int
    reserve_basis_points: int = 0
    reserve_days: int = 90


@dataclass
class Batch:
    """What became available on one day."""

    day: date
    charges: int
    fees: int
    refunds: int
    returns: int
    count: int
    kept: int
    release_on: date
    released: bool = False

    @property
    def net(self) -> int:
        return self.charges - self.fees - self.refunds - self.returns

    @property
    def events(self) -> int:
        return 2 + (self.kept > 0) + self.released  # closed, and its report is ready


class Books:
    """What is known, what is booked, and the ways in which either changes."""

    def __init__(
        self, merchants: list[Merchant], holidays: dict[str, set[date]], now: datetime
    ) -> None:
        self.now = now
        self.merchants = {merchant.number: merchant for merchant in merchants}
        self.holidays = holidays
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self.disputes: dict[str, Dispute] = {}
        self.batches: dict[tuple[int, str], list[Batch]] = {}
        """By merchant and currency, in the order of their days."""
        self.reached: dict[tuple[int, str], date] = {}
        """The day through which is settled, where anything was ever captured."""
        self.moved_after: Counter[str] = Counter()
        """What happened to charges whose day was over."""
        self.books: Counter[tuple[int, str, int]] = Counter()
        self.postings = 0

    @property
    def things(self) -> dict[str, Thing]:
        return {**self.charges, **self.refunds, **self.disputes}

    def funds(self, merchant: int, currency: str) -> int:
        return -sum(self.books[merchant, currency, code] for code in (PENDING, AVAILABLE))

    def owe(self, thing: Thing, action: str, amount: int | None = None) -> None:
        thing.work = Work(action, self.now + RESEND, self.now + STUCK, amount)

    def replace(self, work: Work, action: str) -> None:
        work.action, work.next_send, work.expected = action, self.now + RESEND, self.now + STUCK

    def postpone(self, work: Work, until: datetime) -> None:
        work.sends, work.next_send, work.expected = 1, until, until + STUCK

    def change(self, thing: Thing, **fields: Any) -> None:
        thing.version += 1
        for name, value in fields.items():
            setattr(thing, name, value)

    def post(self, merchant: int, currency: str, moved: dict[int, int]) -> None:
        assert sum(moved.values()) == 0
        self.postings += any(moved.values())
        for code, amount in moved.items():
            owner = merchant if 200 <= code < 300 or code == AUTHORIZED else 0
            self.books[owner, currency, code] += amount

    def post_memo(self, charge: Charge, amount: int) -> None:
        self.post(charge.merchant, charge.currency, {AUTHORIZED: amount, CONTRA: -amount})

    def ask(
        self, thing: Thing, payment: Payment, order: dict[str, Any], death: str | None
    ) -> Generator[Question, Outcome, Outcome | None]:
        """Note an attempt and ask; None when the process did not live to write the answer."""
        asked_before = order["key"] in thing.asked
        thing.asked.add(order["key"])
        thing.attempts += 1
        if death == "before":
            return None
        outcome = yield Question(payment, order, asked_before)
        return None if death == "after" else outcome
