"""Migrations: twice, at once, killed half-way, and against a history that was rewritten."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from ivy import migrations
from ivy.callers import Scope
from ivy.migrations import Migration, MigrationError
from local.postgres import Postgres

_numbers = itertools.count()

FILES = [
    Migration(1, "0001_one.sql", "CREATE TABLE one (n integer); INSERT INTO one VALUES (1);"),
    Migration(2, "0002_two.sql", "CREATE TABLE two AS SELECT * FROM one;"),
    Migration(3, "0003_three.sql", "ALTER TABLE one ADD COLUMN m integer;"),
]


@pytest.fixture
def empty(cluster: Postgres) -> Iterator[str]:
    """The address of an empty database, as the owner of the schema."""
    name = f"empty_{next(_numbers)}"
    with psycopg.connect(cluster.url("postgres", database="postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER ivy_owner".encode())
        yield cluster.url(database=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def applied(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT name FROM ivy.migrations ORDER BY number").fetchall()
    return [name for (name,) in rows]


def run(url: str, files: list[Migration]) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return migrations.apply(connection, files)


def test_the_files_that_ship_are_numbered_and_hashed() -> None:
    found = migrations.available()
    assert [migration.number for migration in found] == list(range(1, len(found) + 1))
    assert len({migration.checksum for migration in found}) == len(found) >= 6
    assert all(len(migration.checksum) == 64 for migration in found)


def test_applying_twice_applies_once(empty: str) -> None:
    assert run(empty, FILES[:2]) == ["0001_one.sql", "0002_two.sql"]
    assert run(empty, FILES[:2]) == []
    assert run(empty, FILES) == ["0003_three.sql"]
    assert applied(empty) == [file.name for file in FILES]


def test_the_real_schema_applies_to_an_empty_database_twice(empty: str) -> None:
    files = migrations.available()
    assert run(empty, files) == [file.name for file in files]
    assert run(empty, files) == []


def test_keys_that_may_do_everything_may_change_bank_accounts(
    empty: str, cluster: Postgres
) -> None:
    files = migrations.available()
    fresh = {Scope.BANK_ACCOUNTS_READ, Scope.BANK_ACCOUNTS_WRITE}
    before = next(n for n, file in enumerate(files) if file.name == "0011_bank_accounts.sql")
    run(empty, files[:before])
    everything = [str(scope) for scope in Scope if scope not in fresh]
    url = cluster.url("postgres", database=empty.rpartition("/")[2])
    with psycopg.connect(url, autocommit=True, options="-c search_path=ivy") as root:
        root.execute(
            "INSERT INTO merchants (public_id, name, country, default_currency, created_at)"
            " VALUES (gen_random_uuid(), 'Ada', 'US', 'USD', now())"
        )
        for scopes in (everything, everything[1:]):
            root.execute(
                "INSERT INTO api_keys (merchant_id, id, livemode, kind, name, hash, prefix, last4,"
                " scopes, created_at) SELECT id, gen_random_uuid(), false, 'secret', 'k',"
                " encode(sha256(%s), 'hex'), 'p', '0000', %s, now() FROM merchants",
                (repr(scopes).encode(), scopes),
            )
        run(empty, files)
        found = root.execute("SELECT scopes FROM api_keys ORDER BY cardinality(scopes)").fetchall()
        forced = root.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'api_keys'::regclass"
        ).fetchone()
    assert [set(scopes) for (scopes,) in found] == [{*everything[1:]}, {*everything, *fresh}]
    assert forced == (True,)


def _apply_real(url: str, barrier: Any, results: Any) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        barrier.wait()
        results.put(migrations.apply(connection, migrations.available()))


def test_two_processes_at_once_apply_each_file_once(empty: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_apply_real, args=(empty, barrier, results)) for _ in range(2)]
    for racer in racers:
        racer.start()
    done = sorted(results.get(timeout=60) + results.get(timeout=60))
    for racer in racers:
        racer.join(30)
        assert racer.exitcode == 0
    names = [file.name for file in migrations.available()]
    assert done == names
    assert applied(empty) == names


def _apply_and_hang(url: str, ready: Any) -> None:
    slow = [FILES[0], Migration(2, "0002_two.sql", "CREATE TABLE two (n int); SELECT pg_sleep(60)")]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda _: None)
        ready.set()
        migrations.apply(connection, slow)


def test_killed_half_way_it_starts_again_where_it_was(empty: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    victim = context.Process(target=_apply_and_hang, args=(empty, ready))
    victim.start()
    assert ready.wait(30)
    sleeping = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)'"
        " AND pid <> pg_backend_pid() AND datname = current_database()"
    )
    with psycopg.connect(empty, autocommit=True) as watch:
        while (found := watch.execute(sleeping).fetchone()) is None:
            pass
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(10)
        watch.execute("SELECT pg_terminate_backend(%s)", found)
        while watch.execute(sleeping).fetchone():
            pass
    assert applied(empty) == ["0001_one.sql"]
    assert run(empty, FILES) == ["0002_two.sql", "0003_three.sql"]


def test_a_file_that_fails_leaves_nothing_behind(empty: str) -> None:
    broken = Migration(2, "0002_two.sql", "CREATE TABLE two (n int); SELECT nonsense;")
    with pytest.raises(MigrationError, match=r"0002_two\.sql failed: .*nonsense"):
        run(empty, [FILES[0], broken, FILES[2]])
    assert applied(empty) == ["0001_one.sql"]
    assert run(empty, FILES) == ["0002_two.sql", "0003_three.sql"]


def test_a_changed_file_is_refused(empty: str) -> None:
    run(empty, FILES[:2])
    rewritten = Migration(1, "0001_one.sql", FILES[0].text + " ")
    with pytest.raises(MigrationError, match=r"0001_one\.sql was applied with another text"):
        run(empty, [rewritten, *FILES[1:]])
    assert applied(empty) == ["0001_one.sql", "0002_two.sql"]


class Folder:
    """Stands in for the folder of files that ships."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def iterdir(self) -> Iterator[Any]:
        for name in self._names:
            yield type("File", (), {"name": name, "read_text": lambda *_, **__: "SELECT 1"})()


@pytest.mark.parametrize(
    "names",
    [
        ("0001_a.sql", "0003_b.sql"),
        ("0002_a.sql",),
        ("0001_a.sql", "0001_b.sql"),
        ("0000_a.sql", "0001_b.sql"),
    ],
)
def test_a_gap_in_the_numbers_is_refused(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr(migrations, "files", lambda _package: Folder(*names))
    with pytest.raises(MigrationError, match="without gaps"):
        migrations.available()


def test_other_files_in_the_folder_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder("0002_b.sql", "README.md", "0001_a.sql")
    monkeypatch.setattr(migrations, "files", lambda _package: folder)
    assert [file.name for file in migrations.available()] == ["0001_a.sql", "0002_b.sql"]


def test_a_password_is_quoted(empty: str, cluster: Postgres) -> None:
    password = 'it\'s "quoted" \\ and % done'
    with psycopg.connect(cluster.url("postgres", database="postgres"), autocommit=True) as admin:
        admin.execute("CREATE ROLE somebody LOGIN")
        try:
            migrations.set_password(admin, "somebody", password)
            name = empty.rpartition("/")[2]
            psycopg.connect(
                host="127.0.0.1",
                port=cluster.port,
                user="somebody",
                password=password,
                dbname=name,
            ).close()
            with pytest.raises(errors.UndefinedObject):
                migrations.set_password(admin, 'nobody"; DROP ROLE somebody; --', "x")
        finally:
            admin.execute("DROP ROLE somebody")
