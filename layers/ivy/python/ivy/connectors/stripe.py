"""Stripe as an acquirer: tokens (``pm_…``) only, through the official ``stripe`` package.

A payment is a PaymentIntent, created and confirmed by one request whose idempotency key is the
order's. docs/connectors.md says what is covered, and why orders are looked up the way they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ivy import observe, vault
from ivy.connectors import (
    Declined,
    Missing,
    Notice,
    Order,
    Outcome,
    RequiresAction,
    Unknown,
)
from ivy.connectors import stripe_answers as answers
from ivy.connectors.stripe_notices import Notices
from ivy.connectors.stripe_objects import Nothing, Refused, Shape, Silent

if TYPE_CHECKING:
    from ivy.connectors.stripe_api import Api

API_BASE = "https://api.stripe.com"
TOTAL_SECONDS = 3.4
"""How long one operation may take. Whoever asks listens for four."""

OTHER_UNITS = frozenset({"IQD", "ISK", "LYD", "MGA", "UGX"})
"""Currencies that Stripe counts in other units than ISO 4217, or does not know."""

_TOKEN = re.compile(r"pm_[A-Za-z0-9_]{1,60}")
_UNKNOWN = Unknown(reason="there is no key for it, or no reference")
_KEY = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9_]{8,}")


@dataclass(frozen=True)
class StripeConnector:
    """Asks Stripe with the key of the account's mode, and never with the other mode's.

    Attributes:
        secret: Returns ``test_key``, ``live_key`` and ``return_url``, as far as there are any.
        base: Where the API is.
        seconds: How long one operation may take.
    """

    secret: Callable[[], Mapping[str, str]] = vault.stripe
    base: str = API_BASE
    seconds: float = TOTAL_SECONDS
    _notices: Notices = field(default_factory=Notices, repr=False)

    def authorize(self, order: Order) -> Outcome:
        """Create and confirm a payment. A token that was saved is charged without its payer."""
        if not _TOKEN.fullmatch(order.payment_method):
            return _refusal("token_unknown")
        if order.currency in OTHER_UNITS:
            return _refusal("currency_not_supported")
        api = self._api(_mode_of(order.account))
        if isinstance(api, Nothing):
            return api.outcome
        token = api.token(order.payment_method)
        if isinstance(token, Nothing):
            return token.outcome
        payment = api.create(order, token.customer)
        if isinstance(payment, Nothing):
            return payment.outcome
        return _done(answers.authorized(order, payment))

    def capture(self, order: Order) -> Outcome:
        """Take what was authorised, or a part of it; the rest is released."""
        return self._change(order, lambda api, name: api.capture(order, name), answers.captured)

    def void(self, order: Order) -> Outcome:
        """Release an authorisation, or a payment that waits for its payer."""
        return self._change(order, lambda api, name: api.cancel(order, name), answers.voided)

    def refund(self, order: Order) -> Outcome:
        """Give money back."""
        return self._change(order, lambda api, name: api.refund(order, name), answers.refunded)

    def contest(self, order: Order) -> Outcome:
        """Hand in the evidence of a dispute; it cannot be changed afterwards."""
        return self._change(order, lambda api, name: api.contest(order, name), answers.contested)

    def concede(self, order: Order) -> Outcome:
        """Give a dispute up."""
        return self._change(order, lambda api, name: api.concede(order, name), answers.conceded)

    def lookup(self, order: Order) -> Outcome:
        """Say what became of an order.

        A payment whose payer has not confirmed it in a day is abandoned by the way: Stripe would
        wait for ever.
        """
        api = self._api(_mode_of(order.account))
        return _UNKNOWN if isinstance(api, Nothing) else _found(api, order)

    def notices(self, at: datetime, account: str | None = None) -> list[Notice]:
        """Return what happened to disputes in the last three days, oldest first.

        Stripe remembers nothing about who has read what: a notice is repeated until it is too
        old, under the same id.
        """
        modes = [_mode_of(account)] if account else ["test", "live"]
        found: list[Notice] = []
        for mode in modes:
            api = self._api(mode, share=len(modes))
            if not isinstance(api, Nothing):
                found += self._notices.read(api, at, mode)
        return [notice for notice in found if account in (None, notice.account)]

    def next_notice(self, until: datetime, account: str) -> datetime | None:
        """Return None: Stripe's time is its own, and no clock of ours moves it."""

    def acknowledge(self, account: str, notice: str) -> None:
        """Nothing: there is nowhere to write it down, and repeating a notice does no harm."""

    def _change(
        self,
        order: Order,
        act: Callable[[Api, str], Shape | Nothing],
        reading: Callable[[Order, Shape], Outcome],
    ) -> Outcome:
        """Have something done about a payment or a dispute that exists."""
        api = self._api(_mode_of(order.account))
        if isinstance(api, Nothing) or order.reference is None:
            return _UNKNOWN
        answer = act(api, order.reference)
        if isinstance(answer, Refused) and answer.by == "request":
            # Perhaps because it has been done already, by this order or by a person.
            found = _found(api, order)
            return answer.outcome if isinstance(found, Missing) else found
        if isinstance(answer, Nothing):
            return answer.outcome
        return _done(reading(order, answer))

    def _api(self, mode: str, share: int = 1) -> Api | Nothing:
        """Return a conversation with the key of a mode; a key of the other mode is none."""
        try:
            secret = self.secret()
        except Exception:  # noqa: BLE001 - whatever it is, nobody has been asked anything
            observe.failure("stripe.no_secret")
            return Silent("the secret cannot be read")
        key = secret.get(f"{mode}_key", "")
        known = _KEY.fullmatch(key)
        if known is None or known[1] != mode:
            observe.line("stripe.no_key", mode=mode)
            vault.forget()  # somebody may put one there
            return Refused(by="request", code="no_key_for_this_mode")
        from ivy.connectors.stripe_api import Api  # noqa: PLC0415 - a layer of one function

        return Api(key, self.base, self.seconds / share, secret.get("return_url"))


