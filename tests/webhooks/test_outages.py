"""An endpoint that only fails: warned, disabled, and given what it missed once it is back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from functions.events import publish
from functions.webhooks import test as test_endpoint
from functions.webhooks import update
from tests.webhooks.shop import Shop

HALF_A_DAY = {"hours": 12}
WARNING, DISABLED = "webhook_endpoint.warning", "webhook_endpoint.disabled"
RECOVERED = "webhook_endpoint.recovered"


def told(shop: Shop, endpoint: str) -> list[tuple[str, Any]]:
    """Return what a merchant hears of an endpoint, in order."""
    return [
        (each["type"], each["data"]["warned_percent"] or each["data"]["disabled_reason"])
        for each in shop.events(after_sequence="0", type="webhook_endpoint.*")
        if each["data"]["id"] == endpoint
    ]


def gone(shop: Shop, *events: str) -> str:
    """Have an endpoint that is disabled because it answered 410; two charges were in between."""
    endpoint = shop.endpoint("gone", *events)
    shop.pay()
    shop.pay()
    shop.platform.publish()
    assert shop.get(endpoint)["status"] == "disabled"
    return endpoint


def arrivals(shop: Shop, behaviour: str = "ok") -> Counter[str]:
    return Counter(each.headers["webhook-id"] for each in shop.arrived(behaviour))


def wanted(shop: Shop) -> Counter[str]:
    """Return that each event about charges arrives once."""
    return Counter(each["id"] for each in shop.events(type="charge.*"))


def on_their_way(shop: Shop) -> int:
    """Return how many messages the sender's queue holds, also those it still holds back."""
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    found = shop.platform.client("sqs").get_queue_attributes(
        QueueUrl=shop.platform.queues["webhooks"], AttributeNames=counts
    )["Attributes"]
    return sum(int(found[each]) for each in counts)


def recorded(shop: Shop) -> int:
    """Return how many events about charges there are, whether or not anybody sees them yet.

    Not two for each charge: on a busy machine the acquirer may answer too late for this test.
    """
    with shop.platform.store.superuser() as root:
        found = root.execute("SELECT count(*) FROM events WHERE type LIKE 'charge.%'").fetchone()
    return int((found or (0,))[0])


def test_five_days_of_failure_are_warned_of_and_made_good_by_one_patch(shop: Shop) -> None:
    endpoint = shop.endpoint("broken", "charge.*")
    shop.endpoint("accepted", "webhook_endpoint.*")
    for _ in range(12):
        shop.pay()
        shop.platform.publish()
        shop.platform.pass_time(**HALF_A_DAY)
    assert told(shop, endpoint) == [(WARNING, 50), (WARNING, 70), (WARNING, 90), (DISABLED, 90)]
    broken = shop.get(endpoint)
    assert (broken["status"], broken["disabled_reason"]) == ("disabled", "failing")
    assert shop.deliveries(endpoint, status="pending") == []
    assert len(shop.arrived("accepted")) == 4
    attempted, queued = len(shop.arrived("broken")), on_their_way(shop)
    known = {each["id"] for each in shop.events()}
    for _ in range(3):
        shop.pay()
    shop.platform.publish()
    late = shop.arrived("broken")[attempted:]
    assert len(late) <= queued  # what the queue held then for its seconds, and nothing else
    assert {each.headers["webhook-id"] for each in late} <= known
    back = shop.change(endpoint, status="enabled", url=shop.target.url("ok"))
    assert (back["status"], back["failures"], back["warned_percent"]) == ("enabled", 0, 0)
    assert (back["disabled_reason"], back["disabled_at"]) == (None, None)
    shop.platform.publish()
    assert arrivals(shop) == wanted(shop)
    assert sum(wanted(shop).values()) == recorded(shop) >= 15
    shop.platform.pass_time(days=2)
    shop.platform.publish()
    assert arrivals(shop) == wanted(shop)


def test_one_that_recovers_after_a_warning_starts_afresh(shop: Shop) -> None:
    endpoint = shop.endpoint("broken", "charge.*")
    shop.pay()
    shop.platform.publish()
    shop.platform.pass_time(days=3)
    shop.platform.publish()
    failing = shop.get(endpoint)
    assert failing["warned_percent"] == 50
    assert failing["failures"] > 2
    with shop.platform.store.superuser() as root:  # mended where it is, not by a PATCH
        root.execute("UPDATE webhook_endpoints SET url = %s", (shop.target.url("ok"),))
    shop.platform.pass_time(days=1)
    shop.platform.publish()
    assert told(shop, endpoint) == [(WARNING, 50), (RECOVERED, None)]
    well = shop.get(endpoint)
    assert (well["failures"], well["failing_since"], well["warned_percent"]) == (0, None, 0)
    assert well["resting_until"] is None


