"""One payment as the simulated acquirer sees it, and what its payer and time make of it.

Pure functions: each makes a new payment of an old one, and ``simulated`` keeps them. Nothing here
knows the present: it is in what comes in. What a merchant may do is in ``simulated_orders``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from ivy.connectors import (
    Approved,
    Declined,
    DisputeClosed,
    DisputeOpened,
    Notice,
    Outcome,
    PaymentReturned,
)
from ivy.money import currencies, share

COST_BASIS_POINTS, COST_FIXED_CENTS = 150, 30
"""What this acquirer keeps of a capture: 1.5 % + 0.30."""

AUTHORIZATION_DAYS = 7
BANK_DEBIT_DAYS, RETURN_DAYS = 3, 2
"""Business days until a bank debit is known, and from then until it can come back."""

EVIDENCE_DAYS = 7
REQUIRES_ACTION = "tok_requires_action"
_REFUSED_IN_TIME = {
    "tok_ach_declined": Declined(failure_code="bank_declined", decline_code="R03"),
    REQUIRES_ACTION: Declined(failure_code="authentication_expired"),
}
_DISPUTED = frozenset({"tok_dispute", "tok_dispute_twice"})
_SAID_TWICE = frozenset({"tok_dispute_twice"})
RETURNED = {"tok_ach_r01": "R01"}

_SATURDAY = 5

State = Literal["new", "waiting", "authorized", "captured", "released"]


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What will happen to a payment by itself."""

    kind: Literal["dispute", "decision", "return"]
    due: datetime
    won: bool = False


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """A payer's objection. ``contested`` once there is evidence, ``closed`` once decided."""

    id: str
    amount_minor: int
    due_by: datetime
    contested: bool = False
    closed: bool = False
    won: bool = False


@dataclass(frozen=True, kw_only=True)
class Payment:
    """Everything known about one payment.

    Attributes:
        charge: Ivy's name of it.
        account: The merchant and mode.
        token: What it is paid with.
        currency: Empty until an authorisation is asked for.
        state: ``new`` also after a refusal; ``waiting`` for the bank or the payer.
        amount_minor: What an authorisation was asked for last.
        captured_minor: Of it, taken.
        released_minor: Of it, let go.
        refunded_minor: Of what was captured, given back.
        takes: Whether the authorisation is to take the money at once.
        asked: The key of the authorisation's order.
        until: When time decides what waits.
        expires_at: When an authorisation that nobody captures lapses.
        returned: Whether a bank debit came back.
        dispute: There is at most one.
        ahead: What happens next by itself.
        notices: What happened by itself and nobody acknowledged yet, oldest first.
        changed_at: When anything happened last, on the merchant's clock.
        outcomes: What each order was told, by its key.
    """

    charge: UUID
    account: str
    token: str
    currency: str = ""
    state: State = "new"
    amount_minor: int = 0
    captured_minor: int = 0
    released_minor: int = 0
    refunded_minor: int = 0
    takes: bool = True
    asked: str = ""
    until: datetime | None = None
    expires_at: datetime | None = None
    returned: bool = False
    dispute: Dispute | None = None
    ahead: Ahead | None = None
    notices: tuple[Annotated[Notice, Field(discriminator="notice")], ...] = ()
    changed_at: datetime
    outcomes: dict[str, Annotated[Outcome, Field(discriminator="outcome")]] = field(
        default_factory=dict
    )

    @property
    def reference(self) -> str:
        """The acquirer's own name of the payment."""
        return f"sim_{self.charge.hex}"

    @property
    def disputed_minor(self) -> int:
        """What an open or lost dispute holds back."""
        return self.dispute.amount_minor if self.dispute and not self.dispute.won else 0

    @property
    def due(self) -> datetime | None:
        """When there is something to tell; None when there will be nothing."""
        times = [notice.at for notice in self.notices]
        return min(times + ([self.ahead.due] if self.ahead else []), default=None)


PAYMENT: TypeAdapter[Payment] = TypeAdapter(Payment)


def passed(payment: Payment, at: datetime) -> Payment:
    """Return a payment that waited as it is at a time."""
    if payment.state != "waiting" or payment.until is None or at < payment.until:
        return payment
    refused = _REFUSED_IN_TIME.get(payment.token)
    return failed(payment, refused) if refused else succeeded(payment, payment.until)


def answered(payment: Payment, at: datetime, *, approve: bool) -> Payment:
    """Return a payment after its payer's answer; one that waits for no answer does not change."""
    payment = passed(payment, at)
    if payment.state != "waiting" or payment.token != REQUIRES_ACTION:
        return payment
    if approve:
        return succeeded(payment, payment.changed_at)
    return failed(payment, Declined(failure_code="authentication_failed"))


