"""MiniStack: the AWS services of the stack in one process on 127.0.0.1, without Docker."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local import interpreter, processes
from local.errors import LocalError

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

START_SECONDS = 60.0
HTTP_OK = 200
STOP_SECONDS = 30.0
"""Saving its state takes time in proportion to what it holds."""


@dataclass
class Emulator:
    """One emulator with its state, objects and temporary files under a directory of its own.

    It saves its state only when asked to stop. After anything else the saved state is older than
    the database, so it is thrown away and the stack is deployed afresh. The same goes for a state
    from another port, because the addresses of queues are part of it.
    """

    directory: Path
    port: int
    log: Path
    record: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def endpoint(self) -> str:
        """The address of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def _saved(self) -> Path:
        """Holds the port of the saved state; absent from start until the state is saved."""
        return self.directory / "saved"

    def start(self) -> None:
        """Start it and return when it answers.

        Raises:
            LocalError: It does not start; the message holds the end of its log.
        """
        self.clear()
        if not self._saved.exists() or self._saved.read_text() != str(self.port):
            shutil.rmtree(self.directory / "state", ignore_errors=True)
        scratch = self._scratch()
        self._saved.unlink(missing_ok=True)
        python = interpreter.prepare(self.directory / "python")
        self.process = processes.spawn(
            [str(python), "-m", "ministack"],
            log=self.log,
            environment=self._environment(scratch),
            cwd=self.directory,
        )
        processes.remember(self.record, self.process.pid)
        self._wait()

    def clear(self) -> bool:
        """End an emulator that an earlier command left running; tell whether there was one."""
        left = processes.recall(self.record)
        if left is None:
            return False
        if processes.end(left, ask=signal.SIGTERM, grace_seconds=STOP_SECONDS):
            self._saved.write_text(str(self.port))
        processes.forget(self.record)
        return True

    def stop(self) -> None:
        """Let it save its state and stop."""
        if self.process is None:
            return
        alive = self.process.poll() is None
        if alive and processes.end(
            self.process.pid, ask=signal.SIGTERM, grace_seconds=STOP_SECONDS
        ):
            self._saved.write_text(str(self.port))
        self.process.wait()
        self.process = None
        processes.forget(self.record)

    def kill(self) -> None:
        """End it without letting it save, for tests of recovery."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _scratch(self) -> Path:
        """Return an empty temporary directory; what earlier runs left goes in the background.

        Every worker unpacks its layers there, so it may hold tens of thousands of files.
        """
        scratch, rubbish = self.directory / "tmp", self.directory / "rubbish"
        if scratch.exists():
            rubbish.mkdir(exist_ok=True)
            scratch.rename(rubbish / str(time.time_ns()))
        scratch.mkdir(parents=True)
        threading.Thread(
            target=shutil.rmtree, args=(rubbish,), kwargs={"ignore_errors": True}, daemon=True
        ).start()
        return scratch

    def _wait(self) -> None:
        assert self.process is not None  # noqa: S101 - set by the only caller
        deadline = time.monotonic() + START_SECONDS
        while not (processes.listens(self.process.pid, self.port) and answers(self.endpoint)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LocalError(
                    f"The emulator did not start; its log ends with:\n{processes.tail(self.log)}",
                    "Run `ivy doctor`.",
                )
            time.sleep(processes.POLL_SECONDS)

    def _environment(self, scratch: Path) -> dict[str, str]:
        """What the emulator, and through it every function, sees of the host: almost nothing."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
        return kept | {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.directory / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.directory / "objects"),
            "TMPDIR": str(scratch),
            "LOG_LEVEL": "WARNING",
        }


def answers(endpoint: str) -> bool:
    """Tell whether an emulator (embedded or LocalStack) is ready to serve."""
    for path in ("/_ministack/ready", "/_localstack/health"):
        address = endpoint + path
        with suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - http
            if answer.status == HTTP_OK:
                return True
    return False
