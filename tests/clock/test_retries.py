"""Webhooks go by their merchant's clock: ten attempts over three days, in a moment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from functions.settlements import settle
from functions.test_clock import advance, get, step
from ivy import clock_run
from ivy.delivery_outcomes import SCHEDULE
from tests.driving import CONSUMERS, PUBLISHERS, Platform
from tests.webhook_target import WebhookTarget
from tests.webhooks.shop import Shop


@pytest.fixture
def shop(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(clock_run, "TURN_SECONDS", 0)
    monkeypatch.setattr(clock_run, "PATIENCE_TURNS", 200)
    with WebhookTarget() as target:
        yield Shop(platform, platform.open_account(), target)


def go(shop: Shop, days: int) -> None:
    asked = shop.platform.post(advance.handler, shop.account, {"days": days})
    assert asked.status == 202, asked.body
    shop.platform.drain(step.handler, settle.handler, *CONSUMERS, *PUBLISHERS)
    shop.platform.publish()
    assert shop.platform.read(get.handler, shop.account)["status"] == "ready"


def test_an_endpoint_that_fails_is_tried_by_the_schedule(shop: Shop) -> None:
    endpoint = shop.endpoint("broken", "charge.succeeded")
    shop.endpoint("ok", "*")
    shop.pay()
    shop.platform.publish()
    go(shop, 4)
    (delivery,) = shop.deliveries(endpoint)
    attempts = shop.delivery(delivery["id"])["attempts"]
    assert [each["number"] for each in attempts] == list(range(1, len(SCHEDULE) + 1))
    assert delivery["failure_reason"] == "attempts_exhausted"
    times = [datetime.fromisoformat(each["at"]) for each in attempts]
    for earlier, later, wait in zip(times[:-1], times[1:], SCHEDULE[1:], strict=True):
        assert wait * 0.9 <= later - earlier <= wait * 1.1 + timedelta(minutes=2)


def test_what_arrives_is_in_order_and_signed_in_real_time(shop: Shop) -> None:
    shop.endpoint("ok", "*")
    shop.pay()
    shop.pay("tok_ach_r01")
    shop.pay(capture=False)
    go(shop, 10)
    arrived = shop.arrived()
    bodies = [json.loads(each.body) for each in arrived]
    order = sorted(bodies, key=lambda body: body["sequence"])
    assert [body["timestamp"] for body in order] == sorted(body["timestamp"] for body in bodies)
    assert {"charge.expired", "charge.failed", "settlement.closed", "test_clock.ready"} <= {
        body["type"] for body in bodies
    }
    now = datetime.now(UTC).timestamp()
    for each in arrived:
        assert abs(int(each.headers["webhook-timestamp"]) - now) < 300
    days = [body["timestamp"][:10] for body in bodies]
    assert days == sorted(days)  # as they came: nothing is sent before what was earlier
