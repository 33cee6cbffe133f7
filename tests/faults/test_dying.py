"""A process that dies at a point has passed no other one since, in whichever thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from ivy import faults
from tests.faults import dying

THREADS = 8


def _last_words(fatal_first: int) -> str:
    """Let threads rush past a point while one comes to the fatal one; return the last told."""
    begin = threading.Barrier(THREADS)

    def rush(thread: int) -> NoReturn:
        begin.wait()
        while True:
            faults.point("fatal" if thread == fatal_first else "harmless")

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(rush, range(THREADS)))

    end = dying.run(work, dying.at("fatal"))
    assert end.died
    return end.reached[-1]


@pytest.mark.usefixtures("world")
def test_the_last_point_told_is_the_one_it_died_at() -> None:
    assert [_last_words(thread) for thread in range(THREADS)] == ["fatal"] * THREADS
