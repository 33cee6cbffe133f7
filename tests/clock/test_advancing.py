"""Advancing a clock: where it may go, who waits for whom, and what survives a death."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest

from functions.outbox import relay
from functions.test_clock import advance, get, step
from ivy import clock_run, clocks, errors
from ivy.callers import Caller
from ivy.clocks import Advance
from ivy.database import Database, Tenant
from tests.clock.era import Era
from tests.driving import LambdaContext, Reply, reply, rest_event
from tests.simulation.sandbox import Sandbox

BEGIN = datetime(2026, 11, 24, 9, tzinfo=UTC)
POINTS = (
    "clock.step.before_commit",
    "clock.step.after_commit",
    "clock.go.after_begin",
    "clock.go.before_send",
    "clock.finish.before_commit",
    "notice.after_commit",
    "queues.after_send",
)


@pytest.fixture(autouse=True)
def _at_the_beginning(here: Sandbox) -> None:
    here.reset(BEGIN)


def test_a_clock_that_was_never_advanced_shows_the_real_time(ada: Era) -> None:
    clock = ada.clock()
    assert (clock["now"], clock["status"], clock["version"]) == (
        "2026-11-24T09:00:00.000Z", "ready", 0,
    )  # fmt: skip
    assert clock["id"].startswith("clk_")
    assert clock["advancing_to"] is None


def test_it_says_where_it_goes_and_that_it_has_arrived(ada: Era) -> None:
    asked = ada.advance(days=3)
    assert asked.status == 202
    assert asked.json() == ada.clock()
    assert asked.json()["status"] == "advancing"
    assert asked.json()["advancing_to"] == "2026-11-27T09:00:00.000Z"
    ada.arrive()
    ready = ada.clock()
    assert (ready["status"], ready["now"]) == ("ready", "2026-11-27T09:00:00.000Z")
    assert ready["id"] == asked.json()["id"]
    ada.go(to="2026-12-01T00:00:00Z")
    assert ada.clock()["now"] == "2026-12-01T00:00:00.000Z"
    assert [type_ for type_, _ in ada.events()] == [
        "test_clock.advancing", "test_clock.ready",
    ] * 2  # fmt: skip
    ada.charge()
    assert ada.events()[-1][1] == datetime(2026, 12, 1, tzinfo=UTC)


def test_an_advance_under_a_key_goes_once(ada: Era) -> None:
    """Whoever lost the answer does not go three days further."""
    platform, account = ada.here.platform, ada.account

    def sent(key: str, **how: Any) -> Reply:
        return platform.post(advance.handler, account, how, key=key)

    first, again = sent("a", days=3), sent("a", days=3)
    assert (first.status, first.replayed, again.replayed) == (202, False, True)
    assert first.body == again.body
    ada.arrive()
    assert sent("a", days=3).body == first.body
    assert ada.clock()["now"] == "2026-11-27T09:00:00.000Z"
    assert sent("a", days=4).code == "idempotency_key_reused"
    assert sent("", days=1).status == 202
    assert sent("b", days=1).code == "clock_advancing"
    ada.arrive()
    assert sent("b", days=1).status == 202, "what was refused may be sent again"


def test_an_empty_key_is_refused_where_one_may_be_sent(ada: Era) -> None:
    answer = ada.here.platform.request(
        advance.handler, {"days": 1}, bearer=ada.account.secret_key,
        headers={"Idempotency-Key": ""},
    )  # fmt: skip
    assert answer.code == "idempotency_key_invalid"


def test_while_it_advances_another_advance_waits(ada: Era, bob: Era) -> None:
    assert ada.advance(days=3).status == 202
    second = ada.advance(days=1)
    assert (second.status, second.code) == (409, "clock_advancing")
    assert second.json()["retryable"] is True
    assert bob.advance(days=1).status == 202
    ada.arrive()
    assert ada.advance(days=1).status == 202


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({"to": "2026-11-24T09:00:00Z"}, 422, "clock_not_forward"),
        ({"to": "2026-11-24T08:59:59Z"}, 422, "clock_not_forward"),
        ({"to": "2027-11-25T09:00:01Z"}, 422, "clock_too_far"),
        ({"days": 367}, 422, "request_invalid"),
        ({"days": 0}, 422, "request_invalid"),
        ({"days": True}, 422, "request_invalid"),
        ({"days": 1.5}, 422, "request_invalid"),
        ({"to": "2026-12-01"}, 422, "request_invalid"),
        ({}, 422, "request_invalid"),
        ({"days": 1, "to": "2026-12-01T00:00:00Z"}, 422, "request_invalid"),
    ],
)
def test_where_it_cannot_go(ada: Era, how: dict[str, Any], status: int, code: str) -> None:
    refused = ada.advance(**how)
    assert (refused.status, refused.code) == (status, code)
    assert ada.clock()["version"] == 0


def test_five_years_are_the_end(ada: Era) -> None:
    for _ in range(4):
        ada.go(days=366)
    refused = ada.advance(days=366)
    assert (refused.status, refused.code) == (422, "clock_too_far")
    ada.go(days=362)
    assert ada.clock()["now"] == "2031-11-24T09:00:00.000Z"


@pytest.mark.parametrize("route", [advance.handler, get.handler])
def test_live_mode_has_no_clock(ada: Era, route: Any) -> None:
    platform = ada.here.platform
    principal = platform.principal(ada.account.secret_key) | {"livemode": "true"}
    body = {"days": 1} if route is advance.handler else None
    platform.enter(route.needs)
    refused = reply(route(rest_event(route, body, principal=principal), LambdaContext()))
    assert (refused.status, refused.code) == (403, "test_mode_only")


def test_of_two_at_once_one_goes(ada: Era) -> None:
    tenant = Tenant(ada.account.merchant_id, livemode=False)
    row = ada.here.connection.execute(
        "SELECT public_id FROM merchants WHERE id = %s", (tenant.merchant_id,)
    ).fetchone()
    assert row is not None
    caller = Caller(tenant, row[0], frozenset(), UUID(hex=ada.account.key_id[4:]))
    together = Barrier(2)

    def one(_: int) -> str:
        database = Database(ada.here.platform.store.url("ivy_app"))
        try:
            with database.transaction(tenant) as tx:
                tx.value("SELECT 1")
                together.wait()
                clocks.advance(tx, caller, Advance(days=1))
        except errors.ClockAdvancing:
            return "refused"
        finally:
            database.close()
        return "gone"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, range(2))) == ["gone", "refused"]


def busy(era: Era) -> None:
    era.charge()
    era.charge(payment_method="tok_ach_r01", amount=20_000)
    era.authorized(amount=6_000)
    era.charge(payment_method="tok_dispute", amount=11_000)


@pytest.fixture
def undisturbed(here: Sandbox) -> list[tuple[Any, ...]]:
    """The books of ten days in which nobody dies."""
    era = Era(here)
    busy(era)
    era.go(days=10)
    books = era.books()
    assert len(books) > 20
    here.reset(BEGIN)
    return books


@pytest.mark.parametrize("point", POINTS)
def test_a_death_anywhere_is_finished_by_others(
    ada: Era, undisturbed: list[tuple[Any, ...]], point: str
) -> None:
    busy(ada)
    assert ada.advance(days=10).status == 202
    with ada.here.dying_at(point) as died:
        ada.arrive(forgiving=True)
    assert died == [point]
    assert ada.clock()["status"] == "advancing"
    for _ in range(3):
        ada.pass_time(seconds=61)
        ada.here.run(relay.handler)
        ada.arrive()
    assert ada.clock()["status"] == "ready"
    assert ada.books() == undisturbed


def test_an_advance_that_is_not_committed_is_none(ada: Era) -> None:
    with ada.here.dying_at("clock.advance.before_commit"):
        assert ada.advance(days=1).status == 500
    assert ada.clock()["version"] == 0
    ada.go(days=1)


def test_a_message_may_come_three_times(ada: Era, undisturbed: list[tuple[Any, ...]]) -> None:
    busy(ada)
    assert ada.advance(days=10).status == 202
    while bodies := ada.here.pocket.take("clock"):
        assert ada.here.hand_over(step.handler, *(list(set(bodies)) * 3)) == []
        assert len(set(bodies)) == 1
        for queue in ("charges", "refunds", "disputes", "settlements", "settlement_reports"):
            ada.hand_over(queue)
        ada.here.left_over()
    assert ada.clock()["status"] == "ready"
    assert ada.books() == undisturbed


def test_while_one_moves_a_clock_another_leaves_it_alone(ada: Era) -> None:
    assert ada.advance(days=10).status == 202
    ada.here.connection.execute("UPDATE test_clocks SET held_until = %s", (
        BEGIN + timedelta(seconds=20),
    ))  # fmt: skip
    ada.arrive()
    assert ada.clock()["now"] == "2026-11-24T09:00:00.000Z"
    ada.pass_time(seconds=31)
    ada.here.run(relay.handler)
    ada.arrive()
    assert ada.clock()["status"] == "ready"


def test_a_clock_does_not_wait_for_ever(ada: Era) -> None:
    ada.charge()
    assert ada.advance(days=10).status == 202
    for _ in range(20):  # nobody settles; some of the turns get the clock to that day
        for queue in ("clock", "charges"):
            ada.hand_over(queue)
        ada.here.left_over()
    assert ada.clock()["now"] == "2026-11-27T00:00:00.000Z"
    for _ in range(clock_run.PATIENCE_TURNS):
        for queue in ("clock", "charges"):
            ada.hand_over(queue)
        ada.here.left_over()
    assert ada.clock()["status"] == "ready"
    ada.arrive()
    assert [each["settled_on"] for each in ada.batches()] == ["2026-11-27"]


def test_time_goes_on_from_where_a_clock_is(ada: Era, bob: Era) -> None:
    ada.go(days=60)  # it is the 23rd of January for ada
    debit = ada.charge(payment_method="tok_ach_r01", amount=20_000)
    held = ada.authorized()
    charge = ada.charge()
    disputed = ada.charge(payment_method="tok_dispute")
    theirs = bob.charge()
    assert ada.see(charge)["available_on"] == "2027-01-26"
    assert bob.see(theirs)["available_on"] == "2026-11-27"
    ada.live_through(days=8)
    assert ada.see(charge)["created_at"] == "2027-01-23T09:00:00.000Z"
    assert ada.batches()[0]["settled_on"] == "2027-01-26"
    assert [each["settled_on"] for each in bob.batches()] == ["2026-11-27"]
    assert ada.see(debit)["failure_code"] == "bank_debit_returned"
    assert ada.see(held)["status"] == "expired"
    assert ada.see(ada.dispute_of(disputed))["status"] == "lost"
    assert ada.clock()["now"] == "2027-01-31T09:00:00.000Z"
