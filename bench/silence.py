"""Letting functions log as they do, where nobody has to read it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from ivy import observe


@contextmanager
def heard(by: TextIO) -> Iterator[None]:
    """Let everything that functions print, log lines and metrics, go somewhere else."""
    with redirect_stdout(by):
        handlers: list[Any] = list(observe.logger().handlers)  # each of them has a stream
        streams = [handler.stream for handler in handlers]
        for handler in handlers:
            handler.stream = by
        try:
            yield
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                handler.stream = stream


@contextmanager
def quietly() -> Iterator[None]:
    """Let it go nowhere."""
    with Path(os.devnull).open("w") as nowhere, heard(nowhere):
        yield
