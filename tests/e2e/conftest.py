"""The deployed stack, started once for the suite in a home and on ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 300
SETTLE_SECONDS = 90


def ivy(home: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the ``ivy`` command as a newcomer would, for one home."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("ivy")), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "IVY_HOME": str(home)},
        check=check,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


@dataclass
class Stack:
    """A running stack, the demo merchant's key, and what tests ask of both."""

    home: Path
    facts: dict[str, Any]

    @property
    def api(self) -> str:
        return str(self.facts["api"])

    @property
    def key(self) -> str:
        return str(self.facts["merchant"]["secret_key"])

    def client(self, credential: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.api,
            headers={"Authorization": f"Bearer {credential or self.key}"},
            timeout=30,
        )

    def superuser(self) -> psycopg.Connection[Any]:
        secrets = json.loads((self.home / "secrets.json").read_text())
        port = psycopg.conninfo.conninfo_to_dict(self.facts["database"])["port"]
        return psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=secrets["postgres"],
            dbname="ivy",
            autocommit=True,
            options="-c search_path=ivy",
        )


@contextmanager
def running_stack(home: Path, command: list[str]) -> Iterator[Stack]:
    """Run a command in the foreground until the stack answers; end it as Ctrl-C does."""
    log = home.with_name(f"{home.name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "IVY_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def answering() -> bool:
            assert process.poll() is None, log.read_text()
            return (home / "local.json").exists()

        until(answering, within_seconds=START_SECONDS)
        yield Stack(home, json.loads((home / "local.json").read_text()))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if running := os.environ.get("IVY_E2E_HOME"):  # while writing tests: `ivy up` once, run often
        yield Stack(Path(running), json.loads((Path(running) / "local.json").read_text()))
        return
    home = tmp_path_factory.mktemp("home")
    with running_stack(home, [str(Path(sys.executable).with_name("ivy")), "up"]) as running_here:
        yield running_here


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client


def idempotency_key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def charge(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    body = {"amount": 10000, "currency": "USD", "payment_method": "tok_visa"} | changes
    answer = client.post("/charges", json=body, headers=idempotency_key())
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def until(question: Callable[[], Any], within_seconds: float = SETTLE_SECONDS) -> Any:
    """Ask until the answer is true, and return it; the limit only ends a test that hangs."""
    deadline = time.monotonic() + within_seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within_seconds} s"
        time.sleep(0.05)
    return answer


def decided(client: httpx.Client, charge_id: str) -> dict[str, Any]:
    """Return a charge once it is no longer pending."""

    def ask() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/charges/{charge_id}").json()
        return found if found["status"] != "pending" else None

    return until(ask)
