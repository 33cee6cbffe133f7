"""Stories of a charge's life, each from a request to the books, told so that any of it may die.

A story sends everything until it is answered and lets time pass where something waits for it; its
end is the same whoever died on the way.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from standardwebhooks import Webhook

from functions.bank_accounts import create as create_account
from functions.bank_accounts import verify
from functions.charges import cancel, capture
from functions.charges import get as get_charge
from functions.disputes import accept, evidence
from functions.disputes import get as get_dispute
from functions.disputes import list as list_disputes
from functions.merchants import balance as get_balance
from functions.payouts import approve
from functions.payouts import cancel as cancel_payout
from functions.payouts import create as create_payout
from functions.payouts import list as list_payouts
from functions.refunds import create as create_refund
from functions.refunds import get as get_refund
from functions.reports import content
from functions.reports import create as create_report
from functions.reports import get as get_report
from functions.settlements import list as list_settlements
from functions.settlements import settle
from functions.test_clock import advance, bank, step
from functions.test_clock import get as get_clock
from functions.webhooks import delete as delete_endpoint
from ivy import clock_run, clocks, ids, payout_outcomes
from ivy.database import Database, Tenant
from tests.faults.world import CHARGE, World
from tests.webhook_target import WebhookTarget
from tests.webhooks.shop import Shop

Story = Callable[[World, str], None]
MAX_ROUNDS = 50


def payment(world: World, key: str) -> None:
    """A refused request, a charge, its replay, and a decline that its client waits for."""
    refused = world.pay(key, CHARGE | {"amount": 1})
    first = world.pay(key)
    again = world.pay(key)
    waits = CHARGE | {"payment_method": "tok_declined", "wait": True}
    pending = world.pay(f"{key} other", waits)
    world.platform.make_overdue()
    world.relay()
    world.drain()
    declined = world.pay(f"{key} other", waits)
    assert (refused.status, first.status, pending.status, declined.status) == (422, 201, 201, 402)
    assert (again.body, again.status, again.replayed) == (first.body, first.status, True)
    assert _status(world, first.json()["id"]) == "succeeded"
    assert declined.json()["charge"] == pending.json()["id"]


def holds(world: World, key: str) -> None:
    """One authorisation is captured in part, one canceled, one forgotten until it expires."""
    held = [world.pay(f"{key} {n}", CHARGE | {"capture": False}).json()["id"] for n in range(3)]
    world.drain()
    captured = world.post(capture.handler, f"{key} capture", {"amount": 4_000}, id=held[0])
    canceled = world.post(cancel.handler, f"{key} cancel", id=held[1])
    world.drain()
    world.expire()
    world.drain()
    assert (captured.status, canceled.status) == (200, 200)
    assert [_status(world, each) for each in held] == ["succeeded", "canceled", "expired"]
    assert _charge(world, held[0])["amount_captured"] == 4_000


def refunds(world: World, key: str) -> None:
    """A part goes back, another part cannot; a refund of what is undecided waits for it."""
    good, bad = (
        world.pay(f"{key} {token}", CHARGE | {"payment_method": token}).json()["id"]
        for token in ("tok_visa", "tok_refund_fails")
    )
    early = world.post(create_refund.handler, f"{key} early", {"charge": good, "amount": 1_000})
    world.drain()
    made = [
        world.post(create_refund.handler, f"{key} of {of}", {"charge": of, "amount": 3_000})
        for of in (good, bad)
    ]
    world.drain()
    found = [
        world.platform.read(get_refund.handler, world.accounts[0], id=reply.json()["id"])
        for reply in (early, *made)
    ]
    assert [each["status"] for each in found] == ["succeeded", "succeeded", "failed"]
    assert _charge(world, good)["amount_refunded"] == 4_000
    assert _charge(world, bad)["amount_refunded"] == 0


def disputes(world: World, key: str) -> None:
    """One dispute is won, one given up, one forgotten until its day has passed."""
    ways = ("won", "given up", "lapsed")
    charges = {
        way: world.pay(f"{key} {way}", CHARGE | {"payment_method": "tok_dispute"}).json()["id"]
        for way in ways
    }
    world.drain()
    opened = {way: _dispute_of(world, charges[way]) for way in ways}
    said = {"text": "winning_evidence", "submit": True}
    world.post(evidence.handler, f"{key} evidence", said, id=opened["won"])
    world.post(accept.handler, f"{key} accept", id=opened["given up"])
    world.lapse()
    world.drain()
    world.platform.pass_time(minutes=2)
    world.drain()
    world.hear()  # what is told twice, after a death, changes nothing
    ada = world.accounts[0]
    found = [world.platform.read(get_dispute.handler, ada, id=each) for each in opened.values()]
    assert [each["status"] for each in found] == ["won", "lost", "lost"]


def bank_debits(world: World, key: str) -> None:
    """One succeeds after days; one that had comes back later."""
    good, back = (
        world.pay(f"{key} {token}", CHARGE | {"payment_method": token}).json()["id"]
        for token in ("tok_ach", "tok_ach_r01")
    )
    world.drain()
    assert {_status(world, each) for each in (good, back)} == {"pending"}
    for _ in range(2):
        world.platform.pass_time(days=6)
        world.drain()
    assert (_status(world, good), _status(world, back)) == ("succeeded", "failed")
    assert _charge(world, back)["decline_code"] == "R01"


def webhooks(world: World, key: str) -> None:
    """Every event arrives at both endpoints, one of which fails the first time it is asked."""
    with WebhookTarget() as target:
        shop = Shop(world.platform, world.accounts[1], target)
        endpoints = [shop.endpoint("ok"), shop.endpoint("flapping", ordered=True)]
        charge = world.pay(key, account=world.accounts[1]).json()["id"]
        world.drain()
        for endpoint in endpoints:
            delivered = [
                each for each in shop.deliveries(endpoint) if each["status"] == "succeeded"
            ]
            assert sorted(each["event_type"] for each in delivered) == [
                "charge.pending", "charge.succeeded",
            ]  # fmt: skip
        told = [json.loads(each.body) for each in target.received]
        assert {each["data"]["id"] for each in told} == {charge}
        for path in ("/ok", "/flapping"):
            arrived = [each for each in target.received if each.path == path]
            assert all(Webhook(shop.secrets[endpoints[path == "/flapping"]]).verify(
                each.body.decode(), each.headers) for each in arrived)  # fmt: skip
        for endpoint in endpoints:
            world.platform.request(
                delete_endpoint.handler, bearer=shop.account.secret_key, id=endpoint
            )


def settlements(world: World, key: str) -> None:
    """Three days become available in one run, some of it later; a part went back before."""
    world.agree(reserve_basis_points=1_000, reserve_days=30)
    charges = []
    for day in range(3):
        charges.append(world.pay(f"{key} {day}").json()["id"])
        world.drain()
        world.platform.pass_time(days=1)
    world.post(create_refund.handler, f"{key} refund", {"charge": charges[0], "amount": 3_000})
    world.drain()
    for days in (7, 31):
        world.platform.pass_time(days=days)
        world.settle()
        world.settle()  # the schedule fires again, and finds nothing to do
    world.drain()
    query = {"limit": "100"}
    ada = world.accounts[0]
    found = world.platform.request(list_settlements.handler, bearer=ada.secret_key, query=query)
    settled = [batch["settled_on"] for batch in found.json()["data"]]
    for charge in charges:
        assert settled.count(_charge(world, charge)["available_on"]) == 1
    held = world.platform.read(get_balance.handler, ada)["balances"]
    assert [(line["pending"], line["reserved"]) for line in held] == [(0, 0)] * len(held)


def payouts(world: World, key: str) -> None:
    """By request, by approval and by schedule; one is canceled, and one comes back."""
    ada = world.accounts[0]
    world.agree(payout_approval_cents=5_000, payout_schedule="manual")
    world.forget_who_made_keys()  # a colleague, so that the one person there is may approve
    number = f"{zlib.crc32(key.encode()):012}"
    bank = {"country": "US", "currency": "USD", "routing_number": "110000000"}
    account = world.post(
        create_account.handler,
        f"{key} account",
        bank | {"account_holder_name": "Ada", "account_number": number},
    ).json()["id"]
    world.platform.request(verify.handler, {"amounts": [32, 45]}, bearer=ada.secret_key, id=account)
    for part in range(2):
        world.pay(f"{key} charge {part}")
    world.drain()
    world.platform.pass_time(days=8)
    world.settle()
    wanted = {"currency": "USD", "bank_account": account}
    first, other = (
        world.post(create_payout.handler, f"{key} {n}", wanted | {"amount": 1_000 + n}).json()
        for n in range(2)
    )
    world.post(cancel_payout.handler, f"{key} cancel", id=other["id"])
    asked = world.post(create_payout.handler, f"{key} asked", wanted | {"amount": 5_001}).json()
    person = replace(ada, secret_key=ada.access_token)
    approved = world.post(approve.handler, f"{key} approve", account=person, id=asked["id"])
    for what, more in (("sent", [ids.now().date()]), ("paid", []), ("came_back", ["no_account"])):
        while world.invoke(partial(_at_the_bank, world, first["id"], what, more)) is None:
            pass
    world.agree(payout_schedule="daily", payout_approval_cents=None)
    world.pay_by_schedule()
    found = {
        each["id"]: each["status"]
        for each in world.platform.request(
            list_payouts.handler, bearer=ada.secret_key, query={"limit": "100"}
        ).json()["data"]
    }
    assert approved.status == 200, approved.body
    assert [found[each["id"]] for each in (first, other, asked)] == [
        "returned", "canceled", "pending",
    ]  # fmt: skip
    (line,) = world.platform.read(get_balance.handler, ada)["balances"]
    assert line["available"] == 0
    world.drain()  # whoever settled may have died before it asked for the reports


def _at_the_bank(world: World, payout: str, what: str, more: list[Any]) -> str:
    """Let the bank do something to a payout; it is done when this returns."""
    database = Database(world.platform.store.url("ivy_app"))
    tenant = Tenant(world.accounts[0].merchant_id, livemode=False)
    with database.transaction(tenant) as tx:
        done = getattr(payout_outcomes, what)(tx, tenant, ids.Prefix("po").read(payout), *more)
    database.close()
    return str(done.status)


def clock(world: World, key: str) -> None:
    """Ten days pass by the other merchant's clock: a charge settles, an authorisation expires."""
    platform, account = world.platform, world.accounts[1]
    settled = len(platform.read(list_settlements.handler, account)["data"])
    turn_seconds, clock_run.TURN_SECONDS = clock_run.TURN_SECONDS, 0.0
    try:
        held = world.pay(f"{key} held", CHARGE | {"capture": False}, account).json()["id"]
        world.pay(key, CHARGE | {"payment_method": "tok_dispute"}, account)
        world.drain()
        asked = world.ask(advance.handler, account, {"days": 10})
        assert asked.status == advance.handler.status or asked.code == "clock_advancing"
        for _ in range(MAX_ROUNDS):
            while world.deliver(step.handler, settle.handler, bank.handler):
                pass
            world.sweep()
            if platform.read(get_clock.handler, account)["status"] == "ready":
                break
            if not platform.messages("clock"):  # lost with whoever died: the relay finds it
                platform.pass_time(seconds=clocks.HOLD.total_seconds() + 1)
                platform.make_overdue()
                world.relay()
    finally:
        clock_run.TURN_SECONDS = turn_seconds
    assert platform.read(get_clock.handler, account)["status"] == "ready"
    assert platform.read(get_charge.handler, account, id=held)["status"] == "expired"
    assert len(platform.read(list_settlements.handler, account)["data"]) > settled
    world.drain()


