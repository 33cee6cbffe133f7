"""The order of events: numbers without gaps, given behind commits that do not wait for them."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.events import get as get_event
from functions.merchants import balance
from ivy import event_order, events, ids, publishing
from ivy.database import Database, Tenant, Transaction
from ivy.models import Object
from tests.books import played
from tests.cloud import Cloud
from tests.conftest import Store
from tests.driving import Platform
from tests.webhooks.shop import Shop

HOT, COLD = Tenant(5001, livemode=False), Tenant(5002, livemode=False)
WRITERS, EACH = 6, 60


class Thing(Object):
    """Something that changes and is announced."""

    status: str = "pending"


def change(tx: Transaction, tenant: Tenant, subject: UUID, version: int) -> UUID:
    return events.record(
        tx,
        tenant,
        event="charge.pending",
        subject=subject,
        version=version,
        data=Thing(),
        at=ids.now(),
    )


@pytest.fixture
def jobs(store: Store) -> Iterator[Database]:
    database = Database(store.url("ivy_jobs"))
    yield database
    database.close()


@contextmanager
def connected(store: Store) -> Iterator[Database]:
    database = Database(store.url("ivy_app"))
    try:
        yield database
    finally:
        database.close()


def number(jobs: Database, limit: int = event_order.NUMBER_LIMIT) -> int:
    with jobs.transaction() as tx:
        found = event_order.number(tx, limit)
    return sum(each.last - each.first + 1 for each in found)


def stream(store: Store, tenant: Tenant = HOT) -> list[tuple[int, UUID, int]]:
    """Return a stream as (sequence, object, version)."""
    with store.superuser() as root:
        return root.execute(
            "SELECT sequence, object_id, version FROM event_numbers JOIN events ON id = event_id"
            " WHERE event_numbers.merchant_id = %s ORDER BY sequence",
            (tenant.merchant_id,),
        ).fetchall()


def write(store: Store, tenant: Tenant, written: Counter[int]) -> None:
    """Change objects again and again; some transactions are rolled back."""
    with connected(store) as database:
        subject = ids.new(ids.now())
        version = 1
        for turn in range(EACH):
            with database.transaction(tenant) as tx:
                change(tx, tenant, subject, version)
                if turn % 3 == 2:
                    change(tx, tenant, ids.new(ids.now()), 1)
                    written[tenant.merchant_id] += 1
            written[tenant.merchant_id] += 1
            version += 1
            if turn % 5 == 4:
                with suppress(ZeroDivisionError), database.transaction(tenant) as tx:
                    change(tx, tenant, subject, version)
                    raise ZeroDivisionError
            if turn % 10 == 9:
                subject, version = ids.new(ids.now()), 1


def test_many_writers_of_a_hot_merchant_and_publishers_leave_no_gap(store: Store) -> None:
    written: Counter[int] = Counter()
    tenants = [HOT] * (WRITERS - 1) + [COLD]
    writers = [threading.Thread(target=write, args=(store, each, written)) for each in tenants]
    done = threading.Event()

    def publish() -> None:
        with_jobs = Database(store.url("ivy_jobs"))
        while not done.is_set():
            number(with_jobs, limit=7)
        with_jobs.close()

    publishers = [threading.Thread(target=publish) for _ in range(2)]
    for thread in [*writers, *publishers]:
        thread.start()
    for writer in writers:
        writer.join()
    done.set()
    for publisher in publishers:
        publisher.join()
    jobs = Database(store.url("ivy_jobs"))
    while number(jobs):
        pass
    jobs.close()
    for tenant in (HOT, COLD):
        found = stream(store, tenant)
        assert [sequence for sequence, *_ in found] == list(range(1, len(found) + 1))
        versions: dict[UUID, list[int]] = defaultdict(list)
        for _, subject, version in found:
            versions[subject].append(version)
        assert all(each == list(range(1, len(each) + 1)) for each in versions.values())
    with store.superuser() as root:
        (recorded,) = root.execute("SELECT count(*) FROM events").fetchone() or (0,)
    assert sum(len(stream(store, each)) for each in (HOT, COLD)) == recorded
    assert recorded == sum(written.values())


def test_an_event_that_is_committed_late_is_not_passed_over(store: Store, jobs: Database) -> None:
    """The control reads on from the last id it saw, as a cursor would, and loses the event."""
    with connected(store) as slow, connected(store) as quick:
        with slow.transaction(HOT) as held:
            late = change(held, HOT, ids.new(ids.now()), 1)
            held.value("SELECT 1")
            with quick.transaction(HOT) as tx:
                change(tx, HOT, ids.new(ids.now()), 1)
            with store.superuser() as root:
                (cursor,) = root.execute("SELECT max(id::text) FROM events").fetchone() or ("",)
            assert number(jobs) == 0  # it waits for whoever began before
            with jobs.transaction() as tx:
                assert event_order.waiting(tx)
        with store.superuser() as root:
            after = root.execute("SELECT id FROM events WHERE id::text > %s", (cursor,)).fetchall()
        assert (late,) not in after
        assert number(jobs) == 2
        with jobs.transaction() as tx:
            assert not event_order.waiting(tx)


def test_of_two_changes_the_second_may_have_begun_first(store: Store, jobs: Database) -> None:
    """Its transaction is the older one; numbered by transaction alone it would come first."""
    subject = ids.new(ids.now())
    with connected(store) as older, connected(store) as younger:
        with older.transaction(HOT) as tx:
            change(tx, HOT, ids.new(ids.now()), 1)  # takes its transaction's id
            tx.value("SELECT 1")
            with younger.transaction(HOT) as other:
                change(other, HOT, subject, 1)
            change(tx, HOT, subject, 2)
        assert number(jobs, limit=1) == 3
    found = [(object_id, version) for _, object_id, version in stream(store)]
    assert found.index((subject, 1)) < found.index((subject, 2))
    assert number(jobs) == 0


def test_recording_waits_neither_for_the_publisher_nor_for_another(
    store: Store, jobs: Database
) -> None:
    with connected(store) as one, connected(store) as two, jobs.transaction() as publishing_:
        event_order.take_lane(publishing_)
        publishing_.value("SELECT 1")
        with one.transaction(HOT) as first, two.transaction(HOT) as second:
            for tx in (first, second):
                tx.run("SET LOCAL lock_timeout = '10ms'")
                change(tx, HOT, ids.new(ids.now()), 1)
                tx.value("SELECT 1")


def test_a_second_publisher_waits_and_then_finds_nothing(store: Store, jobs: Database) -> None:
    with connected(store) as database, database.transaction(HOT) as tx:
        change(tx, HOT, ids.new(ids.now()), 1)
    other = Database(store.url("ivy_jobs"))
    with jobs.transaction() as tx:
        assert len(event_order.number(tx)) == 1
        with store.superuser() as root:
            root.execute(f"ALTER ROLE ivy_jobs IN DATABASE {store.name} SET lock_timeout = 10")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            number(other)
    assert number(other) == 0
    other.close()


def test_publishing_goes_on_where_a_limit_ended_it(
    store: Store, jobs: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(store) as database:
        for _ in range(25):
            with database.transaction(HOT) as tx:
                change(tx, HOT, ids.new(ids.now()), 1)
    assert number(jobs, limit=10) == 10
    monkeypatch.setattr(publishing.dispatch, "send", lambda claimed: len(list(claimed)))
    assert publishing.publish(jobs) == publishing.Report(numbered=15, sent=0)
    assert len(stream(store)) == 25


def test_transaction_ids_that_began_again_are_noticed(store: Store, jobs: Database) -> None:
    with store.superuser() as root:
        root.execute("UPDATE event_watermark SET watermark = 1000000000")
    with pytest.raises(RuntimeError, match="restored"):
        number(jobs)


# -- what a merchant sees


def test_events_are_read_forward_without_a_gap_and_backward_by_page(shop: Shop) -> None:
    charge = shop.pay()
    shop.pay("tok_declined")
    assert shop.events() == []
    shop.platform.publish()
    forward = shop.events(after_sequence="0", limit="1")
    assert [each["sequence"] for each in forward] == [1, 2, 3, 4]
    assert [each["type"] for each in forward] == [
        "charge.pending", "charge.succeeded", "charge.pending", "charge.failed",
    ]  # fmt: skip
    assert [each["id"] for each in shop.events(limit="3")] == [
        each["id"] for each in reversed(forward)
    ]
    assert shop.events(after_sequence="2", type="charge.failed") == forward[3:]
    assert shop.events(after_sequence="0", type="charge.*", object=charge) == forward[:2]
    assert shop.events(after_sequence="4") == []
    found = shop.platform.read(get_event.handler, shop.account, id=forward[1]["id"])
    assert found == forward[1] | {"deliveries": []}
    assert [each["version"] for each in (event["data"] for event in forward[:2])] == [1, 2]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"after_sequence": "-1"}, "?after_sequence"),
        ({"after_sequence": "1e3"}, "?after_sequence"),
        ({"type": "charge.exploded"}, "?type"),
        ({"object": "ch_1"}, "?object"),
        ({"after": "1"}, "?after"),
    ],
)
def test_a_wrong_question_is_refused(shop: Shop, query: dict[str, str], pointer: str) -> None:
    from functions.events import list as list_events  # noqa: PLC0415 - shadows the built-in

    answer = shop.platform.request(list_events.handler, bearer=shop.account.secret_key, query=query)
    assert (answer.status, answer.code) == (422, "request_invalid")
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


def test_nobody_sees_the_events_of_another(shop: Shop, platform: Platform) -> None:
    shop.pay()
    platform.publish()
    (first, _) = shop.events(after_sequence="0")
    bob = Shop(platform, platform.open_account("bob@example.com"), shop.target)
    assert bob.events() == []
    answer = platform.request(get_event.handler, bearer=bob.account.secret_key, id=first["id"])
    assert (answer.status, answer.code) == (404, "resource_missing")


BALANCES = {
    "pending": "pending",
    "available": "available",
    "reserved": "reserve",
    "disputed": "dispute_hold",
    "in_transit": "payouts_in_transit",
}


def test_whoever_only_reads_events_has_the_balances(cloud: Cloud, store: Store) -> None:
    """Weeks of business with everything in it; the events of a merchant add up to its balance."""
    with Platform(cloud, store) as platform:
        books = played(platform)
        for business in (books.ada, books.bob):
            shop = Shop(platform, business.account, target=None)  # type: ignore[arg-type]  # not sent to
            told = shop.events(after_sequence="0")
            assert [each["sequence"] for each in told] == list(range(1, len(told) + 1))
            assert len(told) >= 20
            sums: dict[str, Counter[str]] = defaultdict(Counter)
            for each in told:
                for moved in each["balance_changes"]:
                    sums[moved["currency"]][moved["account"]] += moved["amount"]
            kept: list[dict[str, Any]] = platform.read(balance.handler, business.account)[
                "balances"
            ]
            assert {each["currency"] for each in kept} >= sums.keys()
            for each in kept:
                rebuilt = {
                    name: sums[each["currency"]][account] for name, account in BALANCES.items()
                }
                assert rebuilt == {name: each[name] for name in BALANCES}
