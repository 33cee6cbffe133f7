"""What arrives: the events that were asked for, signed, small enough, and kept in a log."""

from __future__ import annotations

import json
from typing import Any

from functions.webhooks import rotate_secret
from functions.webhooks import test as test_endpoint
from ivy import events, ids, webhook_secrets
from ivy.events import Event
from tests.driving import PUBLISHERS
from tests.verifiers import EVERYBODY, Signed, accepting
from tests.webhook_target import Received
from tests.webhooks.shop import Shop

FULL = {f"{i:02}" + "\N{PILE OF POO}" * 38: "\N{PILE OF POO}" * 500 for i in range(50)}
"""The largest metadata that a charge can have."""


def types(arrived: list[Received]) -> list[str]:
    return sorted(json.loads(each.body)["type"] for each in arrived)


def signed(received: Received, secret: str) -> Signed:
    return Signed(secret, received.headers, received.body.decode())


def test_an_endpoint_gets_what_it_subscribes_to(shop: Shop) -> None:
    shop.endpoint("ok", "*")
    shop.endpoint("accepted", "charge.*")
    shop.endpoint("chunked", "charge.failed", "refund.*")
    shop.endpoint("no_content", "dispute.*")
    shop.endpoint("until_closed", "charge.*", "charge.failed", "*")
    shop.pay()
    shop.pay("tok_declined")
    shop.platform.publish()
    everything = ["charge.failed", "charge.pending", "charge.pending", "charge.succeeded"]
    for behaviour in ("ok", "accepted", "until_closed"):
        assert types(shop.arrived(behaviour)) == everything
    assert types(shop.arrived("chunked")) == ["charge.failed"]
    assert shop.arrived("no_content") == []


def test_what_arrives_is_the_event_and_its_log_says_so(shop: Shop) -> None:
    endpoint = shop.endpoint("telling", "charge.succeeded")
    charge = shop.pay(metadata={"order": "7"})
    shop.platform.publish()
    (received,) = shop.arrived("telling")
    (event,) = shop.events(type="charge.succeeded")
    body = json.loads(received.body)
    assert received.headers["webhook-id"] == body["id"] == event["id"]
    assert list(body) == [
        *("id", "type", "timestamp", "sequence", "livemode", "api_version", "data"),
        "balance_changes",
    ]
    assert body["data"] == event["data"]
    assert (body["data"]["id"], body["data"]["metadata"]) == (charge, {"order": "7"})
    assert (body["sequence"], body["timestamp"]) == (event["sequence"], event["created_at"])
    (listed,) = shop.deliveries(endpoint)
    (attempt,) = listed["attempts"]
    assert (listed["status"], listed["event"], listed["endpoint"]) == (
        "succeeded",
        event["id"],
        endpoint,
    )
    assert (attempt["number"], attempt["outcome"], attempt["status_code"]) == (1, "delivered", 200)
    assert (attempt["error"], attempt["response"]) == (None, None)
    answered = shop.delivery(listed["id"])
    response = answered["attempts"][0].pop("response")
    assert response.startswith("card ")
    assert "4242" not in response.replace(" ", "").removesuffix("4242")
    assert not {"\x00", "\x1b", "\u202e"} & set(response)
    del listed["attempts"][0]["response"]
    assert answered == listed


