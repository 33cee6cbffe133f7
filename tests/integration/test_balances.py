"""Balances are exact at any moment: while rows arrive, while they are rolled up, and after."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivy import balances, ids, ledger
from ivy.database import Database, Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from tests.conftest import Store

ADA, BOB = Tenant(1001, livemode=False), Tenant(1002, livemode=False)
ADA_LIVE = Tenant(1001, livemode=True)


class Books:
    """The ledger as the app and the jobs reach it, over as many connections as are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = ExitStack()
        self.app, self.jobs = self.connect("ivy_app"), self.connect("ivy_jobs")

    def connect(self, role: str) -> Database:
        database = Database(self._store.url(role))
        self._open.callback(database.close)
        return database

    def close(self) -> None:
        self._open.close()

    @contextmanager
    def posting(self, tenant: Tenant, amount: int, currency: str = "USD") -> Iterator[Transaction]:
        """A transaction of a connection of its own that has posted and not committed yet."""
        with self.connect("ivy_app").transaction(tenant) as tx:
            post(tx, tenant, amount, currency)
            tx.value("SELECT 1")  # the pipeline has been sent
            yield tx

    def post(self, tenant: Tenant, amount: int, currency: str = "USD") -> None:
        with self.app.transaction(tenant) as tx:
            post(tx, tenant, amount, currency)

    def roll_up(self) -> int:
        with self.jobs.transaction() as tx:
            return ledger.roll_up(tx)

    def pending(self, tenant: Tenant = ADA) -> dict[str, int]:
        with self.app.transaction(tenant) as tx:
            found = balances.balance(tx, tenant, ids.now())
        return {line.currency: line.pending for line in found.balances}

    def stored(self) -> dict[int, int]:
        """The figures of the accounts, and the same from the journal up to the watermark."""
        with self.jobs.transaction() as tx:
            kept = tx.value("SELECT coalesce(json_object_agg(number, balance), '{}') FROM accounts")
            plain = tx.value(
                "SELECT coalesce(json_object_agg(account, amount), '{}') FROM (SELECT account,"
                " sum(amount) AS amount FROM entries WHERE xid < (SELECT watermark FROM rollup)"
                " GROUP BY account) AS summed"
            )
        assert {k: v for k, v in kept.items() if v} == {k: v for k, v in plain.items() if v}
        assert sum(kept.values()) == 0
        return {int(number): balance for number, balance in kept.items()}


def post(tx: Transaction, tenant: Tenant, amount: int, currency: str = "USD") -> None:
    legs = (debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, amount), credit(Chart.PENDING, amount))
    post_legs(tx, tenant, legs, currency)


def post_legs(
    tx: Transaction, tenant: Tenant, legs: tuple[ledger.Leg, ...], currency: str = "USD"
) -> None:
    at = ids.now()
    ledger.post(
        tx,
        tenant,
        Posting(
            id=ids.new(at),
            kind=PostingKind.CHARGE_CAPTURED,
            source=ids.new(at),
            currency=currency,
            legs=legs,
            value_on=at.date(),
            recorded_at=at,
        ),
    )


def interrupt(begun: ExitStack) -> None:
    """End an open transaction as an exception in it would."""
    assert not begun.__exit__(InterruptedError, InterruptedError(), None)


@pytest.fixture
def books(store: Store) -> Iterator[Books]:
    made = Books(store)
    yield made
    made.close()


def test_a_balance_is_the_same_before_and_after_a_roll_up(books: Books) -> None:
    for amount in (100, 250, 7):
        books.post(ADA, amount)
    books.post(ADA, 9, "JPY")
    books.post(BOB, 1)
    before = books.pending()
    assert before == {"USD": 357, "JPY": 9}
    assert books.roll_up() == 5  # two accounts of Ada's, one of Bob's, two receivables
    assert books.pending() == before
    assert books.roll_up() == 0
    assert books.pending() == before
    assert books.stored()[1001_840_0_210] == -357


@pytest.mark.parametrize("place", range(4))
def test_each_of_the_four_legs_counts(books: Books, place: int) -> None:
    others = [
        debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, 100),
        credit(Chart.INCOME_PROCESSING, 30),
        credit(Chart.INCOME_DISPUTE, 20),
    ]
    legs = (*others[:place], credit(Chart.PENDING, 50), *others[place:])
    with books.app.transaction(ADA) as tx:
        post_legs(tx, ADA, legs)
    assert books.pending() == {"USD": 50}
    books.roll_up()
    assert books.pending() == {"USD": 50}


def test_test_and_live_are_counted_apart(books: Books) -> None:
    books.post(ADA, 5)
    books.post(ADA_LIVE, 8)
    for _ in range(2):
        assert books.pending(ADA) == {"USD": 5}
        assert books.pending(ADA_LIVE) == {"USD": 8}
        books.roll_up()


