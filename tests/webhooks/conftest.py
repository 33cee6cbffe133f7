"""A deployment with merchants, and a place on this machine that webhooks can be sent to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ivy import webhook_secrets
from tests.driving import Platform
from tests.webhook_target import WebhookTarget
from tests.webhooks.shop import Shop


@pytest.fixture
def target() -> Iterator[WebhookTarget]:
    with WebhookTarget() as listening:
        yield listening


OpenShop = Callable[..., Shop]


@pytest.fixture
def open_shop(platform: Platform, target: WebhookTarget) -> OpenShop:
    """Open a merchant's account, with an address of its own."""

    def opened(email: str = "ada@example.com") -> Shop:
        return Shop(platform, platform.open_account(email), target)

    return opened


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    webhook_secrets._cache.clear()
    return open_shop()
