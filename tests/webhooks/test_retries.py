"""Trying again: by the schedule, ten times, in order where that is asked for, never twice by us."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from functions.events import sweep
from functions.webhooks import delete, record
from ivy import delivery_outcomes, ids, operations, sender, wire
from ivy.database import Tenant
from ivy.delivery_outcomes import SCHEDULE
from ivy.webhook_messages import Attempted, Delivery
from tests.webhooks.shop import Shop

REASONS = {
    "redirect": ("redirect", 302),
    "redirect_kept": ("redirect", 307),
    "not_modified": ("redirect", 304),
    "refused": ("bad_status", 400),
    "broken": ("bad_status", 500),
}


def attempted(message: str, **told: Any) -> str:
    """Return what the sender would report of a message it got."""
    delivery = Delivery.model_validate_json(message)
    failed = told.get("outcome", "failed") == "failed"
    fields: dict[str, Any] = {
        "delivery": delivery.id,
        "account": delivery.account,
        "endpoint": delivery.endpoint,
        "number": delivery.number,
        "at": ids.now().replace(microsecond=0),
        "outcome": "failed",
        "status_code": 500 if failed else 200,
        "error": "bad_status" if failed else None,
        "milliseconds": 10,
        "response": "",
        "retry_after_seconds": None,
        "gone": False,
    }
    return Attempted(**fields | told).model_dump_json()


def told(shop: Shop, *results: str) -> None:
    assert shop.platform.hand_over(record.handler, *results) == []


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def claimed(shop: Shop, **later: float) -> list[str]:
    """Let time pass and return the messages of what is due, which reach nobody."""
    shop.platform.pass_time(**later)
    shop.platform.run(sweep.handler)
    messages = shop.platform.messages("webhooks")
    shop.platform.lose_messages("webhooks")
    return messages


def test_the_schedule_is_kept_for_ten_attempts_of_the_same_bytes(shop: Shop) -> None:
    endpoint = shop.endpoint("broken", "charge.pending")
    shop.pay()
    assert shop.attempt() == 1
    for number in range(1, len(SCHEDULE)):
        (delivery,) = shop.deliveries(endpoint)
        assert delivery["status"] == "pending"
        assert len(delivery["attempts"]) == number
        last, due = delivery["attempts"][-1], moment(delivery["next_attempt_at"])
        ended = moment(last["at"]) + timedelta(milliseconds=last["milliseconds"])
        spread = (due - ended) / SCHEDULE[number]
        assert 0.9 - 0.001 <= spread <= 1.1 + 0.001, number
        early = due - timedelta(seconds=62)
        if early > ids.now():
            assert shop.attempt(seconds=(early - ids.now()).total_seconds()) == 0
        resting = shop.get(endpoint)["resting_until"]
        ready = max(due, moment(resting)) if resting else due
        assert shop.attempt(seconds=(ready - ids.now()).total_seconds() + 0.1) == 1
    (delivery,) = shop.deliveries(endpoint)
    assert (delivery["status"], delivery["failure_reason"]) == ("failed", "attempts_exhausted")
    assert delivery["next_attempt_at"] is None
    assert [each["number"] for each in delivery["attempts"]] == list(range(1, 11))
    assert shop.attempt(days=30) == 0
    assert len(shop.arrived("broken")) == 10
    assert len({each.body for each in shop.arrived("broken")}) == 1
    assert len({each.headers["webhook-id"] for each in shop.arrived("broken")}) == 1


def test_the_wait_counts_from_the_end_of_an_attempt_and_is_never_shorter_than_asked() -> None:
    fields: dict[str, Any] = {"delivery": ids.new(ids.now()), "endpoint": ids.new(ids.now())}
    failed = Attempted(
        **fields,
        account="1-test",
        number=4,
        at=datetime.fromisoformat("2026-11-24T09:30:00Z"),
        outcome="failed",
        status_code=None,
        error="hang",
        milliseconds=1500,
        response=None,
        retry_after_seconds=None,
        gone=False,
    )
    ended = failed.at + timedelta(seconds=1.5)
    assert delivery_outcomes.next_attempt_at(failed) == ended + timedelta(hours=2)
    assert delivery_outcomes.next_attempt_at(failed, 0.9) == ended + timedelta(hours=1.8)
    patient = failed.model_copy(update={"retry_after_seconds": 24 * 3600})
    assert delivery_outcomes.next_attempt_at(patient, 1.1) == ended + timedelta(hours=24)
    impatient = failed.model_copy(update={"retry_after_seconds": 1})
    assert delivery_outcomes.next_attempt_at(impatient, 1.1) == ended + timedelta(hours=2.2)


def test_an_endpoint_that_asks_to_wait_is_left_alone(shop: Shop) -> None:
    endpoint = shop.endpoint("busy", "charge.pending")
    shop.pay()
    assert shop.attempt() == 1
    (delivery,) = shop.deliveries(endpoint)
    (attempt,) = delivery["attempts"]
    waits = moment(delivery["next_attempt_at"]) - moment(attempt["at"])
    assert timedelta(seconds=120) <= waits < timedelta(seconds=130)
    shop.pay()  # nor is it sent another event
    assert shop.attempt(seconds=30) == 0
    assert shop.attempt(seconds=100) == 2
    assert len(shop.arrived("busy")) == 3


def test_whatever_it_answers_is_an_attempt_in_the_log(shop: Shop) -> None:
    odd = ["garbage", "nothing", "odd_status", "cut", "reset", "endless_header", "many_headers"]
    endpoints = {
        behaviour: shop.endpoint(behaviour, "charge.pending") for behaviour in [*REASONS, *odd]
    }
    closed = shop.endpoint("ok", "charge.pending")
    shop.change(closed, url="http://127.0.0.1:9/")
    shop.pay()
    assert shop.attempt() == len(endpoints) + 1
    for behaviour, endpoint in [*endpoints.items(), ("closed", closed)]:
        (delivery,) = shop.deliveries(endpoint)
        (attempt,) = delivery["attempts"]
        assert (delivery["status"], attempt["outcome"]) == ("pending", "failed"), behaviour
        assert attempt["error"]
        if behaviour in REASONS:
            assert (attempt["error"], attempt["status_code"]) == REASONS[behaviour]
        assert shop.get(endpoint)["failures"] == 1
    assert len(shop.target.received) == len(endpoints)  # nobody was followed anywhere


def test_a_timeout_is_an_attempt_like_any_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = partial(wire.Wire, limits=wire.Limits(total_seconds=0.5))
    monkeypatch.setattr(sender, "Wire", hasty)
    endpoint = shop.endpoint("hang", "charge.pending")
    shop.pay()
    assert shop.attempt() == 1
    (delivery,) = shop.deliveries(endpoint)
    (attempt,) = delivery["attempts"]
    assert (attempt["outcome"], attempt["status_code"]) == ("failed", None)
    assert attempt["error"] == "timeout"


# -- results


def test_a_result_that_is_told_twice_counts_once(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    (message,) = claimed(shop)
    failed = attempted(message)
    told(shop, failed, failed)
    once = shop.deliveries(endpoint), shop.get(endpoint)
    assert len(once[0][0]["attempts"]) == once[1]["failures"] == 1
    told(shop, failed)
    assert (shop.deliveries(endpoint), shop.get(endpoint)) == once


def test_an_arrival_counts_whenever_it_is_told_and_nothing_after_it(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    (first,) = claimed(shop)
    told(shop, attempted(first))
    (second,) = claimed(shop, minutes=1)
    told(shop, attempted(second))
    late = attempted(second, outcome="delivered")
    told(shop, attempted(first, number=1))
    told(shop, late)
    (delivery,) = shop.deliveries(endpoint)
    assert delivery["status"] == "succeeded"
    assert [(each["number"], each["outcome"]) for each in delivery["attempts"]] == [
        (1, "failed"), (2, "failed"), (3, "delivered"),
    ]  # fmt: skip
    assert shop.get(endpoint)["failures"] == 0
    ended = shop.deliveries(endpoint), shop.get(endpoint)
    told(shop, attempted(second, number=3), attempted(second, number=3, gone=True))
    told(shop, late, attempted(first, outcome="delivered"))
    assert (shop.deliveries(endpoint), shop.get(endpoint)) == ended
    assert claimed(shop, days=2) == []


def test_the_failure_of_an_attempt_that_was_not_made_yet_is_not_believed(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.pay()
    (message,) = claimed(shop)
    before = shop.deliveries(endpoint), shop.get(endpoint)
    for number in (0, 2, 10):
        told(shop, attempted(message, number=number))
    assert (shop.deliveries(endpoint), shop.get(endpoint)) == before


def test_results_of_a_deleted_endpoint_or_of_another_merchant_change_nothing(shop: Shop) -> None:
    endpoint, other = (shop.endpoint("ok", "charge.pending") for _ in range(2))
    shop.pay()
    messages = claimed(shop)
    of = {Delivery.model_validate_json(each).endpoint.hex: each for each in messages}
    deleted, kept = of[endpoint[4:]], of[other[4:]]
    assert shop.ask(delete.handler, id=endpoint).status == 200
    told(shop, attempted(deleted), attempted(deleted, outcome="delivered"))
    before = shop.deliveries(other), shop.get(other)
    stranger = operations.account_name(Tenant(shop.account.merchant_id + 1, livemode=False))
    live = operations.account_name(Tenant(shop.account.merchant_id, livemode=True))
    told(shop, *[attempted(kept, account=each, gone=True) for each in (stranger, live)])
    assert (shop.deliveries(other), shop.get(other)) == before
    with shop.platform.store.superuser() as root:
        assert root.execute("SELECT count(*) FROM delivery_attempts").fetchone() == (0,)


def test_a_lost_message_is_sent_again_after_its_lease_with_the_same_number(shop: Shop) -> None:
    shop.endpoint("ok", "charge.pending")
    shop.pay()
    (lost,) = claimed(shop)
    assert claimed(shop, minutes=3) == []
    (again,) = claimed(shop, minutes=3)
    assert again == lost
    assert shop.attempt(minutes=6) == 1
    assert len(shop.arrived()) == 1
    assert shop.attempt(days=1) == 0


# -- in order


def test_an_ordered_endpoint_gets_one_after_the_other_across_failures(shop: Shop) -> None:
    endpoint = shop.endpoint("flapping", "charge.*", ordered=True)
    for _ in range(3):
        shop.pay()
    for _ in range(12):
        assert shop.attempt(minutes=11) == 1
        assert shop.deliveries(endpoint, status="sending") == []
    assert shop.attempt(minutes=11) == 0
    wanted = [each["id"] for each in shop.events(after_sequence="0", type="charge.*")]
    found = [each.headers["webhook-id"] for each in shop.arrived("flapping")]
    assert found == [each for each in wanted for _ in range(2)]


def test_an_ordered_endpoint_has_one_delivery_under_way_also_when_it_is_lost(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*", ordered=True)
    shop.pay()
    shop.pay()
    (first,) = claimed(shop)
    assert claimed(shop, minutes=2) == []
    (again,) = claimed(shop, minutes=5)
    assert again == first
    assert len(shop.deliveries(endpoint, status="sending")) == 1
    told(shop, attempted(first))  # and it fails: the second still waits
    (retried,) = claimed(shop, minutes=1)
    assert Delivery.model_validate_json(retried).event == Delivery.model_validate_json(first).event
    told(shop, attempted(retried, outcome="delivered"))
    (second,) = claimed(shop)
    assert Delivery.model_validate_json(second).event != Delivery.model_validate_json(first).event


def test_what_was_given_up_makes_room_for_the_next(shop: Shop) -> None:
    shop.endpoint("ok", "charge.*", ordered=True)
    shop.pay()
    (first,) = claimed(shop)
    with shop.platform.store.superuser() as root:
        root.execute("UPDATE deliveries SET attempts = 9 WHERE status = 'sending'")
    told(shop, attempted(first, number=10))
    (second,) = claimed(shop, minutes=10)
    assert Delivery.model_validate_json(second).event != Delivery.model_validate_json(first).event


def test_one_that_answers_well_may_have_more_under_way_one_that_fails_less(shop: Shop) -> None:
    for _ in range(6):
        shop.pay()
    endpoint = shop.endpoint("ok", "charge.pending")
    shop.change(endpoint, status="paused")
    for _ in range(20):
        shop.pay()
    shop.platform.publish()
    shop.change(endpoint, status="enabled")
    first = claimed(shop)
    assert len(first) == 5
    assert claimed(shop) == []
    told(shop, *[attempted(each, outcome="delivered") for each in first])
    second = claimed(shop)
    assert len(second) == 10
    sequence = {each["event"]: each["sequence"] for each in shop.deliveries(endpoint)}
    sent = [sequence[Delivery.model_validate_json(each).event] for each in [*first, *second]]
    assert sorted(sent) == sorted(sequence.values())[: len(sent)]  # the oldest first
    told(shop, *[attempted(each) for each in second])
    assert shop.get(endpoint)["failures"] == 10
    assert claimed(shop) == []  # it rests
    assert len(claimed(shop, minutes=11)) == 1
