"""A spy on every connection and name look-up of this process, whoever makes it and however.

Python reports them to audit hooks before they happen, from any thread. A hook cannot be removed, so
there is one, and it does nothing unless somebody watches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass
class Seen:
    """What was done while somebody watched."""

    connects: list[Any] = field(default_factory=list)
    look_ups: list[Any] = field(default_factory=list)


_watching: list[Seen] = []


def _report(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event.startswith("socket."):
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            _watching[-1].connects.append(arguments[1])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            _watching[-1].look_ups.append(arguments[0])


@cache
def _hook() -> None:
    sys.addaudithook(_report)


@contextmanager
def watched() -> Iterator[Seen]:
    """Watch this process until the block ends."""
    _hook()
    seen = Seen()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)
