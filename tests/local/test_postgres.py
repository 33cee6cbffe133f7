from __future__ import annotations

import os
import signal
import socket
import stat
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from local import processes
from local.errors import LocalError
from local.home import free_port
from local.postgres import OWNER, Postgres, clear, discard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    made = Postgres(tmp_path_factory.mktemp("cluster") / "postgres", free_port())
    made.start()
    yield made
    made.stop()
    discard(made.data)


def value(cluster: Postgres, query: str) -> object:
    with psycopg.connect(cluster.url()) as connection:
        found = connection.execute(query).fetchone()  # type: ignore[call-overload] # test queries
    assert found is not None
    return found[0]


def test_the_owner_may_create_roles_but_is_no_superuser(cluster: Postgres) -> None:
    rights = "rolcreaterole AND rolcanlogin AND NOT rolsuper"
    assert value(cluster, f"SELECT {rights} FROM pg_roles WHERE rolname = current_user") is True
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert value(cluster, owner) == OWNER


def test_the_data_is_as_safe_as_in_production(cluster: Postgres) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
        assert value(cluster, f"SHOW {setting}") == "on"


def test_the_server_does_not_run_as_root_and_closes_its_data(cluster: Postgres) -> None:
    about = cluster.data.stat()
    assert about.st_uid != 0
    assert stat.S_IMODE(about.st_mode) == 0o700


def test_it_listens_on_the_loopback_address_only(cluster: Postgres) -> None:
    assert value(cluster, "SHOW listen_addresses") == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", cluster.port), timeout=1)


def test_a_wrong_password_is_refused(cluster: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(cluster.url(password="guess"))


def test_committed_rows_survive_kill_9_of_the_postmaster(cluster: Postgres) -> None:
    with psycopg.connect(cluster.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    idle = psycopg.connect(cluster.url())  # a child that outlives its postmaster for a moment

    cluster.kill()
    assert (cluster.data / "postmaster.pid").exists()
    cluster.start()

    assert value(cluster, "SELECT answer FROM kept") == 42
    idle.close()


def test_a_server_nobody_watches_any_more_is_replaced(cluster: Postgres) -> None:
    before = cluster.process
    assert before is not None
    again = Postgres(cluster.data, free_port(), cluster.passwords)
    again.start()
    try:
        assert before.wait(timeout=5) == 0
        assert value(again, "SELECT 1") == 1
    finally:
        again.stop()
    cluster.start()


def test_children_of_a_killed_postmaster_are_ended(cluster: Postgres) -> None:
    assert cluster.process is not None
    # Stopped children cannot notice that their postmaster died: PostgreSQL would refuse to start.
    children = [pid for pid in processes.working_in(cluster.data) if pid != cluster.process.pid]
    for pid in children:
        with suppress(ProcessLookupError):  # autovacuum workers come and go
            os.kill(pid, signal.SIGSTOP)
    cluster.kill()
    time.sleep(0.1)
    assert processes.working_in(cluster.data)

    ended = clear(cluster.data)

    assert set(ended) <= set(children)
    assert not processes.working_in(cluster.data)
    cluster.start()
    assert value(cluster, "SELECT 1") == 1


def test_a_lock_whose_pid_belongs_to_another_program_is_dropped(cluster: Postgres) -> None:
    cluster.stop()
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")
    cluster.start()
    assert value(cluster, "SELECT 1") == 1


def test_half_a_cluster_is_made_again(tmp_path: Path) -> None:
    data = tmp_path / "postgres"
    (data / "base").mkdir(parents=True)
    made = Postgres(data, free_port())
    made.start()
    try:
        assert value(made, "SELECT 1") == 1
    finally:
        made.stop()
        discard(data)


def test_a_lost_password_is_explained(cluster: Postgres) -> None:
    cluster.stop()
    with pytest.raises(LocalError) as raised:
        Postgres(cluster.data, free_port(), {"postgres": "forgotten"}).start()
    assert "secrets.json" in raised.value.fix
    cluster.start()


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    made = Postgres(tmp_path / "postgres", taken.getsockname()[1])
    with pytest.raises(LocalError, match="Address already in use"):
        made.start()
    taken.close()
    discard(made.data)
