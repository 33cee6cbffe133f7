"""Triggers: each really makes happen what it is named after, in test mode only.

The same long run is where every body that arrives is held against its schema in the reference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from functions.events import trigger
from functions.webhooks import test as test_endpoint
from ivy import triggers
from ivy.events import EVENT_TYPES
from tests.driving import Reply
from tests.webhooks.shop import Shop

REFERENCE = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
NOT_TRIGGERED = {
    "charge.expired",
    "bank_account.created",
    "bank_account.deposits_sent",
    "bank_account.verified",
    "bank_account.verification_failed",
    "bank_account.deleted",
    "reserve.held",
    "reserve.released",
    *(
        name
        for name in EVENT_TYPES
        if name.startswith(("settlement.", "report.", "payout.", "balance.", "recovery"))
    ),
    "merchant.updated",
    "test_clock.advancing",
    "test_clock.ready",
    "webhook_endpoint.test",
    "webhook_endpoint.warning",
    "webhook_endpoint.disabled",
    "webhook_endpoint.recovered",
}


def triggered(shop: Shop, type_: str, monkeypatch: pytest.MonkeyPatch) -> Reply:
    """Trigger an event; while the function waits, the queues are worked on."""

    def wait(_: float) -> None:
        shop.platform.drain()
        shop.platform.enter(trigger.handler.needs)

    monkeypatch.setattr(triggers.time, "sleep", wait)
    answer = shop.ask(trigger.handler, {"type": type_})
    monkeypatch.undo()
    return answer


def let_it_happen(shop: Shop) -> None:
    """Do what is promised, hear of what takes the acquirer a while, and deliver the events."""
    shop.platform.drain()
    shop.platform.pass_time(minutes=15)
    shop.platform.hear()
    shop.platform.publish()


def validate(body: bytes) -> str:
    """Hold a delivered body against what the reference says of its type; returns the type."""
    read = json.loads(body)
    told = REFERENCE["webhooks"][read["type"]]["post"]["requestBody"]["content"]
    schema = {**told["application/json"]["schema"], "components": REFERENCE["components"]}
    jsonschema.Draft202012Validator(schema).validate(read)
    return str(read["type"])


def test_every_recipe_leads_to_its_event_in_the_form_of_the_reference(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = shop.endpoint("ok", "*")
    for type_ in triggers.RECIPES:
        before = {each["id"] for each in shop.events()}
        answer = triggered(shop, type_, monkeypatch)
        assert answer.status == 202, (type_, answer.body)
        let_it_happen(shop)
        fresh = [each for each in shop.events(type=type_) if each["id"] not in before]
        objects = answer.json()["objects"]
        assert [each for each in fresh if each["data"]["id"] in objects], type_
    assert shop.ask(test_endpoint.handler, id=endpoint).status == 202
    broken = shop.endpoint("gone", "*")
    shop.pay(metadata={"k": "v" * 500}, description="d" * 1000)
    shop.pay(metadata={f"{i}": "\N{PILE OF POO}" * 500 for i in range(50)})
    shop.platform.publish()
    seen = {validate(each.body) for each in shop.arrived()}
    assert seen >= {*triggers.RECIPES, "webhook_endpoint.test", "webhook_endpoint.disabled"}
    assert shop.get(broken)["status"] == "disabled"
    assert {each.headers["webhook-id"] for each in shop.arrived()} == {
        each["id"] for each in shop.events()
    }


def test_warnings_and_recoveries_have_the_form_of_the_reference(shop: Shop) -> None:
    shop.endpoint("ok", "webhook_endpoint.*")
    shop.endpoint("broken", "charge.pending")
    shop.pay()
    shop.platform.publish()
    shop.platform.pass_time(days=3)
    shop.platform.publish()
    with shop.platform.store.superuser() as root:
        root.execute(
            "UPDATE webhook_endpoints SET url = %s WHERE failures > 0",
            (shop.target.url("accepted"),),
        )
    shop.platform.pass_time(days=1)
    shop.platform.publish()
    assert [validate(each.body) for each in shop.arrived()] == [
        "webhook_endpoint.warning",
        "webhook_endpoint.recovered",
    ]


def test_a_body_of_another_form_would_be_noticed(shop: Shop) -> None:
    """The control: what validates does not validate whatever there is."""
    shop.endpoint("ok", "charge.pending")
    shop.pay()
    shop.platform.publish()
    (received,) = shop.arrived()
    body: dict[str, Any] = json.loads(received.body)
    validate(received.body)
    for wrong in (
        {**body, "surplus": 1},
        {**body, "sequence": "1"},
        {**body, "type": "charge.lost"},
        {name: each for name, each in body.items() if name != "balance_changes"},
        {**body, "data": {**body["data"], "amount": "10000"}},
        {**body, "type": "dispute.won"},
    ):
        with pytest.raises((jsonschema.ValidationError, KeyError)):
            validate(json.dumps(wrong).encode())


def test_every_type_is_in_the_reference() -> None:
    assert set(REFERENCE["webhooks"]) == set(EVENT_TYPES)
    for type_, told in REFERENCE["webhooks"].items():
        content = told["post"]["requestBody"]["content"]["application/json"]["schema"]
        name = content["$ref"].rpartition("/")[2]
        assert REFERENCE["components"]["schemas"][name]["properties"]["type"]["const"] == type_
    assert set(EVENT_TYPES) - set(triggers.RECIPES) == NOT_TRIGGERED


def test_what_cannot_be_triggered_is_refused_with_what_can(shop: Shop) -> None:
    for type_ in (*NOT_TRIGGERED, "charge.*", "*", "", "nothing"):
        answer = shop.ask(trigger.handler, {"type": type_})
        assert answer.status == 422
        (error,) = answer.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/type", "not_triggerable")
        assert "dispute.won" in error["detail"]
    live = shop.platform.request(
        trigger.handler, {"type": "charge.succeeded"}, bearer=shop.key(mode="live")
    )
    assert (live.status, live.code) == (403, "test_mode_only")
    assert shop.events() == []


def test_a_trigger_does_not_wait_for_ever(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "PATIENCE_SECONDS", 0.2)
    answer = shop.ask(trigger.handler, {"type": "refund.succeeded"})
    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
