"""Drives a server with pgbench, which costs little itself: the server is what is measured."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.cluster import PASSWORD, Cluster
from bench.rounds import Run
from local.postgres import DATABASE, binaries

CLIENTS = 16
THREADS = 2
CONNECTING_ROUNDS = 5
_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")
_RATE = re.compile(r"tps = ([0-9.]+) \(without initial connection time\)")
_FAILED = re.compile(r"number of failed transactions: (\d+)")


@dataclass(frozen=True)
class Load:
    """A script, and who sends it where."""

    script: str
    constants: Mapping[str, str] = field(default_factory=dict)
    clients: int = CLIENTS
    database: str = DATABASE
    role: str = "ivy_app"
    times: int = 1
    """How many of what is measured one transaction does."""


def run(cluster: Cluster, load: Load, seconds: float) -> Run:
    """Send a script again and again, and return what it took; CPU is the whole server's.

    What it takes the clients to connect is in neither.

    Raises:
        RuntimeError: A transaction failed, so the run is worth nothing.
    """
    said, spent = _spent(cluster, load, f"--time={max(1, round(seconds))}")
    processed, rate = _processed(said), float(_found(_RATE, said))
    working = max(spent - _connecting(cluster, load.clients), 0.0)
    return Run(processed * load.times, processed / rate, working)


def repeat(cluster: Cluster, load: Load, each: int) -> int:
    """Let each client send a script so many times; returns how many transactions there were.

    Raises:
        RuntimeError: A transaction failed.
    """
    return _processed(_spent(cluster, load, f"--transactions={each}")[0])


def _processed(said: str) -> int:
    if _found(_FAILED, said) != "0":
        raise RuntimeError(f"void: pgbench says\n{said}")
    return int(_found(_PROCESSED, said))


_connecting_seconds: dict[tuple[int, int], float] = {}


def _connecting(cluster: Cluster, clients: int) -> float:
    """Return the CPU that it costs a server to let clients in and to let them go."""
    of = (cluster.server.port, clients)
    if of not in _connecting_seconds:
        idle = Load("SELECT;\n", clients=clients)
        took = [_spent(cluster, idle, "--transactions=1")[1] for _ in range(CONNECTING_ROUNDS)]
        _connecting_seconds[of] = statistics.median(took)
    return _connecting_seconds[of]


def _spent(cluster: Cluster, load: Load, until: str) -> tuple[str, float]:
    """Return what pgbench said, and the CPU that the server used meanwhile."""
    cluster.quiet()
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(load.script)
        file.flush()
        before = cluster.cpu_seconds()
        said = _pgbench(cluster, load, Path(file.name), until)
        cluster.quiet()
        return said, cluster.cpu_seconds() - before


def _found(pattern: re.Pattern[str], said: str) -> str:
    found = pattern.search(said)
    if found is None:
        raise RuntimeError(f"void: pgbench says\n{said}")
    return found[1]


def _pgbench(cluster: Cluster, load: Load, script: Path, until: str) -> str:
    command = [
        *(str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared"),
        *(f"--client={load.clients}", f"--jobs={min(THREADS, load.clients)}"),
        *(until, f"--file={script}"),
        *(f"--define={name}={value}" for name, value in load.constants.items()),
        *("--host=127.0.0.1", f"--port={cluster.server.port}", f"--username={load.role}"),
        load.database,
    ]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"void: pgbench failed\n{done.stderr[-2000:]}")
    return done.stdout
