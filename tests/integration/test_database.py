"""Transactions end as they say: all of it is committed, or an error is raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from ivy.database import PREPARE_AFTER, Database, Transaction
from ivy.serve import problems
from tests.conftest import Store

FAILING = "SELECT 1 / %(zero)s"


@pytest.fixture
def database(store: Store) -> Iterator[Database]:
    opened = Database(store.url("ivy_jobs"))
    yield opened
    opened.close()


def work(database: Database, *steps: Callable[[Transaction], None]) -> None:
    with database.transaction() as tx:
        for step in steps:
            step(tx)


def write(tx: Transaction) -> None:
    tx.run("UPDATE rollup SET watermark = watermark + 7")


def watermark(store: Store) -> int:
    with store.superuser() as root:
        (found,) = root.execute("SELECT watermark FROM rollup").fetchone() or (0,)
    return int(found)


def passed_over(tx: Transaction) -> None:
    with suppress(psycopg.Error):
        tx.value(FAILING, zero=0)


def passed_over_and_written_on(tx: Transaction) -> None:
    passed_over(tx)
    write(tx)


def passed_over_and_read_on(tx: Transaction) -> None:
    passed_over(tx)
    with suppress(psycopg.Error):
        tx.value("SELECT 1")


def passed_over_late(tx: Transaction) -> None:
    """The error of a statement whose answer nobody awaits surfaces at the next read."""
    tx.run(FAILING, zero=0)
    with suppress(psycopg.Error):
        tx.value("SELECT 1")


def passed_over_and_synchronised(tx: Transaction) -> None:
    passed_over(tx)
    with suppress(psycopg.Error), tx._connection.pipeline():
        pass


def never_noticed(tx: Transaction) -> None:
    tx.run(FAILING, zero=0)


@pytest.mark.parametrize(
    "go_on",
    [
        passed_over,
        passed_over_and_written_on,
        passed_over_and_read_on,
        passed_over_late,
        passed_over_and_synchronised,
        never_noticed,
    ],
)
def test_a_failed_transaction_never_ends_as_if_committed(
    store: Store, database: Database, go_on: Callable[[Transaction], None]
) -> None:
    before = watermark(store)
    with pytest.raises(psycopg.Error):
        work(database, write, go_on)
    assert watermark(store) == before
    work(database, write)  # the connection is of use again
    assert watermark(store) == before + 7


def test_passing_over_an_error_is_our_own_fault(database: Database) -> None:
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="passed over") as caught:
        work(database, passed_over)
    assert problems.from_exception(caught.value).code == "internal_error"


def test_the_first_error_is_the_one_that_is_told(database: Database) -> None:
    def fail(tx: Transaction) -> None:
        tx.value(FAILING, zero=0)

    def give_up(_tx: Transaction) -> None:
        raise LookupError

    with pytest.raises(psycopg.errors.DivisionByZero):
        work(database, fail)
    with pytest.raises(LookupError):
        work(database, passed_over, give_up)


@pytest.mark.parametrize("prepares", [True, False])
def test_a_statement_that_is_sent_often_is_prepared_once(store: Store, *, prepares: bool) -> None:
    """Whatever the size of its numbers; where a proxy shares connections, it never is."""
    database = Database(store.url("ivy_jobs"), prepares=prepares)
    for number in range(PREPARE_AFTER + 4):
        with database.transaction() as tx:
            assert tx.value("SELECT %(number)s + 1", number=9**number) == 9**number + 1
    with database.transaction() as tx:
        found = tx.value("SELECT array_agg(parameter_types::text) FROM pg_prepared_statements")
    assert found == (["{bigint}"] if prepares else None)
    database.close()


def test_a_migration_under_a_connection_costs_one_retryable_answer(
    store: Store, database: Database
) -> None:
    with store.superuser() as root:
        root.execute("CREATE TABLE ivy.told AS SELECT 7 AS number; GRANT SELECT ON told TO PUBLIC")
    for _ in range(PREPARE_AFTER + 1):
        with database.transaction() as tx:
            assert tx.value("SELECT number FROM told") == 7
    with store.superuser() as root:
        root.execute("ALTER TABLE ivy.told ALTER number TYPE text")
    with pytest.raises(psycopg.OperationalError) as caught, database.transaction() as tx:
        tx.value("SELECT number FROM told")
    problem = problems.from_exception(caught.value)
    assert (problem.status, problem.retryable) == (503, True)
    with database.transaction() as tx:
        assert tx.value("SELECT number FROM told") == "7"
