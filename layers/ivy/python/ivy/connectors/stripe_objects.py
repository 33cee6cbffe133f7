"""What Stripe answers, as far as it matters here: objects of other shapes are not used.

Every field that is stored, shown or put into an address has a pattern, because nothing that comes
over a network is taken on trust.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ivy.connectors import Declined, Unknown

INVALID_REQUEST = "invalid_request"
ABANDONED: Literal["abandoned"] = "abandoned"
"""Why a payment that its payer did not confirm is canceled."""

_CODE = re.compile(r"[a-z0-9_]{1,100}")
_REQUEST = re.compile(r"req_[A-Za-z0-9_]{1,100}")

Shape = TypeVar("Shape", bound="Shaped")
Id = Annotated[str, Field(pattern=r"^[a-z]{2,8}_[A-Za-z0-9_]{1,200}$")]
Page = Annotated[str, Field(pattern="^https://", max_length=2048)]


# -- instead of an object


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no, by the issuer of a card or to the request as it was."""

    by: Literal["card", "request"]
    code: str | None
    decline_code: str | None = None
    request: str | None = None

    @classmethod
    def parsed(
        cls, by: Literal["card", "request"], error: Mapping[str, Any], request: str | None
    ) -> Refused:
        """Return the refusal that an error object describes."""
        return cls(
            by=by,
            code=word(error.get("code")),
            decline_code=word(error.get("decline_code")),
            request=_matching(_REQUEST, request),
        )

    @property
    def outcome(self) -> Declined:
        """What it means for a request."""
        if self.by == "card":
            failure_code = self.code or "card_declined"
            return Declined(failure_code=failure_code, decline_code=self.decline_code)
        return Declined(failure_code=INVALID_REQUEST, decline_code=self.code)


@dataclass(frozen=True, slots=True)
class Silent:
    """Neither yes nor no: no answer in time, or one that says nothing about what was asked."""

    reason: str

    @property
    def outcome(self) -> Unknown:
        """What it means for a request."""
        return Unknown(reason=self.reason)


Nothing = Refused | Silent


def word(code: object) -> str | None:
    """Return a code that looks like one: it is stored, shown and logged."""
    return _matching(_CODE, code)


def _matching(pattern: re.Pattern[str], text: object) -> str | None:
    return text if isinstance(text, str) and pattern.fullmatch(text) else None


# -- the objects, as far as they matter


class Shaped(BaseModel):
    """A part of an object of Stripe's. Fields of other types make it unusable."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class BalanceTransaction(Shaped):
    """What a payment did to the balance at Stripe."""

    fee: int
    currency: str


class CardDetails(Shaped):
    """Of a card payment."""

    capture_before: int | None = None


class MethodDetails(Shaped):
    """How a payment was made."""

    card: CardDetails | None = None


class Charge(Shaped):
    """One attempt at a payment."""

    balance_transaction: BalanceTransaction | str | None = None
    payment_method_details: MethodDetails | None = None


class PaymentError(Shaped):
    """Why the last attempt failed."""

    code: str | None = None
    decline_code: str | None = None


class Redirect(Shaped):
    """A page of the payer's bank."""

    url: Page | None = None


class Verification(Shaped):
    """A page on which the payer says what small amounts arrived."""

    hosted_verification_url: Page | None = None


class NextAction(Shaped):
    """What the payer must do."""

    redirect_to_url: Redirect | None = None
    verify_with_microdeposits: Verification | None = None

    @property
    def url(self) -> str | None:
        """Where to do it; None if it cannot be done on a page."""
        if self.redirect_to_url is not None:
            return self.redirect_to_url.url
        if self.verify_with_microdeposits is not None:
            return self.verify_with_microdeposits.hosted_verification_url
        return None


class Intent(Shaped):
    """A payment."""

    object: Literal["payment_intent"]
    id: Id
    created: int
    amount: int
    amount_received: int = 0
    currency: str
    status: str
    metadata: dict[str, str]
    latest_charge: Charge | str | None = None
    last_payment_error: PaymentError | None = None
    next_action: NextAction | None = None
    cancellation_reason: str | None = None

    @property
    def cost_minor(self) -> int:
        """What Stripe keeps; 0 while unknown, and when it is taken in another currency."""
        charge = self.latest_charge
        taken = charge.balance_transaction if isinstance(charge, Charge) else None
        if isinstance(taken, BalanceTransaction) and taken.currency == self.currency:
            return taken.fee
        return 0

    @property
    def capture_before(self) -> int | None:
        """When an authorisation lapses; None where Stripe does not say."""
        charge = self.latest_charge
        details = charge.payment_method_details if isinstance(charge, Charge) else None
        return details.card.capture_before if details and details.card else None


class PaymentMethod(Shaped):
    """A token. Everything about the card behind it is left where it is."""

    object: Literal["payment_method"]
    customer: Id | None = None


class Refund(Shaped):
    """Money given back."""

    object: Literal["refund"]
    id: Id
    status: str | None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None


class Evidence(Shaped):
    """How far a dispute is answered."""

    due_by: int | None = None
    submission_count: int = 0


class Dispute(Shaped):
    """A payer's objection."""

    object: Literal["dispute"]
    id: Id
    amount: int
    currency: str
    status: str
    reason: Annotated[str, Field(pattern="^[a-z0-9_]{1,100}$")]
    payment_intent: Id | None = None
    evidence_details: Evidence


class Event(Shaped):
    """Something that happened to a dispute."""

    object: Literal["event"]
    id: Id
    type: str
    created: int
    data: dict[str, Any]

    @property
    def dispute(self) -> Dispute | Silent:
        """The dispute as it was then."""
        about = self.data.get("object")
        return shaped(Dispute, about if isinstance(about, dict) else {})


class Intents(Shaped):
    """What a search found."""

    object: Literal["search_result"]
    data: list[Intent]


class Refunds(Shaped):
    """The refunds of a payment, newest first."""

    object: Literal["list"]
    data: list[Refund]
    has_more: bool


class Events(Shaped):
    """One page of events, newest first."""

    object: Literal["list"]
    data: list[Event]
    has_more: bool


def shaped(kind: type[Shape], body: Mapping[str, Any]) -> Shape | Silent:
    """Return what was said as an object of ours."""
    try:
        return kind.model_validate(body)
    except ValidationError:
        return Silent(f"not a usable {kind.__name__}")
