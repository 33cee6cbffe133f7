"""What a merchant may ask the simulated acquirer to do with a payment, and what it answers.

Pure functions, as in ``simulated_payment``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from ivy.connectors import Approved, Declined, Operation, Order, Outcome, Pending, RequiresAction
from ivy.connectors.simulated_payment import (
    BANK_DEBIT_DAYS,
    REQUIRES_ACTION,
    RETURN_DAYS,
    RETURNED,
    Ahead,
    Dispute,
    Payment,
    State,
    business_days_after,
    cost_minor,
    failed,
    passed,
    succeeded,
    taken,
)
from ivy.connectors.tokens import BANK_DEBIT_TOKENS

CHALLENGE_HOURS = 1
DECISION_MINUTES = 1
WINNING_EVIDENCE = "winning_evidence"
MAX_ORDERS = 1000
"""Orders one payment remembers; the store's items hold 400 KB."""

CHALLENGE_PATH = "/v1/simulator/challenges/"

_REFUSED: Mapping[str, Declined] = {
    "tok_declined": Declined(failure_code="card_declined", decline_code="generic_decline"),
    "tok_insufficient_funds": Declined(
        failure_code="card_declined", decline_code="insufficient_funds"
    ),
    "tok_expired_card": Declined(failure_code="expired_card", decline_code="expired_card"),
    "tok_processing_error": Declined(failure_code="processing_error"),
}
_CAPTURE_REFUSED = {"tok_capture_declined": _REFUSED["tok_declined"]}
_REFUND_REFUSED = {"tok_refund_fails": Declined(failure_code="expired_or_canceled_card")}
_ABOUT_MONEY = frozenset({"authorize", "capture", "refund"})


def unknown(order: Order) -> Payment:
    """Return the payment of an order that is the first to mention it."""
    return Payment(
        charge=order.charge,
        account=order.account,
        token=order.payment_method,
        changed_at=order.at,
    )


def obeyed(payment: Payment, order: Order) -> Payment:
    """Carry an order out, unless its key has been seen; its outcome is in ``outcomes``.

    A payment that has had ``MAX_ORDERS`` does not change any more.
    """
    payment = passed(payment, order.at)
    if order.key in payment.outcomes or len(payment.outcomes) >= MAX_ORDERS:
        return payment
    refused = _refused(payment, order)
    after, outcome = (payment, refused) if refused else _RULES[order.operation](payment, order)
    changed_at = max(after.changed_at, order.at)
    return replace(after, outcomes=after.outcomes | {order.key: outcome}, changed_at=changed_at)


def _refused(payment: Payment, order: Order) -> Declined | None:
    """Refuse what no order may do, whatever it is."""
    code = None
    if order.operation in _ABOUT_MONEY and order.amount_minor < 1:
        code = "amount_invalid"
    elif order.operation in _ABOUT_MONEY and order.currency != (payment.currency or order.currency):
        code = "currency_mismatch"
    return Declined(failure_code=code) if code else None


def _authorize(payment: Payment, order: Order) -> tuple[Payment, Outcome]:
    if payment.state != "new":
        return payment, Declined(failure_code=_MISPLACED[payment.state])
    token = order.payment_method
    refused = _REFUSED.get(token) or (order.capture and _CAPTURE_REFUSED.get(token))
    if token in BANK_DEBIT_TOKENS and not order.capture:
        refused = Declined(failure_code="capture_required")  # a bank holds nothing
    if refused:
        return payment, refused
    payment = replace(
        payment,
        token=token,
        currency=order.currency,
        amount_minor=order.amount_minor,
        takes=order.capture,
        asked=order.key,
    )
    if token == REQUIRES_ACTION:
        until = order.at + timedelta(hours=CHALLENGE_HOURS)
        url = f"{CHALLENGE_PATH}{payment.reference}"
        asked = RequiresAction(reference=payment.reference, url=url, until=until)
        return replace(payment, state="waiting", until=until), asked
    if token in BANK_DEBIT_TOKENS:
        until = business_days_after(order.at, BANK_DEBIT_DAYS)
        if token in RETURNED:
            due = business_days_after(until, RETURN_DAYS)
            payment = replace(payment, ahead=Ahead(kind="return", due=due))
        pending = Pending(reference=payment.reference, until=until)
        return replace(payment, state="waiting", until=until), pending
    approved = succeeded(payment, order.at)
    return approved, approved.outcomes[order.key]