@pytest.mark.parametrize("rolled", [(), (0,), (1,)])
@pytest.mark.parametrize("place", range(4))
def test_what_many_have_available_is_what_each_has(
    books: Books, place: int, rolled: tuple[int, ...]
) -> None:
    """Each of the four legs counts, rolled up or not; nobody else's, of no other mode."""
    for step in range(2):
        for number, tenant in enumerate((ADA, ADA_LIVE, BOB)):
            taken = 100**number * (step + 1)
            legs = [debit(Chart.PENDING, 5), debit(Chart.RESERVE, 6)]
            legs.append(credit(Chart.BANK_CLIENT, 11 + taken))
            legs.insert(place, debit(Chart.AVAILABLE, taken))
            for currency in ("USD", "EUR"):
                with books.app.transaction(tenant) as tx:
                    post_legs(tx, tenant, tuple(legs), currency)
        if step in rolled:
            books.roll_up()
    with books.jobs.transaction() as tx:
        found = tx.value(
            "SELECT json_agg("
            + ledger.available_of("row")
            + ") FROM (VALUES (1001::bigint, false, 'USD'), (1001, true, 'USD'),"
            " (1002, false, 'USD'), (1002, true, 'USD')) AS row (merchant_id, livemode, currency)"
        )
    assert found == [-3, -300, -30_000, 0]


def test_a_posting_in_flight_is_never_lost(books: Books) -> None:
    """It has an older transaction id than rows that are already committed."""
    with books.posting(ADA, 1_000):
        books.post(ADA, 10)
        books.roll_up()
        books.roll_up()
        assert books.pending() == {"USD": 10}
        books.stored()
    assert books.pending() == {"USD": 1_010}
    books.roll_up()
    assert books.pending() == {"USD": 1_010}
    assert books.stored()[1001_840_0_210] == -1_010


def test_a_posting_that_is_rolled_back_counts_nowhere(books: Books) -> None:
    with ExitStack() as begun:
        begun.enter_context(books.posting(ADA, 1_000))
        books.post(ADA, 10)
        books.roll_up()
        interrupt(begun)
    books.roll_up()
    assert books.pending() == {"USD": 10}
    assert books.stored()[1001_840_0_210] == -10


def test_a_reader_sees_one_moment_while_a_roll_up_commits(books: Books) -> None:
    books.post(ADA, 10)
    with books.jobs.transaction() as tx:
        ledger.roll_up(tx)
        assert books.pending() == {"USD": 10}
    assert books.pending() == {"USD": 10}


def test_two_roll_ups_at_once_count_each_row_once(books: Books) -> None:
    for amount in range(1, 21):
        books.post(ADA, amount)
    moved: list[int] = []
    other = books.connect("ivy_jobs")

    def second() -> None:
        with other.transaction() as tx:
            moved.append(ledger.roll_up(tx))

    with books.jobs.transaction() as tx:
        moved.append(ledger.roll_up(tx))
        waiting = threading.Thread(target=second)
        waiting.start()
        with books.app.transaction() as look:
            while not look.value(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
                " OR NOT granted AND locktype = 'transactionid')"
            ):
                pass
    waiting.join(10)
    assert moved == [2, 0]
    assert books.pending() == {"USD": 210}
    assert books.stored()[1001_840_0_210] == -210


@given(st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_postings_and_roll_ups_is_the_plain_sum(
    books: Books, data: st.DataObject
) -> None:
    """Transactions begin, commit and roll back in any order around roll-ups.

    The examples share one ledger, which only makes their histories longer.
    """
    expected = books.pending()
    with ExitStack() as undone:
        flying: list[tuple[ExitStack, int, str]] = []
        steps = data.draw(
            st.lists(st.sampled_from(["post", "begin", "commit", "abort", "roll up"]), max_size=14)
        )
        for step in steps:
            amount = data.draw(st.integers(1, 10**9))
            currency = data.draw(st.sampled_from(["USD", "JPY", "KWD"]))
            if step == "post":
                books.post(ADA, amount, currency)
                expected[currency] = expected.get(currency, 0) + amount
            elif step == "begin" and len(flying) < 3:
                begun = ExitStack()
                undone.callback(begun.close)
                begun.enter_context(books.posting(ADA, amount, currency))
                flying.append((begun, amount, currency))
            elif step == "commit" and flying:
                begun, amount, currency = flying.pop(amount % len(flying))
                begun.close()
                expected[currency] = expected.get(currency, 0) + amount
            elif step == "abort" and flying:
                interrupt(flying.pop(amount % len(flying))[0])
            elif step == "roll up":
                books.roll_up()
            assert books.pending() == expected
        for begun, amount, currency in flying:
            begun.close()
            expected[currency] = expected.get(currency, 0) + amount
    books.roll_up()
    assert books.pending() == expected
    books.stored()
