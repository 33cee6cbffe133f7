"""Running an invocation in a process of its own, which can be made to die at a named point."""

from __future__ import annotations

import itertools
import json
import os
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ivy import aws, database, faults

KILLED = 137
SERVICES = ("dynamodb", "kms", "lambda", "secretsmanager", "sqs")
_FAILED = 1


@dataclass(frozen=True)
class End:
    """How a process ended, what it returned, and the points it passed."""

    exit_code: int
    result: Any
    reached: list[str] = field(default_factory=list)

    @property
    def died(self) -> bool:
        return self.exit_code == KILLED


@dataclass(frozen=True)
class Process:
    """A running invocation."""

    pid: int
    _pipe: int

    def wait(self) -> End:
        """Return how it ended; raises when it neither finished nor died as told."""
        with os.fdopen(self._pipe, encoding="utf-8") as pipe:
            lines = pipe.read().splitlines()
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        reached = [line[1:] for line in lines if line.startswith("+")]
        results = [json.loads(line[1:]) for line in lines if line.startswith("=")]
        if code not in (0, KILLED):
            raise AssertionError(f"an invocation ended with {code}: {lines}")
        return End(code, results[0] if results else None, reached)


Fatal = Callable[[str], bool]
"""Says of each point that a process passes whether it dies there."""


def never(_: str) -> bool:
    return False


def at(point: str) -> Fatal:
    """Die at a point."""
    return lambda name: name == point


def after(points: int) -> Fatal:
    """Die at the given number of points from the start, whichever that is."""
    passed = itertools.count(1)
    return lambda _: next(passed) == points


def start(work: Callable[[], Any], fatal: Fatal = never) -> Process:
    """Start ``work`` in a fork that ends the moment it passes a fatal point."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Process(pid, reading)
    try:
        os.close(reading)
        _run(work, writing, fatal)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
        os.write(writing, traceback.format_exc().encode())
    finally:
        os._exit(_FAILED)


def run(work: Callable[[], Any], fatal: Fatal = never) -> End:
    """Run ``work`` in a process of its own and wait for its end."""
    return start(work, fatal).wait()


def _run(work: Callable[[], Any], pipe: int, fatal: Fatal) -> None:
    inherited = _let_go_of_the_parents_connections()
    one_at_a_time = threading.Lock()  # so that no other thread reports a point after the fatal one

    def react(name: str) -> None:
        with one_at_a_time:
            os.write(pipe, f"+{name}\n".encode())
            if fatal(name):
                os._exit(KILLED)

    faults.arm(react)
    result = work()
    os.write(pipe, b"=" + json.dumps(result).encode() + b"\n")
    del inherited
    os._exit(0)


def _let_go_of_the_parents_connections() -> Any:
    """Use none of the parent's sockets; what is returned must live as long as the process."""
    inherited = database.database() if database.database.cache_info().currsize else None
    database.database.cache_clear()
    for service in SERVICES:
        aws.client(service).close()  # its pool, not the client
    aws.client("dynamodb", hasty=True).close()
    return inherited
