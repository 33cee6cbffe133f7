"""Racers: processes that wait for one starting shot, and then do something at the same moment.

Each is a deployment of its own, with its own connections, before one database and one acquirer.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.managers import BaseManager
from multiprocessing.synchronize import Barrier
from typing import Any

from tests.driving import Reply
from tests.simulation.pocket_cloud import Acquirer
from tests.simulation.sandbox import Sandbox
from tests.simulation.shop import Shop

RACERS = 4
SECONDS = 20.0
"""How long anybody waits for the others before the race has failed."""

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Move:
    """What a racer does: a method of its ``Shop``, with some delay after the shot."""

    verb: str
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    delay_seconds: float = 0.0

    def __repr__(self) -> str:
        said = [*map(str, self.arguments), *(f"{k}={v}" for k, v in self.named.items())]
        return f"{self.verb}({', '.join(said)})"


@dataclass(frozen=True)
class Result:
    """What came of a move: the reply to a request, or whatever else the method returned."""

    move: Move
    reply: Reply | None
    returned: Any
    failures: list[str]
    """Errors that were logged on the way."""


class Track:
    """Racers, and the sandbox in which everything but races happens."""

    def __init__(self, here: Sandbox) -> None:
        self.here = here
        self._shot = _fork.Barrier(RACERS)
        self._pipes: list[Connection] = []
        self._racers: list[Any] = []
        for _ in range(RACERS):
            ours, theirs = _fork.Pipe()
            racer = _fork.Process(target=_race, args=(here, theirs, self._shot))
            racer.start()
            theirs.close()
            self._pipes.append(ours)
            self._racers.append(racer)

    def race(self, *moves: Move) -> list[Result]:
        """Make these moves at once, up to one for each racer, and return what came of them."""
        assert len(moves) <= RACERS
        at = self.here.clock.at
        for number, pipe in enumerate(self._pipes):
            pipe.send((at, moves[number] if number < len(moves) else None))
        said = []
        for pipe in self._pipes:
            assert pipe.poll(SECONDS), "a racer does not come back"
            said.append(pipe.recv())
        results = []
        for move, (problem, returned, failures) in zip(moves, said, strict=False):
            assert not problem, f"{move}: {problem}"
            reply = returned if isinstance(returned, Reply) else None
            results.append(Result(move, reply, returned, failures))
        return results

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for racer in self._racers:
            racer.join(SECONDS)


def _race(here: Sandbox, pipe: Connection, shot: Barrier) -> None:
    """Make one move for each shot, until there is none to come."""
    here.platform.forget()
    shop = Shop(here)
    while order := pipe.recv():
        at, move = order
        problem, returned = "", None
        here.clock.at = at
        shot.wait(SECONDS)
        if move is not None:
            time.sleep(move.delay_seconds)
            try:
                returned = getattr(shop, move.verb)(*move.arguments, **move.named)
            except BaseException:  # noqa: BLE001 - whatever it is, the test reports it
                problem = traceback.format_exc()
        pipe.send((problem, returned, list(here.failures)))
        here.failures.clear()
    os._exit(0)


class _Shared(BaseManager):
    """A process that holds the acquirer for all others."""


_Shared.register("acquirer", Acquirer)


@contextmanager
def shared_acquirer() -> Iterator[Any]:
    """An acquirer that every process forked from this one can ask."""
    with _Shared(ctx=_fork) as manager:
        yield manager.acquirer()  # type: ignore[attr-defined]  # registered above