def test_410_disables_at_once_and_others_hear_of_it(shop: Shop) -> None:
    shop.endpoint("ok", "webhook_endpoint.*")
    endpoint = gone(shop, "*")
    shop.platform.publish()
    disabled = shop.get(endpoint)
    assert disabled["disabled_reason"] == "gone"
    assert disabled["disabled_at"] is not None
    (heard,) = shop.arrived("ok")
    assert b'"type":"webhook_endpoint.disabled"' in heard.body
    assert {each["failure_reason"] for each in shop.deliveries(endpoint)} == {"endpoint_disabled"}
    arrived = len(shop.arrived("gone"))
    shop.pay()
    shop.platform.pass_time(days=2)
    shop.platform.publish()
    assert len(shop.arrived("gone")) == arrived
    refused = shop.ask(test_endpoint.handler, id=endpoint)
    assert (refused.status, refused.code) == (409, "endpoint_not_enabled")


@pytest.mark.parametrize(
    "steps",
    [
        [{"status": "enabled", "url": "ok"}],
        [{"url": "ok"}, {"status": "enabled"}],
        [{"status": "paused", "url": "ok"}, {"status": "enabled"}],
        [{"status": "paused"}, {"url": "ok"}, {"description": "again"}, {"status": "enabled"}],
    ],
)
def test_whichever_way_it_comes_back_it_gets_everything_once(
    shop: Shop, steps: list[dict[str, Any]]
) -> None:
    endpoint = gone(shop, "charge.*")
    shop.pay()
    shop.platform.publish()
    for step in steps:
        url = {"url": shop.target.url("ok")} if "url" in step else {}
        shop.change(endpoint, **step | url)
        shop.pay()
        shop.platform.publish()
    shop.platform.publish()
    assert arrivals(shop) == wanted(shop)


def test_what_failed_is_given_again_however_old_it_is(shop: Shop) -> None:
    """The event is older than the first failure: it waited for its number, or for an endpoint."""
    endpoint = shop.endpoint("gone", "charge.*")
    shop.change(endpoint, status="paused")
    shop.pay()
    shop.platform.publish()
    with shop.platform.store.superuser() as root:
        root.execute("UPDATE webhook_endpoints SET status = 'enabled'")
    shop.platform.pass_time(days=3)
    shop.platform.publish()
    assert shop.get(endpoint)["status"] == "disabled"
    shop.change(endpoint, status="enabled", url=shop.target.url("ok"))
    shop.platform.publish()
    assert arrivals(shop) == wanted(shop)


def test_what_was_made_before_and_numbered_after_is_not_missed(shop: Shop) -> None:
    endpoint = shop.endpoint("gone", "charge.*")
    shop.pay()
    shop.platform.deliver(publish.handler)
    shop.platform.publish()
    with shop.platform.store.superuser() as root:
        root.execute("UPDATE webhook_endpoints SET disabled_at = disabled_at + interval '1 minute'")
    shop.pay()  # before it was disabled, and fanned out when it was
    shop.platform.publish()
    shop.change(endpoint, status="enabled", url=shop.target.url("ok"))
    shop.platform.publish()
    assert arrivals(shop) == wanted(shop)
    assert len(wanted(shop)) == 4


def test_what_had_arrived_or_been_given_up_before_is_not_sent_again(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*")
    shop.pay()
    shop.platform.publish()
    shop.change(endpoint, url=shop.target.url("gone"))
    before = arrivals(shop)
    shop.pay()
    shop.platform.publish()
    shop.change(endpoint, status="enabled", url=shop.target.url("accepted"))
    shop.platform.publish()
    assert arrivals(shop, "accepted") == wanted(shop) - before
    assert arrivals(shop) == before


def test_a_pause_forgives_but_the_same_address_again_does_not(shop: Shop) -> None:
    endpoint = shop.endpoint("broken", "charge.*")
    shop.pay()
    shop.platform.publish()
    failing = shop.get(endpoint)
    assert failing["failures"] > 0
    same = shop.ask(update.handler, {"url": failing["url"], "status": "enabled"}, id=endpoint)
    assert same.json() == failing
    assert shop.change(endpoint, status="paused")["failures"] == failing["failures"]
    fresh = shop.change(endpoint, status="enabled")
    assert (fresh["failures"], fresh["failing_since"], fresh["resting_until"]) == (0, None, None)