def _capture(payment: Payment, order: Order) -> tuple[Payment, Outcome]:
    if payment.state != "authorized" or payment.expires_at is None:
        return payment, Declined(failure_code=_MISPLACED[payment.state])
    if order.at >= payment.expires_at:
        return payment, Declined(failure_code="authorization_expired")
    if order.amount_minor > payment.amount_minor:
        return payment, Declined(failure_code="capture_exceeds_authorization")
    if refused := _CAPTURE_REFUSED.get(payment.token):
        return payment, refused
    payment = taken(payment, order.amount_minor, order.at)
    return payment, Approved(reference=payment.reference, cost_minor=cost_minor(payment))


def _void(payment: Payment, _: Order) -> tuple[Payment, Outcome]:
    """Release what is held. What was never heard of may be under way: refuse it on arrival."""
    if payment.state in ("captured", "released"):
        return payment, Declined(failure_code=_MISPLACED[payment.state])
    if payment.state == "waiting":
        payment = failed(payment, Declined(failure_code=_MISPLACED["released"]))
    held_minor = payment.amount_minor if payment.state == "authorized" else 0
    released = replace(payment, state="released", released_minor=held_minor)
    return released, Approved(reference=payment.reference)


def _refund(payment: Payment, order: Order) -> tuple[Payment, Outcome]:
    left_minor = payment.captured_minor - payment.refunded_minor
    code = None
    if payment.state != "captured":
        code = "payment_not_captured"
    elif payment.returned:
        code = "payment_returned"
    elif order.amount_minor > left_minor:
        code = "refund_exceeds_payment"
    elif order.amount_minor > left_minor - payment.disputed_minor:
        code = "charge_disputed"
    if code:
        return payment, Declined(failure_code=code)
    if refused := _REFUND_REFUSED.get(payment.token):
        return payment, refused
    name = hashlib.sha256(f"{payment.charge.hex}|{order.key}".encode()).hexdigest()[:32]
    refunded_minor = payment.refunded_minor + order.amount_minor
    return replace(payment, refunded_minor=refunded_minor), Approved(reference=f"sim_{name}")


def _contest(payment: Payment, order: Order) -> tuple[Payment, Outcome]:
    dispute = _open_dispute(payment, order)
    if isinstance(dispute, Declined):
        return payment, dispute
    decision = Ahead(
        kind="decision",
        due=order.at + timedelta(minutes=DECISION_MINUTES),
        won=WINNING_EVIDENCE in (order.evidence or ""),
    )
    contested = replace(payment, dispute=replace(dispute, contested=True), ahead=decision)
    return contested, Approved(reference=dispute.id)


def _concede(payment: Payment, order: Order) -> tuple[Payment, Outcome]:
    dispute = _open_dispute(payment, order)
    if isinstance(dispute, Declined):
        return payment, dispute
    conceded = replace(payment, dispute=replace(dispute, closed=True), ahead=None)
    return conceded, Approved(reference=dispute.id)


def _open_dispute(payment: Payment, order: Order) -> Dispute | Declined:
    """Return the dispute an order is about, or why nothing can be said in it any more."""
    dispute = payment.dispute
    if dispute is None or order.reference not in (None, dispute.id):
        return Declined(failure_code="dispute_missing")
    if dispute.closed or dispute.contested or order.at > dispute.due_by:
        return Declined(failure_code="dispute_not_open")
    return dispute


_RULES: Mapping[Operation, Callable[[Payment, Order], tuple[Payment, Outcome]]] = {
    "authorize": _authorize,
    "capture": _capture,
    "void": _void,
    "refund": _refund,
    "contest": _contest,
    "concede": _concede,
}

_MISPLACED: Mapping[State, str] = {
    "new": "payment_not_authorized",  # also when its authorisation was refused
    "waiting": "payment_not_authorized",
    "authorized": "already_authorized",
    "captured": "already_captured",
    "released": "authorization_released",
}
