"""Connectors: how Ivy asks an acquirer to move money, and hears what it did by itself.

A connector is told a key of ours for everything it is asked to do, and does it once however often
it is asked. It is never asked inside an open transaction: ``ivy.connectors.remote`` is how, and
what an acquirer's own function has to be is a ``Connector``. No answer, or one that makes no sense,
is ``Unknown``, and the order is looked up before it is carried out again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Operation = Literal["authorize", "capture", "void", "refund", "contest", "concede"]


class Message(BaseModel):
    """Something said between Ivy and a connector."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(Message):
    """One thing an acquirer is asked to do, once.

    Attributes:
        operation: What to do. ``contest`` and ``concede`` are about a dispute.
        key: Ours, unique to this order: the connector's idempotency key.
        account: The merchant and mode, such as ``1001-test``; comes back in notices.
        charge: The charge that all of this is about.
        amount_minor: In minor units of ``currency``.
        payment_method: The token.
        reference: The acquirer's own name of the payment, or of the dispute; None at first.
        capture: Whether an authorisation also takes the money.
        evidence: What the merchant says in a dispute.
        at: The present, on the merchant's clock.
    """

    operation: Operation
    key: str
    account: str
    charge: UUID
    amount_minor: int
    currency: str
    payment_method: str
    reference: str | None = None
    capture: bool = True
    evidence: str | None = None
    at: datetime


class Asked(Message):
    """An order on its way to its connector.

    Attributes:
        order: What to do.
        asked_before: Whether it may have been done already: it is looked up first.
        correlation: The id of the request that it descends from.
    """

    order: Order
    asked_before: bool = False
    correlation: str = ""


class Approved(Message):
    """The acquirer has done it. ``cost_minor`` is what it keeps, in the charge's currency.

    ``expires_at`` is when an authorisation that is not captured lapses.
    """

    outcome: Literal["approved"] = "approved"
    reference: str
    cost_minor: int = 0
    expires_at: datetime | None = None


class Declined(Message):
    """The acquirer will not do it.

    ``failure_code`` says which kind of failure (``card_declined``, ``processing_error``),
    ``decline_code`` the issuer's reason where there is one.
    """

    outcome: Literal["declined"] = "declined"
    failure_code: str
    decline_code: str | None = None


class RequiresAction(Message):
    """The payer must do something first, at ``url``."""

    outcome: Literal["requires_action"] = "requires_action"
    reference: str
    url: str
    until: datetime


class Pending(Message):
    """The acquirer has taken it on and will know more at ``until``."""

    outcome: Literal["pending"] = "pending"
    reference: str
    until: datetime


class Unknown(Message):
    """Nobody can say whether it was done: no answer, or one that makes no sense."""

    outcome: Literal["unknown"] = "unknown"
    reason: str


class Missing(Message):
    """The acquirer never heard of the order: asking for it is safe."""

    outcome: Literal["missing"] = "missing"


Outcome = Approved | Declined | RequiresAction | Pending | Unknown | Missing
"""``Missing`` is only an answer to ``lookup``."""


class DisputeOpened(Message):
    """The payer's bank takes an amount back, and the acquirer has withdrawn it from us."""

    notice: Literal["dispute_opened"] = "dispute_opened"
    id: str
    account: str
    charge: UUID
    at: datetime
    dispute: str
    amount_minor: int
    reason: str
    evidence_due_by: datetime


class DisputeClosed(Message):
    """A dispute is decided. If it was won, the acquirer has given the amount back."""

    notice: Literal["dispute_closed"] = "dispute_closed"
    id: str
    account: str
    charge: UUID
    at: datetime
    dispute: str
    won: bool


class PaymentReturned(Message):
    """A bank debit that had succeeded came back: ``code`` is the network's reason (R01)."""

    notice: Literal["payment_returned"] = "payment_returned"
    id: str
    account: str
    charge: UUID
    at: datetime
    code: str


class SettlementReport(Message):
    """What an acquirer pays to our account, and what it has netted.

    Its money comes later, as a line of a bank's statement. All amounts are of the days that it
    covers, in minor units of ``currency``.

    Attributes:
        reference: What the acquirer's bank will write beside the money.
        expected_on: The day on which the money should be there.
        gross_minor: Captured.
        refunds_minor: Refunded.
        returns_minor: Bank debits that came back.
        disputes_minor: Withdrawn for disputes, less what was reinstated.
        costs_minor: What the acquirer keeps.
    """

    reference: str
    currency: str
    expected_on: date
    gross_minor: int
    refunds_minor: int = 0
    returns_minor: int = 0
    disputes_minor: int = 0
    costs_minor: int = 0

    @property
    def net_minor(self) -> int:
        """What is paid."""
        taken = self.refunds_minor + self.returns_minor + self.disputes_minor + self.costs_minor
        return self.gross_minor - taken


Notice = DisputeOpened | DisputeClosed | PaymentReturned

OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Annotated[Outcome, Field(discriminator="outcome")])
NOTICES: TypeAdapter[list[Notice]] = TypeAdapter(
    list[Annotated[Notice, Field(discriminator="notice")]]
)


class Connector(Protocol):
    """One acquirer."""

    def authorize(self, order: Order) -> Outcome:
        """Ask for the money; with ``capture`` also take it."""

    def capture(self, order: Order) -> Outcome:
        """Take an authorised amount, or a part of it; the rest is released."""

    def void(self, order: Order) -> Outcome:
        """Release an authorisation."""

    def refund(self, order: Order) -> Outcome:
        """Give back a part of what was captured, or all of it."""

    def contest(self, order: Order) -> Outcome:
        """Hand in the evidence of a dispute."""

    def concede(self, order: Order) -> Outcome:
        """Give a dispute up."""

    def lookup(self, order: Order) -> Outcome:
        """Say what became of an order, without doing anything."""

    def notices(self, at: datetime, account: str | None = None) -> list[Notice]:
        """Return what the acquirer did by itself until ``at`` and nobody acknowledged yet.

        Oldest first; of one account, or of all. Empty when the acquirer does not answer.
        """

    def next_notice(self, until: datetime, account: str) -> datetime | None:
        """Return when there is a notice about an account next; None if not before ``until``.

        Nothing happens by being asked. None also where nobody can know. This raises when there is
        no answer: whoever passed a notice over would have things happen out of their order.
        """

    def acknowledge(self, account: str, notice: str) -> None:
        """Say that a notice has been recorded for good."""


def carry_out(connector: Connector, order: Order, *, asked_before: bool) -> Outcome:
    """Have an acquirer do something. What it may have done already is looked up first."""
    if asked_before:
        found = connector.lookup(order)
        if not isinstance(found, Missing):
            return found
    operation: Callable[[Order], Outcome] = getattr(connector, order.operation)
    return operation(order)
