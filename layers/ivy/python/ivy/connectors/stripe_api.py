"""What Stripe is asked, through the official ``stripe`` package.

Only the function that speaks to Stripe carries the package, so this module is imported when an
order arrives, not before. Whatever goes wrong is an answer; nothing is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import stripe

from ivy import ids, observe, vault
from ivy.connectors import Order
from ivy.connectors.stripe_http import Clock, Transport
from ivy.connectors.stripe_objects import (
    ABANDONED,
    Dispute,
    Events,
    Intent,
    Intents,
    Nothing,
    PaymentMethod,
    Refund,
    Refunds,
    Refused,
    Shape,
    Silent,
    shaped,
)

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient, StripeObject
    from stripe.params import EventListParams, PaymentIntentCreateParams

DISPUTE_EVENTS = (
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.closed",
)
PAGE = 100

_COST = "latest_charge.balance_transaction"


class Api:
    """One operation's conversation with Stripe: its time starts now, name look-ups aside.

    Args:
        key: A secret or restricted key.
        base: Where the API is.
        seconds: How long all of it may take.
        return_url: Where payers come back to after confirming a payment; None if nowhere.
    """

    def __init__(self, key: str, base: str, seconds: float, return_url: str | None) -> None:
        stripe.enable_telemetry = False
        logging.getLogger("stripe").disabled = True  # it quotes what Stripe says about requests
        self._return_url = return_url
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": base},
            http_client=Transport(Clock(seconds)),
            max_network_retries=0,
        )

    def token(self, name: str) -> PaymentMethod | Nothing:
        """Return whose token it is."""
        return self._ask(PaymentMethod, lambda c: c.v1.payment_methods.retrieve(name))

    def create(self, order: Order, customer: str | None) -> Intent | Nothing:
        """Create a payment and confirm it at once."""
        params = _payment(order, customer, self._return_url)
        return self._ask(Intent, lambda c: c.v1.payment_intents.create(params, _once(order.key)))

    def capture(self, order: Order, name: str) -> Intent | Nothing:
        """Take what was authorised, or a part of it."""
        return self._ask(
            Intent,
            lambda c: c.v1.payment_intents.capture(
                name,
                {"amount_to_capture": order.amount_minor, "expand": [_COST]},
                _once(order.key),
            ),
        )

    def cancel(self, order: Order, name: str) -> Intent | Nothing:
        """Release an authorisation."""
        return self._ask(Intent, lambda c: c.v1.payment_intents.cancel(name, {}, _once(order.key)))

    def abandon(self, order: Order, name: str) -> Intent | Nothing:
        """Cancel a payment that its payer did not confirm in time."""
        return self._ask(
            Intent,
            lambda c: c.v1.payment_intents.cancel(
                name, {"cancellation_reason": ABANDONED}, _once(f"{order.key}.abandon")
            ),
        )

    def refund(self, order: Order, name: str) -> Refund | Nothing:
        """Give money back."""
        return self._ask(
            Refund,
            lambda c: c.v1.refunds.create(
                {
                    "payment_intent": name,
                    "amount": order.amount_minor,
                    "metadata": _metadata(order),
                },
                _once(order.key),
            ),
        )

    def contest(self, order: Order, name: str) -> Dispute | Nothing:
        """Hand in the evidence of a dispute, for good."""
        return self._ask(
            Dispute,
            lambda c: c.v1.disputes.update(
                name,
                {"evidence": {"uncategorized_text": order.evidence or ""}, "submit": True},
                _once(order.key),
            ),
        )

    def concede(self, order: Order, name: str) -> Dispute | Nothing:
        """Give a dispute up."""
        return self._ask(Dispute, lambda c: c.v1.disputes.close(name, {}, _once(order.key)))

    def payment(self, name: str) -> Intent | Nothing:
        """Return a payment as it is now."""
        return self._ask(Intent, lambda c: c.v1.payment_intents.retrieve(name, {"expand": [_COST]}))

    def payments_of(self, order: Order) -> Intents | Nothing:
        """Return the payments that carry an order's key; one made a moment ago may be missing."""
        key = order.key.replace("\\", "\\\\").replace("'", "\\'")
        return self._ask(
            Intents,
            lambda c: c.v1.payment_intents.search(
                {"query": f"metadata['ivy_order']:'{key}'", "expand": [f"data.{_COST}"]}
            ),
        )

    def refunds_of(self, name: str) -> Refunds | Nothing:
        """Return the newest refunds of a payment."""
        return self._ask(
            Refunds, lambda c: c.v1.refunds.list({"payment_intent": name, "limit": PAGE})
        )

    def dispute(self, name: str) -> Dispute | Nothing:
        """Return a dispute as it is now."""
        return self._ask(Dispute, lambda c: c.v1.disputes.retrieve(name))

    def events(self, since: datetime, after: str | None) -> Events | Nothing:
        """Return a page of what happened to disputes, newest first, from ``after`` backwards."""
        params: EventListParams = {
            "types": list(DISPUTE_EVENTS),
            "created": {"gte": int(since.timestamp())},
            "limit": PAGE,
        }
        if after is not None:
            params["starting_after"] = after
        return self._ask(Events, lambda c: c.v1.events.list(params))

    def _ask(
        self, kind: type[Shape], question: Callable[[StripeClient], StripeObject]
    ) -> Shape | Nothing:
        """Ask one question, and take nothing of the answer on trust."""
        try:
            return shaped(kind, question(self._client).to_dict())
        except stripe.CardError as error:
            return _refused("card", error)
        except stripe.InvalidRequestError as error:
            return _refused("request", error)
        except stripe.AuthenticationError:
            vault.forget()  # the key may have been rolled since it was read
            return Silent("the key was refused")
        except Exception as error:  # noqa: BLE001 - also what the package itself stumbles over
            return Silent(type(error).__name__)  # its words may quote the request, and so the key


def _payment(
    order: Order, customer: str | None, return_url: str | None
) -> PaymentIntentCreateParams:
    """Return what a payment is created with.

    The token of a customer was saved, and its payer is not there. Any other is fresh, and its
    payer may be asked to confirm, if there is a page to come back to.
    """
    params: PaymentIntentCreateParams = {
        "amount": order.amount_minor,
        "currency": order.currency.lower(),
        "payment_method": order.payment_method,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "capture_method": "automatic" if order.capture else "manual",
        "confirm": True,
        "metadata": _metadata(order),
        "expand": [_COST],
    }
    if customer is not None:
        params["customer"] = customer
        params["off_session"] = True
    elif return_url:
        params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "always"}
        params["return_url"] = return_url
    else:
        params["error_on_requires_action"] = True
    return params


def _metadata(order: Order) -> dict[str, str]:
    """Return what finds an object again, and says whose it is."""
    return {
        "ivy_order": order.key,
        "ivy_account": order.account,
        "ivy_charge": ids.Prefix("ch").write(order.charge),
    }


def _once(key: str) -> RequestOptions:
    return {"idempotency_key": key}


def _refused(
    by: Literal["card", "request"], error: stripe.CardError | stripe.InvalidRequestError
) -> Refused:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    said = body.get("error")
    refused = Refused.parsed(by, said if isinstance(said, dict) else {}, error.request_id)
    observe.line(
        "stripe.refused",
        by=by,
        code=refused.code,
        decline=refused.decline_code,
        request=refused.request,
    )
    return refused
