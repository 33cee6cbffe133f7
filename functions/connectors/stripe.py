"""Connector ``stripe``: payments with Stripe's own tokens. Off unless switched on."""

from functools import cache
from typing import Any

from ivy.connectors import remote
from ivy.connectors.stripe import API_BASE, StripeConnector
from ivy.needs import Need
from ivy.serve import BACKGROUND_MEMORY_MB, connector
from ivy.settings import settings


@connector("stripe", uses=(Need.STRIPE,), memory_mb=BACKGROUND_MEMORY_MB)
def handler(message: dict[str, Any]) -> Any:
    """Carry out one order at Stripe, look one up, or tell what happened to disputes."""
    return remote.answer(acquirer(), message)


@cache
def acquirer() -> StripeConnector:
    """Return the connector of this environment: it remembers whose payments disputes are about."""
    return StripeConnector(base=settings().stripe_api_base or API_BASE)
