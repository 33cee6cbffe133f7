"""Sending again by hand: one delivery, a time, or what failed; never what is on its way."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from functions.deliveries import resend
from functions.events import sweep
from functions.webhooks import replay
from ivy import deliveries
from tests.driving import PUBLISHERS
from tests.webhooks.shop import Shop

LONG_AGO = "2026-01-01T00:00:00Z"


def arrivals(shop: Shop, behaviour: str = "ok") -> Counter[str]:
    return Counter(each.headers["webhook-id"] for each in shop.arrived(behaviour))


def replayed(shop: Shop, endpoint: str, since: str = LONG_AGO, **fields: Any) -> dict[str, Any]:
    answer = shop.ask(replay.handler, {"since": since, **fields}, id=endpoint)
    assert answer.status == 202, answer.body
    found: dict[str, Any] = answer.json()
    return found


def earlier(moment: str, **by: float) -> str:
    return (datetime.fromisoformat(moment) - timedelta(**by)).isoformat()


# -- one delivery


def test_what_waits_is_sent_now_and_goes_on_counting(shop: Shop) -> None:
    endpoint = shop.endpoint("flapping", "charge.pending")
    shop.pay()
    assert shop.attempt() == 1
    (waiting,) = shop.deliveries(endpoint)
    with shop.platform.store.superuser() as root:
        root.execute("UPDATE deliveries SET next_attempt_at = now() + interval '20 hours'")
        root.execute("UPDATE webhook_endpoints SET resting_until = now() + interval '9 minutes'")
    assert shop.attempt() == 0
    answer = shop.ask(resend.handler, id=waiting["id"])
    assert (answer.status, answer.json()["id"]) == (202, waiting["id"])
    shop.platform.drain(*PUBLISHERS)
    (done,) = shop.deliveries(endpoint)
    assert (done["status"], [each["number"] for each in done["attempts"]]) == ("succeeded", [1, 2])
    assert len(arrivals(shop, "flapping")) == 1


def test_what_is_being_sent_is_not_sent_beside_itself(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending", ordered=True)
    shop.pay()
    shop.platform.run(sweep.handler)
    (sending,) = shop.deliveries(endpoint)
    assert sending["status"] == "sending"
    answer = shop.ask(resend.handler, id=sending["id"])
    assert (answer.status, answer.json()) == (202, sending)
    shop.platform.publish()
    assert sum(arrivals(shop).values()) == 1


def test_what_has_ended_begins_again_as_another_delivery(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    shop.platform.publish()
    (first,) = shop.deliveries(endpoint)
    again = shop.ask(resend.handler, id=first["id"]).json()
    assert again["id"] != first["id"]
    assert {**again, "id": 0, "created_at": 0} == {
        **first,
        "id": 0,
        "created_at": 0,
        "attempts": [],
        "status": "pending",
        "next_attempt_at": again["next_attempt_at"],
    }
    twice = shop.ask(resend.handler, id=first["id"]).json()
    assert twice == again  # it is still to be sent
    shop.platform.drain(*PUBLISHERS)
    assert list(arrivals(shop).values()) == [2]
    assert len({each.body for each in shop.arrived()}) == 1
    assert [each["status"] for each in shop.deliveries(endpoint)] == ["succeeded"] * 2


def test_nothing_is_resent_to_an_endpoint_that_is_not_enabled(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    shop.platform.publish()
    (first,) = shop.deliveries(endpoint)
    shop.change(endpoint, status="paused")
    for answer in (
        shop.ask(resend.handler, id=first["id"]),
        shop.ask(replay.handler, {"since": LONG_AGO}, id=endpoint),
    ):
        assert (answer.status, answer.code) == (409, "endpoint_not_enabled")
    assert len(shop.deliveries(endpoint)) == 1


# -- a time


def test_a_replay_sends_what_is_subscribed_to_also_what_was_before_the_endpoint(shop: Shop) -> None:
    shop.pay()
    shop.pay("tok_declined")
    shop.platform.publish()
    endpoint = shop.endpoint("ok", "charge.pending", "charge.failed")
    assert replayed(shop, endpoint) == {
        "object": "replay",
        "deliveries": 3,
        "has_more": False,
        "next_since": None,
    }
    shop.platform.drain(*PUBLISHERS)
    assert arrivals(shop) == Counter(
        each["id"] for each in shop.events() if each["type"] != "charge.succeeded"
    )
    assert replayed(shop, endpoint)["deliveries"] == 3  # again: all have ended
    assert replayed(shop, endpoint)["deliveries"] == 0  # they are on their way
    shop.platform.drain(*PUBLISHERS)
    assert set(arrivals(shop).values()) == {2}


def test_a_replay_is_from_since_on_and_before_until(shop: Shop) -> None:
    for _ in range(3):
        shop.pay()
        shop.platform.pass_time(hours=1)
    shop.platform.publish()
    first, second, third = shop.events(after_sequence="0", type="charge.pending")
    endpoint = shop.endpoint("ok", "charge.pending")
    at = [each["created_at"] for each in (first, second, third)]
    assert replayed(shop, endpoint, at[1], until=at[2])["deliveries"] == 1
    shop.platform.drain(*PUBLISHERS)
    assert arrivals(shop) == Counter([second["id"]])
    assert replayed(shop, endpoint, earlier(at[2], seconds=-1))["deliveries"] == 0
    assert replayed(shop, endpoint, earlier(at[0], days=3), until=at[1])["deliveries"] == 1


def test_a_replay_of_what_failed_leaves_the_rest_alone(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    for _ in range(4):
        shop.pay()
    shop.platform.publish()
    listed = shop.deliveries(endpoint)
    with shop.platform.store.superuser() as root:
        for each in listed[:2]:
            root.execute(
                "UPDATE deliveries SET status = 'failed', failure_reason = 'attempts_exhausted'"
                " WHERE id = %s",
                (each["id"].partition("_")[2],),
            )
    again = shop.ask(resend.handler, id=listed[0]["id"])  # whose last has then not failed
    assert again.status == 202
    shop.platform.drain(*PUBLISHERS)
    assert replayed(shop, endpoint, only_failed=True)["deliveries"] == 1
    shop.platform.drain(*PUBLISHERS)
    counts = arrivals(shop)
    assert [counts[each["event"]] for each in listed] == [2, 2, 1, 1]
    assert replayed(shop, endpoint, only_failed=True)["deliveries"] == 0


def test_a_long_replay_goes_on_page_by_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        shop.pay()
        shop.platform.pass_time(seconds=1)
    shop.platform.publish()
    endpoint = shop.endpoint("ok", "charge.pending")
    monkeypatch.setattr(deliveries, "REPLAY_LIMIT", 2)
    begun, since = [], LONG_AGO
    while since:
        page = replayed(shop, endpoint, since)
        begun.append(page["deliveries"])
        assert page["has_more"] == (page["next_since"] is not None)
        since = page["next_since"]
        shop.platform.drain(*PUBLISHERS)
    assert begun == [2, 2, 1]
    assert arrivals(shop) == Counter(each["id"] for each in shop.events(type="charge.pending"))


def test_a_replay_must_be_of_some_time(shop: Shop) -> None:
    endpoint = shop.endpoint()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "/since"),
        ({"since": "yesterday"}, "/since"),
        ({"since": "2026-01-01"}, "/since"),
        ({"since": LONG_AGO, "until": LONG_AGO}, ""),
        ({"since": LONG_AGO, "until": "2025-01-01T00:00:00Z"}, ""),
        ({"since": LONG_AGO, "only_failed": "yes"}, "/only_failed"),
        ({"since": LONG_AGO, "limit": 5}, "/limit"),
    ]
    for body, where in wrong:
        answer = shop.ask(replay.handler, body, id=endpoint)
        assert answer.status == 422, body
        assert where in [each["pointer"] for each in answer.json()["errors"]]
