"""The simulated acquirer: an acquirer's behaviour without an acquirer, chosen by the test token.

It keeps its payments in a DynamoDB table of its own, as a real one would keep them out of our
reach: what Ivy believes about a payment is only ever what it was told. What a payment may become
is in
``simulated_orders`` and ``simulated_payment``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from ivy.aws import READ_SECONDS_OF, client
from ivy.connectors import (
    Approved,
    Declined,
    Missing,
    Notice,
    Order,
    Outcome,
    RequiresAction,
    Unknown,
    answering,
    simulated_orders,
    simulated_payment,
)
from ivy.connectors.challenges import Challenge, Status
from ivy.connectors.simulated_payment import PAYMENT, REQUIRES_ACTION, Payment

SLOW_SECONDS = 2.0
SILENT_SECONDS = READ_SECONDS_OF["lambda"] + 2.0
"""Longer than anyone listens."""

_SLEEPS = {"tok_slow": SLOW_SECONDS, "tok_timeout": SILENT_SECONDS}
_ANSWERS_WHEN_ASKED_TWICE = frozenset({"tok_duplicate", "tok_dispute_twice"})

NOTICES_LIMIT = 100
_TRIES = 10
_MAILBOX = "due"
"""The one partition of the index on everybody's due items: this is a simulation."""

_CHALLENGE_ENDS: Mapping[str, Status] = {
    "authentication_failed": "declined",
    "authentication_expired": "expired",
}


class ContendedError(RuntimeError):
    """A payment was changed by others each time this one tried."""


@dataclass(frozen=True, slots=True)
class _Stored:
    payment: Payment | None
    version: int


