"""Fixtures for every suite: a real Postgres of the session's own, and a fresh schema per test."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import hypothesis
import psycopg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from ivy import migrations, observe
from local.postgres import Postgres
from tests.cloud import Cloud
from tests.driving import Platform

# No test depends on how fast the machine is; what is to be fast is measured in bench/.
hypothesis.settings.register_profile("ivy", deadline=None)
hypothesis.settings.load_profile("ivy")

ROLES = ("ivy_app", "ivy_jobs", "ivy_settle", "ivy_read")
PASSWORD = "only-for-tests"

_numbers = itertools.count()


STARTED_ONCE = {"e2e", "infra"}
"""Suites that share a whole stack, or the templates of every target: minutes to make."""


class Together(LoadScopeScheduling):
    """Gives each worker whole files, or whole suites, in which tests share what is costly."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return str(file.parent if file.parent.name in STARTED_ONCE else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def migrated(data: Path, *, durable: bool) -> Iterator[Postgres]:
    """A cluster with every migration applied in the database that tests are copied from."""
    server = Postgres(data, free_port(), durable=durable)
    server.start()
    try:
        with psycopg.connect(server.url(), autocommit=True) as owner:
            migrations.apply(owner, migrations.available())
            for role in ROLES:
                migrations.set_password(owner, role, PASSWORD)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The session's cluster, which trades the safety of its data for speed."""
    with migrated(tmp_path_factory.mktemp("postgres") / "data", durable=False) as server:
        yield server


class Store:
    """One test's database, and the ways to connect to it."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server = server
        self.name = name
        self.log = server.log_file

    def url(self, role: str) -> str:
        if role in ROLES:
            return self._server.url(role, PASSWORD, self.name)
        return self._server.url(role, database=self.name)

    def superuser(self) -> psycopg.Connection:
        """Past every grant and policy: to look at everything, or to plant a corruption."""
        return psycopg.connect(self.url("postgres"), autocommit=True, options="-c search_path=ivy")


@contextmanager
def copied(cluster: Postgres, template: str = "ivy") -> Iterator[Store]:
    """A copy of the migrated database, or of another that nobody is connected to; dropped after."""
    name = f"test_{next(_numbers)}"
    _administer(
        cluster, f"CREATE DATABASE {name} TEMPLATE {template} OWNER ivy_owner STRATEGY wal_log"
    )
    yield Store(cluster, name)
    _administer(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(cluster: Postgres, statement: LiteralString) -> None:
    with psycopg.connect(cluster.url("postgres", database="postgres"), autocommit=True) as admin:
        admin.execute(statement)


@pytest.fixture
def store(cluster: Postgres) -> Iterator[Store]:
    """A database of the test's own."""
    with copied(cluster) as made:
        yield made


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """AWS, for every test of the session; each test's resources have names of their own."""
    running = Cloud()
    yield running
    running.stop()


@pytest.fixture
def platform(cloud: Cloud, store: Store) -> Iterator[Platform]:
    """A deployment of its own: drive the handlers through it."""
    with Platform(cloud, store) as deployment:
        yield deployment


class Stdout:
    """Whatever standard output is at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture
def to_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the logger, made once for the process, write to the output of this test."""
    for handler in observe.logger().handlers:
        monkeypatch.setattr(handler, "stream", Stdout())
