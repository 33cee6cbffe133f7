"""What Stripe's objects mean for an order.

Pure functions. The same ones read the answer to a request and the answer to a look-up: ``Missing``
means that what was ordered has not happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from ivy.connectors import (
    Approved,
    Declined,
    Missing,
    Order,
    Outcome,
    Pending,
    RequiresAction,
    Unknown,
)
from ivy.connectors.stripe_objects import (
    ABANDONED,
    INVALID_REQUEST,
    Dispute,
    Intent,
    Intents,
    Refund,
    Refunds,
    word,
)

PENDING_CHECK = timedelta(hours=12)
"""How often a bank debit or a refund under way is asked about: banks take days."""

ACTION_TIME = timedelta(hours=24)
"""How long a payer may take to confirm a payment."""


# -- payments


def authorized(order: Order, intent: Intent) -> Outcome:
    """Say what became of an authorisation."""
    if (intent.amount, intent.currency) != (order.amount_minor, order.currency.lower()):
        return Unknown(reason=f"{intent.id} is about another amount")
    return _AUTHORIZATIONS.get(intent.status, _odd)(order, intent)


def authorized_among(order: Order, found: Intents) -> Outcome:
    """Say what became of an authorisation that a search may have found."""
    payments = [each for each in found.data if each.metadata.get("ivy_order") == order.key]
    if len(payments) > 1:
        return Unknown(reason=f"there are {len(payments)} payments for one order")
    return authorized(order, payments[0]) if payments else Missing()


def captured(order: Order, intent: Intent) -> Outcome:
    """Say what became of a capture."""
    match intent.status:
        case "requires_capture":
            return Missing()
        case "canceled":
            return _canceled(order, intent)
        case "succeeded" if intent.amount_received == order.amount_minor:
            return _taken(order, intent)
        case "succeeded":
            return Unknown(reason=f"{intent.id} was captured with another amount")
    return _odd(order, intent)


def voided(order: Order, intent: Intent) -> Outcome:
    """Say what became of a release.

    A payment that has been taken is a refusal only where its payer can have completed it in the
    meantime; an authorisation that somebody else captured is for a person to look at.
    """
    if intent.status == "canceled":
        return Approved(reference=intent.id)
    if intent.status not in ("succeeded", "processing"):
        return Missing()
    if order.capture:
        return Declined(failure_code=INVALID_REQUEST, decline_code="already_captured")
    return Unknown(reason=f"{intent.id} was captured by somebody else")


def _taken(_: Order, intent: Intent) -> Outcome:
    return Approved(reference=intent.id, cost_minor=intent.cost_minor)


def _held(order: Order, intent: Intent) -> Outcome:
    if order.capture:
        return _odd(order, intent)
    lapses = intent.capture_before
    expires_at = on_clock(order.at, lapses) if lapses is not None else None
    return Approved(reference=intent.id, expires_at=expires_at)


def _waits_for_payer(order: Order, intent: Intent) -> Outcome:
    url = intent.next_action.url if intent.next_action else None
    if url is None:
        return Unknown(reason=f"{intent.id} requires an action that has no page")
    until = on_clock(order.at, intent.created) + ACTION_TIME
    return RequiresAction(reference=intent.id, url=url, until=until)


def _waits_for_bank(order: Order, intent: Intent) -> Outcome:
    return Pending(reference=intent.id, until=order.at + PENDING_CHECK)


def _failed(order: Order, intent: Intent) -> Outcome:
    error = intent.last_payment_error
    if error is None:
        return _odd(order, intent)
    return Declined(
        failure_code=word(error.code) or "card_declined", decline_code=word(error.decline_code)
    )


def _canceled(_: Order, intent: Intent) -> Outcome:
    if intent.cancellation_reason == ABANDONED:
        return Declined(failure_code="authentication_expired")
    return Declined(failure_code="payment_canceled", decline_code=word(intent.cancellation_reason))


def _odd(_: Order, intent: Intent) -> Outcome:
    return Unknown(reason=f"{intent.id} is in a state that does not fit")


_AUTHORIZATIONS: Mapping[str, Callable[[Order, Intent], Outcome]] = {
    "succeeded": _taken,
    "requires_capture": _held,
    "requires_action": _waits_for_payer,
    "processing": _waits_for_bank,
    "requires_payment_method": _failed,
    "canceled": _canceled,
}


# -- refunds


def refunded(order: Order, refund: Refund) -> Outcome:
    """Say what became of a refund."""
    match refund.status:
        case "succeeded":
            return Approved(reference=refund.id)
        case "pending" | "requires_action":
            return Pending(reference=refund.id, until=order.at + PENDING_CHECK)
        case "failed":
            return Declined(failure_code="refund_failed", decline_code=word(refund.failure_reason))
        case "canceled":
            return Declined(failure_code="refund_canceled")
    return Unknown(reason=f"{refund.id} is in a state that is not known")


def refunded_among(order: Order, found: Refunds) -> Outcome:
    """Say what became of a refund that may be among those of its payment."""
    for refund in found.data:
        if (refund.metadata or {}).get("ivy_order") == order.key:
            return refunded(order, refund)
    return Unknown(reason="too many refunds to look at") if found.has_more else Missing()


# -- disputes


def contested(_: Order, dispute: Dispute) -> Outcome:
    """Say whether the evidence is handed in."""
    if dispute.evidence_details.submission_count:
        return Approved(reference=dispute.id)
    if dispute.status in ("won", "lost"):
        return Declined(failure_code="dispute_not_open")
    return Missing()


def conceded(_: Order, dispute: Dispute) -> Outcome:
    """Say whether a dispute is given up. One that was lost by itself is as good."""
    if dispute.status == "lost":
        return Approved(reference=dispute.id)
    if dispute.status == "won":
        return Declined(failure_code="dispute_not_open")
    return Missing()


# -- time


def on_clock(present: datetime, seconds: int) -> datetime:
    """Return a time of Stripe's on the clock whose present is given.

    A merchant's test clock may be weeks ahead; what is left until then is the same on both.
    """
    ahead = present - datetime.now(UTC)
    return datetime.fromtimestamp(seconds, UTC) + timedelta(
        minutes=round(ahead.total_seconds() / 60)
    )