def _mode_of(account: str) -> str:
    return account.rpartition("-")[2]


def _refusal(code: str) -> Declined:
    """Refuse what Stripe was not asked."""
    return Refused(by="request", code=code).outcome


def _known(
    order: Order, answer: Shape | Nothing, reading: Callable[[Order, Shape], Outcome]
) -> Outcome:
    """Return what the answer to a look-up means: being refused one says nothing."""
    if isinstance(answer, Refused):
        return Unknown(reason=f"looking it up was refused: {answer.code}")
    return answer.outcome if isinstance(answer, Silent) else reading(order, answer)


def _done(outcome: Outcome) -> Outcome:
    """Make nothing certain of an answer that says neither yes nor no."""
    return Unknown(reason="nothing came of it") if isinstance(outcome, Missing) else outcome


def _found(api: Api, order: Order) -> Outcome:
    """Say what became of an order."""
    if order.operation == "authorize":
        return _found_authorization(api, order)
    name = order.reference
    if name is None:
        return _UNKNOWN
    match order.operation:
        case "capture":
            return _known(order, api.payment(name), answers.captured)
        case "void":
            return _known(order, api.payment(name), answers.voided)
        case "refund":
            return _known(order, api.refunds_of(name), answers.refunded_among)
        case "contest" | "concede":
            contest = order.operation == "contest"
            reading = answers.contested if contest else answers.conceded
            return _known(order, api.dispute(name), reading)


def _found_authorization(api: Api, order: Order) -> Outcome:
    """Find a payment by name, or by the order's key in its metadata.

    A search may not know yet what was made a minute ago. Then it is asked for again, with the
    same idempotency key, and Stripe returns what it has: it keeps keys for a day.
    """
    if order.reference is None:
        outcome = _known(order, api.payments_of(order), answers.authorized_among)
    else:
        outcome = _known(order, api.payment(order.reference), answers.authorized)
    if isinstance(outcome, RequiresAction) and order.at >= outcome.until:
        given_up = api.abandon(order, outcome.reference)
        return _done(_known(order, given_up, answers.authorized))
    return outcome
