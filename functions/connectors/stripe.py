"""Connector ``stripe``: payments with Stripe's own tokens. Off unless switched on."""

from functools import cache
from typing import Any

from ivy.connectors import answering
from ivy.connectors.stripe import API_BASE, StripeConnector
from ivy.needs import Need
from ivy.serve import connector
from ivy.settings import settings


@connector("stripe", uses=(Need.STRIPE,))
def handler(message: dict[str, Any]) -> Any:
    """Carry out orders at Stripe, or tell what happened to disputes."""
    return answering.answer(acquirer(), message)


@cache
def acquirer() -> StripeConnector:
    """Return the connector of this environment: it remembers whose payments disputes are about."""
    return StripeConnector(base=settings().stripe_api_base or API_BASE)