def statements(world: World, key: str) -> None:
    """A statement is asked for, made, and fetched."""
    ada = world.accounts[0]
    wanted = {"type": "statement", "currency": "USD", "month": "2026-01"}
    asked = world.post(create_report.handler, key, wanted).json()
    world.drain()
    found = world.platform.read(get_report.handler, ada, id=asked["id"])
    assert found["status"] == "ready"
    text = world.platform.request(content.handler, bearer=ada.secret_key, id=asked["id"]).body
    assert hashlib.sha256(text).hexdigest() == found["file"]["sha256"]


_BY_POINT: dict[str, Story] = {
    "reports": statements,
    "payout": payouts,
    "clock": clock,
    "publish": webhooks,
    "deliver": webhooks,
    "webhook": webhooks,
    "charge.cancel": holds,
    "charge.capture": holds,
    "dispute": disputes,
    "notice": disputes,
    "refund": refunds,
    "settlements": settlements,
    "queues": settlements,
}


def passing(point: str) -> Story:
    """Return the story that passes a point: how its name begins says which."""
    told = [story for prefix, story in _BY_POINT.items() if point.startswith(prefix)]
    return told[0] if told else payment


def _charge(world: World, charge: str) -> Any:
    return world.platform.read(get_charge.handler, world.accounts[0], id=charge)


def _status(world: World, charge: str) -> str:
    return str(_charge(world, charge)["status"])


def _dispute_of(world: World, charge: str) -> str:
    ada, query = world.accounts[0], {"charge": charge}
    found = world.platform.request(list_disputes.handler, bearer=ada.secret_key, query=query)
    (dispute,) = found.json()["data"]
    return str(dispute["id"])