class SimulatedAcquirer:
    """The acquirer of the test tokens. Every operation is idempotent by ``Order.key``."""

    def __init__(
        self, table: str, *, dynamodb: Any = None, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._table = table
        self._dynamodb = dynamodb or client("dynamodb")
        self._sleep = sleep

    def authorize(self, order: Order) -> Outcome:
        """Hold an amount for seven days; with ``capture`` take it at once."""
        return self._obey(order)

    def capture(self, order: Order) -> Outcome:
        """Take an authorised amount, or a part of it, once; the rest is released."""
        return self._obey(order)

    def void(self, order: Order) -> Outcome:
        """Release an authorisation, also one that has not arrived yet and then will be refused."""
        return self._obey(order)

    def refund(self, order: Order) -> Outcome:
        """Give back what is captured and neither refunded nor disputed, or a part of it."""
        return self._obey(order)

    def contest(self, order: Order) -> Outcome:
        """Hand in evidence; what contains ``winning_evidence`` wins, a minute later."""
        return self._obey(order)

    def concede(self, order: Order) -> Outcome:
        """Give a dispute up."""
        return self._obey(order)

    def lookup(self, order: Order) -> Outcome:
        """Say what became of an order; time may have decided one that was waiting."""
        payment = self._change(_id_of(order.charge), partial(simulated_payment.passed, at=order.at))
        found = payment.outcomes.get(order.key) if payment else None
        return found or Missing()

    def notices(self, at: datetime, account: str | None = None) -> list[Notice]:
        """Return what happened by itself until a time, oldest first, at most a hundred."""
        found: list[Notice] = []
        for payment_id in self._due(at, account):
            payment = self._change(payment_id, partial(simulated_payment.happened, at=at))
            found += [notice for notice in payment.notices if notice.at <= at] if payment else []
        return sorted(found, key=lambda notice: (notice.at, notice.id))[:NOTICES_LIMIT]

    def next_notice(self, until: datetime, account: str) -> datetime | None:
        """Return when the account's next payment has something to tell, however long ago."""
        found = self._due_items(until, account, 1)
        return datetime.fromisoformat(found[0]["due"]["S"]) if found else None

    def acknowledge(self, account: str, notice: str) -> None:
        """Forget a notice."""
        del account  # the notice's id is enough
        charge = notice.partition("_")[0]
        done = partial(simulated_payment.acknowledged, notice_id=notice)
        self._change(f"payment/{charge}", done)

    # -- the payer

    def challenge(self, reference: str, at: datetime) -> Challenge | None:
        """Return what a payer is asked to confirm; None for an unknown reference."""
        payment = self._read(_id_of_reference(reference)).payment
        return _challenge_of(simulated_payment.passed(payment, at)) if payment else None

    def act(self, reference: str, at: datetime, *, approve: bool) -> Challenge | None:
        """Take the payer's answer; one that comes too late, or twice, changes nothing."""
        done = partial(simulated_payment.answered, at=at, approve=approve)
        payment = self._change(_id_of_reference(reference), done)
        return _challenge_of(payment) if payment else None

    # -- orders

    def _obey(self, order: Order) -> Outcome:
        """Do what is asked unless it was done before, then behave as the token says."""
        heard_before = False

        def obeyed(known: Payment) -> Payment:
            nonlocal heard_before
            heard_before = order.key in known.outcomes
            return simulated_orders.obeyed(known, order)

        first = simulated_orders.unknown(order)
        payment = self._change(_id_of(order.charge), obeyed, first) or first
        if order.key not in payment.outcomes:
            return Declined(failure_code="too_many_orders")
        if not heard_before and order.payment_method in _ANSWERS_WHEN_ASKED_TWICE:
            return Unknown(reason=f"{order.payment_method} answers only when asked twice")
        if not heard_before and order.payment_method in _SLEEPS:
            self._sleep(_SLEEPS[order.payment_method])
        return payment.outcomes[order.key]

    # -- the table

    def _change(
        self, payment_id: str, change: Callable[[Payment], Payment], first: Payment | None = None
    ) -> Payment | None:
        """Change a payment and return it; where there is none, change ``first`` or return None."""
        for _ in range(_TRIES):
            stored = self._read(payment_id)
            known = stored.payment or first
            if known is None:
                return None
            after = change(known)
            if after == stored.payment or self._write(after, stored.version):
                return after
        raise ContendedError(payment_id)

    def _read(self, payment_id: str) -> _Stored:
        answer = self._dynamodb.get_item(
            TableName=self._table, Key={"id": {"S": payment_id}}, ConsistentRead=True
        )
        item = answer.get("Item")
        if item is None:
            return _Stored(None, 0)
        return _Stored(PAYMENT.validate_json(item["payment"]["S"]), int(item["version"]["N"]))

    def _write(self, payment: Payment, version: int) -> bool:
        """Write the next version; False when somebody else has."""
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=_item_of(payment, version + 1),
                ConditionExpression="attribute_not_exists(id) OR version = :version",
                ExpressionAttributeValues={":version": {"N": str(version)}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _due(self, at: datetime, account: str | None) -> list[str]:
        """Return the payments that have something to tell, the one with the oldest news first."""
        return [item["id"]["S"] for item in self._due_items(at, account, NOTICES_LIMIT)]

    def _due_items(self, at: datetime, account: str | None, limit: int) -> list[Any]:
        name, value = ("account", account) if account else ("mailbox", _MAILBOX)
        answer = self._dynamodb.query(
            TableName=self._table,
            IndexName=f"due_by_{name}",
            KeyConditionExpression=f"{name} = :{name} AND due <= :at",
            ExpressionAttributeValues={f":{name}": {"S": value}, ":at": {"S": _written(at)}},
            Limit=limit,
        )
        return list(answer["Items"])


def answer(acquirer: SimulatedAcquirer, message: Mapping[str, Any]) -> Any:
    """Return what the acquirer says to one message: a connector's, or the payer's page's."""
    if message["method"] not in ("challenge", "act"):
        return answering.answer(acquirer, message)
    reference, at = message["reference"], datetime.fromisoformat(message["at"])
    if message["method"] == "challenge":
        challenge = acquirer.challenge(reference, at)
    else:
        challenge = acquirer.act(reference, at, approve=message["approve"])
    return challenge and challenge.model_dump(mode="json")


def _id_of(charge: UUID) -> str:
    return f"payment/{charge.hex}"


def _id_of_reference(reference: str) -> str:
    return f"payment/{reference.removeprefix('sim_')}"


def _written(at: datetime) -> str:
    """Return a time as text that sorts like the time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _item_of(payment: Payment, version: int) -> dict[str, Any]:
    """Return the item of a payment; one with nothing to tell is in neither index."""
    item = {
        "id": {"S": _id_of(payment.charge)},
        "version": {"N": str(version)},
        "account": {"S": payment.account},
        "payment": {"S": PAYMENT.dump_json(payment).decode()},
    }
    if payment.due is None:
        return item
    return {**item, "mailbox": {"S": _MAILBOX}, "due": {"S": _written(payment.due)}}


def _challenge_of(payment: Payment) -> Challenge | None:
    outcome = payment.outcomes.get(payment.asked)
    if payment.token != REQUIRES_ACTION or payment.until is None or outcome is None:
        return None
    status: Status = "canceled"
    if isinstance(outcome, RequiresAction):
        status = "open"
    elif isinstance(outcome, Approved):
        status = "approved"
    elif isinstance(outcome, Declined):
        status = _CHALLENGE_ENDS.get(outcome.failure_code, "canceled")
    return Challenge(
        reference=payment.reference,
        amount=payment.amount_minor,
        currency=payment.currency,
        status=status,
        expires_at=payment.until,
    )
