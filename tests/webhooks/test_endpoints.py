"""Endpoints: made, changed and removed by their merchant alone, and their secrets shown once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from functions.deliveries import get as get_delivery
from functions.deliveries import resend
from functions.events import get as get_event
from functions.webhooks import (
    create,
    delete,
    get,
    list_deliveries,
    rotate_secret,
    test,
    update,
)
from functions.webhooks import list as list_endpoints
from ivy import webhooks
from tests.webhooks.shop import URL, Shop, asked

HOSTILE = json.loads((Path(__file__).parents[1] / "egress" / "hostile_urls.json").read_text())
LOOPBACK = ("http://localhost", "http://127.0.0.1")
A_FEW = [
    each["url"]
    for each in HOSTILE
    if "answers" not in each and not each["url"].startswith(LOOPBACK)
][::4]
"""Refused for what they are, not for where their names lead; a local stack sends to itself."""


def uuid_of(written: str) -> UUID:
    return UUID(written.partition("_")[2])


# -- making


def test_a_new_endpoint_is_enabled_healthy_and_found_at_once(shop: Shop) -> None:
    body = asked(events=["charge.*", "refund.failed"], description="books", ordered=True)
    made = shop.ask(create.handler, body)
    assert made.status == 201
    endpoint = made.json()
    assert endpoint.pop("secret").startswith("whsec_")
    assert endpoint == {
        "id": endpoint["id"],
        "object": "webhook_endpoint",
        "livemode": False,
        "created_at": endpoint["created_at"],
        **body,
        "api_version": "2026-12-01",
        "status": "enabled",
        "disabled_reason": None,
        "disabled_at": None,
        "failures": 0,
        "failing_since": None,
        "warned_percent": 0,
        "resting_until": None,
        "version": 1,
    }
    assert shop.get(endpoint["id"]) == endpoint
    assert shop.ask(list_endpoints.handler).json()["data"] == [endpoint]


def test_only_what_makes_sense_is_made(shop: Shop) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        (asked(events=["charge.eaten"]), "/events/0"),
        (asked(events=["charge.succeeded", "charge.*.x"]), "/events/1"),
        (asked(events=["Charge.*"]), "/events/0"),
        (asked(events=[""]), "/events/0"),
        (asked(events=[]), "/events"),
        (asked(events=["*"] * 51), "/events"),
        (asked(events="*"), "/events"),
        (asked(enabled=True), "/enabled"),
        (asked(status="paused"), "/status"),
        (asked(secret="whsec_" + "A" * 32), "/secret"),
        (asked(ordered="yes"), "/ordered"),
        (asked(ordered=1), "/ordered"),
        (asked(api_version="2020-01-01"), "/api_version"),
        (asked(description="a\x00b"), "/description"),
        (asked(description="a" * 1001), "/description"),
        (asked(url=URL + "a" * 2048), "/url"),
        (asked(url=None), "/url"),
        ({"events": ["*"]}, "/url"),
        ({"url": URL}, "/events"),
    ]
    for body, where in wrong:
        answer = shop.ask(create.handler, body)
        assert answer.status == 422, body
        assert where in [each["pointer"] for each in answer.json()["errors"]], answer.body
    assert shop.ask(list_endpoints.handler).json()["data"] == []
    assert shop.stored_secrets() == {}


def test_no_url_that_leads_astray_is_registered(shop: Shop) -> None:
    endpoint = shop.endpoint()
    before = shop.get(endpoint)
    assert len(A_FEW) >= 10
    for url in A_FEW:
        for answer in (
            shop.ask(create.handler, asked(url=url)),
            shop.ask(update.handler, {"url": url}, id=endpoint),
        ):
            assert answer.status == 422, url
            assert [each["pointer"] for each in answer.json()["errors"]] == ["/url"]
    assert shop.ask(list_endpoints.handler).json()["data"] == [before]


def test_there_is_room_for_twenty_in_each_mode(shop: Shop) -> None:
    first, *_ = [shop.endpoint() for _ in range(webhooks.MAX_ENDPOINTS)]
    refused = shop.ask(create.handler, asked())
    assert (refused.status, refused.code) == (409, "endpoint_limit_reached")
    assert (
        len(shop.stored_secrets()) == webhooks.MAX_ENDPOINTS
    )  # and no secret of the one that was refused
    live = shop.key(mode="live")
    made = shop.platform.request(create.handler, asked(), bearer=live)
    assert (made.status, made.json()["livemode"]) == (201, True)
    assert shop.ask(delete.handler, id=first).status == 200
    assert shop.ask(create.handler, asked()).status == 201


def test_endpoints_are_listed_page_by_page_and_by_status(shop: Shop) -> None:
    made = [shop.endpoint() for _ in range(5)]
    shop.change(made[1], status="paused")
    shop.ask(delete.handler, id=made[4])
    listing = {"bearer": shop.account.secret_key}
    first = shop.platform.request(list_endpoints.handler, query={"limit": "3"}, **listing).json()
    assert [each["id"] for each in first["data"]] == [made[3], made[2], made[1]]
    rest = {"cursor": first["next_cursor"]}
    second = shop.platform.request(list_endpoints.handler, query=rest, **listing).json()
    assert [each["id"] for each in second["data"]] == [made[0]]
    assert (first["has_more"], second["has_more"]) == (True, False)
    paused = shop.platform.request(list_endpoints.handler, query={"status": "paused"}, **listing)
    assert [each["id"] for each in paused.json()["data"]] == [made[1]]


# -- secrets


@pytest.mark.usefixtures("to_stdout")
def test_a_secret_is_shown_once_and_is_nowhere_else(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = shop.endpoint("ok")
    shop.endpoint("refused")
    shown = set(shop.secrets.values())
    rotated = shop.ask(rotate_secret.handler, {}, id=endpoint)
    assert rotated.status == 200
    shown.add(rotated.json()["secret"])
    assert len(shown) == 3
    shop.ask(test.handler, id=endpoint)
    shop.pay()
    shop.platform.publish()
    answers = [
        shop.ask(get.handler, id=endpoint),
        shop.ask(list_endpoints.handler),
        shop.ask(update.handler, {"description": "again"}, id=endpoint),
        shop.ask(list_deliveries.handler, id=endpoint),
    ]
    answers += [shop.ask(get_event.handler, id=each["id"]) for each in shop.events()]
    answers += [shop.ask(get_delivery.handler, id=each["id"]) for each in shop.deliveries(endpoint)]
    answers.append(shop.ask(delete.handler, id=endpoint))
    assert {each.status for each in answers} == {200}
    with shop.platform.store.superuser() as root:
        tables = [
            name
            for (name,) in root.execute(
                "SELECT relname FROM pg_class"
                " WHERE relnamespace = 'ivy'::regnamespace AND relkind = 'r'"
            )
        ]
        rows = [
            str(root.execute(f'SELECT "{name}"::text FROM "{name}"').fetchall()) for name in tables
        ]
    assert any("webhook_endpoint.test" in each for each in rows)
    logged = capsys.readouterr().out
    assert logged
    told = [each.body.decode() for each in answers]
    told += [str(each) for each in shop.target.received]
    stored = str(shop.stored_secrets())
    for secret in shown:
        core = secret.removeprefix("whsec_")
        assert not [each for each in (*told, *rows, logged, stored) if core[:20] in each]


def test_an_endpoint_that_is_not_made_leaves_no_secret_behind(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        assert len(shop.stored_secrets()) == 1  # it was made first
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(webhooks, "add", fails)
    assert shop.ask(create.handler, asked()).status == 500
    assert shop.stored_secrets() == {}


def test_without_a_secret_no_endpoint_is_made(shop: Shop) -> None:
    with shop.platform.cloud.failing("fail", "Encrypt"):
        assert shop.ask(create.handler, asked()).status >= 500
    assert shop.ask(list_endpoints.handler).json()["data"] == []


# -- changing


def test_a_change_touches_only_what_it_names(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*", description="first", ordered=True)
    before = shop.get(endpoint)
    changes: list[dict[str, Any]] = [
        {"url": URL},
        {"events": ["refund.*", "dispute.won"]},
        {"description": "second"},
        {"ordered": False},
        {"status": "paused"},
        {"description": None},
        {"status": "enabled", "events": ["*"]},
    ]
    for number, change in enumerate(changes, start=2):
        after = shop.change(endpoint, **change)
        assert after == before | change | {"version": number}
        assert shop.get(endpoint) == after
        before = after


def test_a_change_that_changes_nothing_is_none(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", description="kept")
    before = shop.get(endpoint)
    for change in ({}, {"status": "enabled"}, {"url": before["url"]}, {"description": "kept"}):
        assert shop.change(endpoint, **change) == before


def test_an_event_type_that_is_named_twice_is_kept_once(shop: Shop) -> None:
    endpoint = shop.endpoint("ok", "charge.*", "*", "charge.*")
    assert shop.get(endpoint)["events"] == ["charge.*", "*"]
    assert shop.change(endpoint, events=["*", "*"])["events"] == ["*"]


def test_no_other_change_is_made(shop: Shop) -> None:
    endpoint = shop.endpoint()
    before = shop.get(endpoint)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"events": ["nothing.*"]}, "/events/0"),
        ({"events": []}, "/events"),
        ({"status": "disabled"}, "/status"),
        ({"status": "deleted"}, "/status"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"livemode": True}, "/livemode"),
        ({"failures": 0}, "/failures"),
        ({"api_version": "2026-12-01"}, "/api_version"),
        ({"ordered": "no"}, "/ordered"),
    ]
    for change, where in wrong:
        answer = shop.ask(update.handler, change, id=endpoint)
        assert answer.status == 422, change
        assert where in [each["pointer"] for each in answer.json()["errors"]]
    assert shop.get(endpoint) == before


# -- removing


def test_what_is_deleted_is_gone_with_its_secret_and_its_open_deliveries(shop: Shop) -> None:
    endpoint, other = shop.endpoint("broken"), shop.endpoint("ok")
    shop.pay()
    shop.platform.publish()
    shop.pay()
    (waiting, *_) = shop.deliveries(endpoint, status="pending")
    deleted = shop.ask(delete.handler, id=endpoint)
    assert (deleted.status, deleted.json()["id"]) == (200, endpoint)
    assert set(shop.stored_secrets()) == {uuid_of(other)}
    canceled = shop.delivery(waiting["id"])
    assert (canceled["status"], canceled["failure_reason"]) == ("canceled", "endpoint_deleted")
    assert canceled["next_attempt_at"] is None
    assert canceled["attempts"]
    arrived = len(shop.arrived("broken"))
    shop.platform.pass_time(days=2)
    shop.platform.publish()
    assert len(shop.arrived("broken")) == arrived
    assert len(shop.arrived("ok")) == len(shop.events()) == 4
    for route in (get.handler, delete.handler, test.handler, rotate_secret.handler):
        body = {} if route is rotate_secret.handler else None
        assert shop.ask(route, body, id=endpoint).status == 404
    assert shop.ask(resend.handler, id=waiting["id"]).status == 404
    assert set(shop.stored_secrets()) == {uuid_of(other)}