def test_what_waits_during_a_pause_arrives_after_it(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*")
    shop.pay()
    shop.platform.publish()
    before = len(shop.arrived())
    shop.change(endpoint, status="paused")
    for _ in range(2):
        shop.pay()
        shop.platform.publish()
    refused = shop.ask(test_endpoint.handler, id=endpoint)
    assert (refused.status, refused.code) == (409, "endpoint_not_enabled")
    assert len(shop.arrived()) == before
    assert len(shop.deliveries(endpoint, status="pending")) == 4
    shop.change(endpoint, status="enabled")
    shop.platform.drain(*PUBLISHERS)
    assert sorted(each.headers["webhook-id"] for each in shop.arrived()) == sorted(
        each["id"] for each in shop.events(type="charge.*")
    )


def test_a_test_event_goes_to_one_endpoint_whatever_it_subscribes_to(shop: Shop) -> None:
    tested = shop.endpoint("ok", "dispute.won")
    shop.endpoint("accepted", "*")
    shop.endpoint("chunked", "webhook_endpoint.test")
    answer = shop.ask(test_endpoint.handler, id=tested)
    assert answer.status == 202
    shop.platform.drain(*PUBLISHERS)
    (received,) = shop.target.received
    body = json.loads(received.body)
    assert (body["id"], body["type"]) == (answer.json()["event"], "webhook_endpoint.test")
    assert body["data"] == shop.get(tested)
    again = shop.ask(test_endpoint.handler, id=tested)
    assert again.json()["event"] != body["id"]


def test_every_library_verifies_with_the_secrets_of_the_moment(shop: Shop) -> None:
    """During an overlap the old secret and the new one do, afterwards only the new one."""
    endpoint = shop.endpoint("ok", "charge.pending")

    def arrive() -> Received:
        webhook_secrets._cache.clear()  # as after a minute
        shop.pay()
        shop.platform.publish()
        return shop.arrived()[-1]

    def rotate(**fields: int) -> str:
        rotated = shop.ask(rotate_secret.handler, fields, id=endpoint)
        assert rotated.status == 200
        return str(rotated.json()["secret"])

    first = shop.secrets[endpoint]
    before = arrive()
    second = rotate(overlap_hours=1)
    during = arrive()
    shop.platform.pass_time(hours=1, seconds=1)
    after = arrive()
    third = rotate(overlap_hours=0)
    at_once = arrive()
    wanted = [
        (before, first, True), (before, second, False),
        (during, first, True), (during, second, True),
        (after, first, False), (after, second, True),
        (at_once, second, False), (at_once, third, True),
    ]  # fmt: skip
    found = accepting([signed(received, secret) for received, secret, _ in wanted])
    assert found == [EVERYBODY if verifies else set() for *_, verifies in wanted]
    counts = [len(each.headers["webhook-signature"].split()) for each in shop.arrived()]
    assert counts == [1, 2, 1, 1]


def test_an_event_that_would_be_too_large_goes_without_what_fills_it(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*")
    description = "\N{PILE OF POO}" * 1000
    shop.pay(metadata=FULL, description=description)
    shop.pay(metadata={"small": "1"}, description=description)
    shop.platform.publish()
    bodies = {each.body for each in shop.arrived()}
    assert len(bodies) == 4
    assert all(len(each) < events.MAX_BODY_BYTES for each in bodies)
    large = [each for each in map(json.loads, bodies) if each["data"]["metadata"] == {}]
    assert [each["omitted"] for each in large] == [["metadata", "description"]] * 2
    assert [each["data"]["description"] for each in large] == [None] * 2
    small = [each for each in map(json.loads, bodies) if each["data"]["metadata"]]
    assert [each["data"]["description"] for each in small] == [description] * 2
    assert all("omitted" not in each for each in small)
    (whole,) = [
        each for each in shop.events(type="charge.pending") if each["data"]["metadata"] == FULL
    ]
    assert whole["data"]["description"] == description
    received = [signed(each, shop.secrets[endpoint]) for each in shop.arrived()]
    assert accepting(received) == [EVERYBODY] * 4


def event(**data: Any) -> Event:
    at = ids.now()
    return Event(
        id=ids.new(at),
        livemode=False,
        created_at=at,
        type="charge.pending",
        sequence=1,
        data=data,
        balance_changes=[],
    )


def test_the_limit_is_in_bytes_and_exact() -> None:
    frame = len(events.notification(event(metadata={"a": ""}), "2026-12-01").encode())
    for filling, left in (("a", 0), ("\N{PILE OF POO}", 3), ('"', 1), ("\u0080", 1)):
        size = len(json.dumps(filling, ensure_ascii=False).encode()) - 2
        fits = (events.MAX_BODY_BYTES - 1 - frame) // size
        kept = events.notification(event(metadata={"a": filling * fits}), "2026-12-01")
        assert events.MAX_BODY_BYTES - 1 - left <= len(kept.encode()) < events.MAX_BODY_BYTES
        assert json.loads(kept)["data"]["metadata"] == {"a": filling * fits}
        cut = events.notification(event(metadata={"a": filling * (fits + 1)}), "2026-12-01")
        assert json.loads(cut)["data"]["metadata"] == {}
        assert json.loads(cut)["omitted"] == ["metadata"]


def test_members_keep_the_order_of_the_api(shop: Shop) -> None:
    shop.endpoint("ok", "charge.succeeded")
    shop.pay()
    shop.platform.publish()
    (received,) = shop.arrived()
    (listed,) = shop.events(type="charge.succeeded")
    assert list(json.loads(received.body)["data"]) == list(listed["data"])