def happened(payment: Payment, at: datetime) -> Payment:
    """Return a payment after everything that is due by itself; ``notices`` tell of it."""
    payment = passed(payment, at)
    while payment.ahead and payment.ahead.due <= at:
        payment = _EVENTS[payment.ahead.kind](replace(payment, ahead=None), payment.ahead)
    return payment


def acknowledged(payment: Payment, notice_id: str) -> Payment:
    """Return a payment without a notice."""
    return replace(payment, notices=tuple(n for n in payment.notices if n.id != notice_id))


def business_days_after(at: datetime, count: int) -> datetime:
    """Return the same time of day, so many days from Monday to Friday later."""
    while count > 0:
        at += timedelta(days=1)
        if at.weekday() < _SATURDAY:
            count -= 1
    return at


# -- what becomes of an authorisation


def succeeded(payment: Payment, at: datetime) -> Payment:
    """Return a payment whose authorisation was granted, and taken where that was asked for."""
    if payment.takes:
        payment = taken(payment, payment.amount_minor, at)
        outcome = Approved(reference=payment.reference, cost_minor=cost_minor(payment))
    else:
        expires_at = at + timedelta(days=AUTHORIZATION_DAYS)
        payment = replace(payment, state="authorized", expires_at=expires_at)
        outcome = Approved(reference=payment.reference, expires_at=expires_at)
    return replace(payment, outcomes=payment.outcomes | {payment.asked: outcome})


def failed(payment: Payment, outcome: Declined) -> Payment:
    """Return a payment whose authorisation came to nothing."""
    outcomes = payment.outcomes | {payment.asked: outcome}
    return replace(payment, state="new", ahead=None, outcomes=outcomes)


def taken(payment: Payment, amount_minor: int, at: datetime) -> Payment:
    """Return a payment of which an amount was captured and the rest released."""
    if payment.token in _DISPUTED:
        payment = replace(payment, ahead=Ahead(kind="dispute", due=at))
    return replace(
        payment,
        state="captured",
        captured_minor=amount_minor,
        released_minor=payment.amount_minor - amount_minor,
    )


def cost_minor(payment: Payment) -> int:
    """Return 1.5 % and 30 cents, or as many yen, or ten times as many fils."""
    finer = 10 if currencies()[payment.currency].exponent == 3 else 1  # noqa: PLR2004 - dinars
    return share(payment.captured_minor, COST_BASIS_POINTS) + COST_FIXED_CENTS * finer


# -- what happens by itself


def _disputed(payment: Payment, event: Ahead) -> Payment:
    """Open a dispute about whatever has not been given back by now."""
    amount_minor = payment.captured_minor - payment.refunded_minor
    if amount_minor == 0:
        return payment
    at = max(event.due, payment.changed_at)
    last_day = at.astimezone(UTC).date() + timedelta(days=EVIDENCE_DAYS)
    due_by = datetime.combine(last_day, time(23, 59, 59), UTC)
    dispute = Dispute(id=f"sim_dp_{payment.charge.hex}", amount_minor=amount_minor, due_by=due_by)
    opened = DisputeOpened(
        **_told(payment, "opened", at),
        dispute=dispute.id,
        amount_minor=amount_minor,
        reason="fraudulent",
        evidence_due_by=due_by,
    )
    lapses = Ahead(kind="decision", due=due_by)
    return _telling(replace(payment, dispute=dispute, ahead=lapses, changed_at=at), opened)


def _decided(payment: Payment, event: Ahead) -> Payment:
    if payment.dispute is None:
        return payment
    told = _told(payment, "closed", event.due)
    closed = DisputeClosed(**told, dispute=payment.dispute.id, won=event.won)
    dispute = replace(payment.dispute, closed=True, won=event.won)
    return _telling(replace(payment, dispute=dispute), closed)


def _came_back(payment: Payment, event: Ahead) -> Payment:
    told = _told(payment, "returned", event.due)
    returned = PaymentReturned(**told, code=RETURNED[payment.token])
    return _telling(replace(payment, returned=True), returned)


def _told(payment: Payment, event: str, at: datetime) -> dict[str, Any]:
    """Return what every notice says; its id begins with the charge."""
    name = f"{payment.charge.hex}_{event}"
    return {"id": name, "account": payment.account, "charge": payment.charge, "at": at}


def _telling(payment: Payment, notice: Notice) -> Payment:
    copies = [notice]
    if payment.token in _SAID_TWICE:
        copies.append(notice.model_copy(update={"id": f"{notice.id}_again"}))
    return replace(payment, notices=(*payment.notices, *copies))


_EVENTS: Mapping[str, Callable[[Payment, Ahead], Payment]] = {
    "dispute": _disputed,
    "decision": _decided,
    "return": _came_back,
}
