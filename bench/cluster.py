"""A Postgres of the benchmark's own: durable, migrated, and watched for the CPU that it uses."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it has no types
import psycopg
from psycopg import sql

from ivy import migrations
from local.home import free_port
from local.postgres import DATABASE, Postgres

ROLES = ("ivy_app", "ivy_jobs", "ivy_settle", "ivy_read")
PASSWORD = "bench"  # noqa: S105 - of a cluster that lives as long as the benchmark
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
SHOWN = (
    *DURABLE,
    "commit_delay",
    "commit_siblings",
    "shared_buffers",
    "wal_level",
    "server_version",
)
SLOW = {"commit_delay": "3000", "commit_siblings": "0"}
"""A commit as slow as one that a quorum far away confirms; the client adds its round trips."""

ROUND_TRIP_MS = 1
QUIET_SECONDS = 10.0


class NotDurableError(RuntimeError):
    """The server would lose what it has confirmed: no figure of it would be honest."""


@dataclass
class Cluster:
    """A running cluster and the ways into it."""

    server: Postgres
    durability: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def superuser(self, database: str = DATABASE) -> Iterator[psycopg.Connection[Any]]:
        """Connect past every grant and policy."""
        url = self.server.url("postgres", database=database)
        with psycopg.connect(url, autocommit=True, options="-c search_path=ivy") as root:
            yield root

    def url(self, role: str = "ivy_app", database: str = DATABASE) -> str:
        """Return the address of a database for a role of the product."""
        return self.server.url(role, PASSWORD, database)

    def copy(self, name: str) -> None:
        """Make a second database, as empty as the first one is now."""
        with self.superuser("postgres") as root:
            root.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER ivy_owner").format(
                    sql.Identifier(name), sql.Identifier(DATABASE)
                )
            )

    def cpu_seconds(self) -> float:
        """Return the CPU that the server and all its processes have used so far.

        Call it while nobody is connected: what a process used is its parent's once it has ended.
        """
        assert self.server.process is not None
        postmaster = psutil.Process(self.server.process.pid)
        while True:
            with suppress(psutil.NoSuchProcess):  # one has just ended: ask again
                there = {child.pid for child in postmaster.children()}
                spent = sum(_cpu(psutil.Process(pid)) for pid in there)
                own = postmaster.cpu_times()
                spent += float(own.user + own.system + own.children_user + own.children_system)
                if there == {child.pid for child in postmaster.children()}:
                    return spent

    def quiet(self) -> None:
        """Return once no client is connected any more."""
        deadline = time.monotonic() + QUIET_SECONDS
        with self.superuser("postgres") as root:
            while time.monotonic() < deadline:
                row = root.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                ).fetchone()
                if row == (0,):
                    return
                time.sleep(0.01)
        raise RuntimeError("somebody is still connected to the benchmark's server")

    @contextmanager
    def slow_commits(self) -> Iterator[None]:
        """Let every commit take its time until the block ends."""
        self._configure(SLOW)
        try:
            yield
        finally:
            self._configure(dict.fromkeys(SLOW, "DEFAULT"))

    def _configure(self, settings: dict[str, str]) -> None:
        with self.superuser("postgres") as root:
            for name, value in settings.items():
                chosen = sql.SQL("DEFAULT") if value == "DEFAULT" else sql.Literal(value)
                statement = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), chosen)
                root.execute(statement)
            root.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)  # until every process has read it

    def settings(self) -> dict[str, str]:
        """Return the settings that a reader of the figures has to know."""
        with self.superuser("postgres") as root:
            rows = root.execute(
                "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", (list(SHOWN),)
            ).fetchall()
        return {str(name): str(value) for name, value in rows}

    def assert_durable(self) -> None:
        """Refuse a server that trades safety for speed.

        Raises:
            NotDurableError: It does.
        """
        self.durability = self.settings()
        off = [name for name in DURABLE if self.durability[name] != "on"]
        if off:
            raise NotDurableError(f"{', '.join(off)} off: no figure would be honest")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def running(*, durable: bool = True) -> Iterator[Cluster]:
    """Start a cluster with every migration applied; it is gone afterwards.

    ``durable=False`` is for the self-test that such a server is refused.

    Raises:
        NotDurableError: The server would lose what it has confirmed.
    """
    with tempfile.TemporaryDirectory(prefix="ivy-bench-") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "data", free_port(), durable=durable)
        server.start()
        try:
            cluster = Cluster(server)
            cluster.assert_durable()
            with psycopg.connect(server.url(), autocommit=True) as owner:
                migrations.apply(owner, migrations.available())
                for role in ROLES:
                    migrations.set_password(owner, role, PASSWORD)
            yield cluster
        finally:
            server.stop()
