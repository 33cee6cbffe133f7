"""The machine loses power in the middle of a thousand charges.

The emulator and Postgres are killed with SIGKILL while clients charge, and started again. The
emulator comes back without its queues and its idempotency table. Every acknowledged charge must be
there exactly once, every retry must answer as the first try did, and nothing may stay pending.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests import invariants
from tests.e2e.conftest import Stack, ivy, until

CLIENTS = 8
CHARGES = int(os.environ.get("IVY_CRASH_CHARGES", "240"))
KILL_AFTER = CHARGES // 3


@dataclass
class Run:
    """What the clients know: keys sent, and the charge that each key was acknowledged with."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)
    """Why there is no charge to a key."""

    enough: threading.Event = field(default_factory=threading.Event)

    def send(self, stack: Stack, key: str) -> None:
        try:
            answer = httpx.post(
                f"{stack.api}/charges",
                json={"amount": 1000, "currency": "USD", "payment_method": "tok_visa"},
                headers={"Authorization": f"Bearer {stack.key}", "Idempotency-Key": key},
                timeout=60,  # the first burst after a start waits for its workers
            )
        except httpx.HTTPError as error:
            self.unanswered[key] = repr(error)
            return
        if answer.status_code != 201:
            self.unanswered[key] = answer.text
            return
        self.acknowledged[key] = answer.json()["id"]
        if len(self.acknowledged) >= KILL_AFTER:
            self.enough.set()


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that may be broken: not the one the other tests share."""
    home = tmp_path_factory.mktemp("doomed")
    ivy(home, "up", "--detach")
    try:
        yield Stack(home, json.loads((home / "local.json").read_text()))
    finally:
        ivy(home, "down", check=False)


def kill_everything(home: Path) -> None:
    """SIGKILL every process of a home's stack: supervisor, emulator, workers, Postgres."""
    of_this_home = [process for process in psutil.process_iter() if belongs(process, home)]
    assert of_this_home
    for process in of_this_home:
        with suppress(psutil.NoSuchProcess):
            for doomed in (*process.children(recursive=True), process):
                with suppress(psutil.NoSuchProcess):
                    doomed.kill()


def belongs(process: psutil.Process, home: Path) -> bool:
    with suppress(psutil.Error):
        words = [*process.cmdline(), process.environ().get("IVY_HOME", "")]
        return any(str(home) in word for word in words)
    return False


def test_kill_everything_in_the_middle_of_charging(own_stack: Stack) -> None:
    run = Run()
    keys = [uuid.uuid4().hex for _ in range(CHARGES)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        for key in keys:
            clients.submit(run.send, own_stack, key)
        assert run.enough.wait(timeout=120)
        kill_everything(own_stack.home)
    assert run.unanswered, "the kill came after the last answer"

    ivy(own_stack.home, "up", "--detach")
    stack = Stack(own_stack.home, json.loads((own_stack.home / "local.json").read_text()))

    again = Run()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for key in keys:
            clients.submit(again.send, stack, key)
    assert len(again.acknowledged) == CHARGES, again.unanswered
    for key, charge_id in run.acknowledged.items():
        assert again.acknowledged[key] == charge_id

    with stack.superuser() as connection:

        def decided() -> bool:
            # What a minute's wait would do: the promises become overdue, the relay comes round.
            connection.execute("UPDATE outbox SET next_send_at = now()")
            ivy(stack.home, "invoke", "outbox/relay")
            row = connection.execute("SELECT count(*) FROM charges WHERE status = 'pending'")
            return row.fetchone() == (0,)

        until(decided)
        row = connection.execute("SELECT count(*), count(DISTINCT id) FROM charges").fetchone()
        assert row == (CHARGES, CHARGES)
        assert invariants.broken(connection) == {}
