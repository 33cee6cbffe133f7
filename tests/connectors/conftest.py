"""A stand-in for Stripe for each test, and a connector that speaks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ivy.connectors.stripe import StripeConnector
from tests.connectors.stripe_orders import KEYS, RETURN_URL
from tests.connectors.stripe_server import StripeServer, serving


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with serving() as running:
        yield running


@pytest.fixture
def stripe(server: StripeServer) -> StripeConnector:
    return StripeConnector(secret=lambda: KEYS, base=server.base)


@pytest.fixture
def present(server: StripeServer) -> StripeConnector:
    """A connector for payers who are there to confirm."""
    return StripeConnector(secret=lambda: {**KEYS, "return_url": RETURN_URL}, base=server.base)
