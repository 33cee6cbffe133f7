"""Where one local stack keeps everything: ``$IVY_HOME``, by default ``.ivy`` in the project.

Two stacks with different homes share nothing but the build, so they run side by side.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import socket
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local.errors import LocalError

PROJECT = Path(__file__).resolve().parent.parent

PREFIX = "ivy"
"""The first part of every physical name in the deployed stacks."""

PREFERRED_PORTS = {"front": 8000, "emulator": 4566, "postgres": 15432}
NEIGHBOURS = 20
"""How many ports above a taken one are tried before the system chooses."""

COMMAND = re.compile(
    r"(?<![\w./])ivy"
    r"(?= (?:up|down|status|key|logs|invoke|psql|doctor|listen|trigger|redrive|files|clock)\b)"
)

ROLES = ("postgres", "ivy_owner", "ivy_app", "ivy_jobs", "ivy_settle", "ivy_read")
PASSWORD_BYTES = 24
KEY_BYTES = 48


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one local stack."""

    path: Path

    @classmethod
    def current(cls) -> Home:
        """Return the home that ``IVY_HOME`` names, or ``.ivy`` in the project."""
        return cls(Path(os.environ.get("IVY_HOME") or PROJECT / ".ivy").expanduser().resolve())

    @property
    def local_json(self) -> Path:
        """What a running stack tells others; it exists only while everything answers."""
        return self.path / "local.json"

    @property
    def cluster(self) -> Path:
        """The data directory of PostgreSQL."""
        return self.path / "postgres"

    @property
    def emulator(self) -> Path:
        """State, objects, interpreter and temporary files of the emulator."""
        return self.path / "emulator"

    @property
    def layers(self) -> Path:
        """Layers, unpacked once for all workers of the emulator."""
        return self.emulator / "layers"

    def log(self, name: str) -> Path:
        """Return the log file of one process: ``ivy``, ``emulator`` or ``postgres``."""
        return self.path / "logs" / f"{name}.log"

    def process(self, name: str) -> Path:
        """Return the file that remembers which process runs as ``name``."""
        return self.path / "run" / f"{name}.json"

    def create(self) -> None:
        """Make the directories that everything else expects.

        Logs show the demo merchant's keys, and the emulator saves its secrets as plain JSON: both
        are their owner's only. The home itself stays open to the account that runs PostgreSQL.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.path / "logs", self.path / "run", self.emulator):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)

    def read(self, name: str) -> dict[str, Any]:
        """Return one of the home's JSON records, empty when there is none."""
        try:
            found = json.loads((self.path / f"{name}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def write(self, name: str, record: dict[str, Any]) -> None:
        """Replace one of the home's JSON records, readable by its owner only."""
        write_private(self.path / f"{name}.json", json.dumps(record, indent=2) + "\n")

    def forget(self, name: str) -> None:
        """Remove one of the home's JSON records, if it is there."""
        with suppress(FileNotFoundError):
            (self.path / f"{name}.json").unlink()

    def running(self) -> dict[str, Any]:
        """Return what the running stack tells in ``local.json``.

        Raises:
            LocalError: It does not run.
        """
        facts = self.read("local")
        if not facts:
            raise LocalError("The stack does not run.", "Start it with `ivy up`.")
        return facts

    def secrets(self) -> dict[str, str]:
        """Return the passwords and keys of this stack; made once, then kept.

        Returns:
            The password of each database role by its name, ``pepper`` and ``signing_key``.
        """
        kept = self.read("secrets")
        made = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in ROLES}
        made |= {name: secrets.token_urlsafe(KEY_BYTES) for name in ("pepper", "signing_key")}
        if made.keys() - kept.keys():
            kept = made | kept
            self.write("secrets", kept)
        return kept

    def ports(self) -> dict[str, int]:
        """Return a free port for each part: the one it had last time when possible."""
        kept = PREFERRED_PORTS | self.read("ports")
        chosen = {name: free_port(int(kept[name])) for name in PREFERRED_PORTS}
        self.write("ports", chosen)
        return chosen

    def lock(self) -> IO[str] | None:
        """Return the lock that says this home's stack runs, or None when somebody holds it.

        The lock lasts as long as the returned file stays open, so a killed process frees it.
        """
        handle = (self.path / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle


def command() -> str:
    """Return how a shell in the project runs ``ivy``: by name only when its PATH leads here."""
    ours = Path(sys.prefix) / "bin" / "ivy"
    found = shutil.which("ivy")
    if found and ours.exists() and ours.samefile(found):
        return "ivy"
    return str(ours.relative_to(PROJECT) if ours.is_relative_to(PROJECT) else ours)


def typed(text: str) -> str:
    """Return a text whose ``ivy`` commands can be typed as they stand."""
    return COMMAND.sub(lambda _: command(), text)


def write_private(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all, mode 0600."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)


def free_port(preferred: int = 0) -> int:
    """Return a port on 127.0.0.1 that nothing uses now, near the preferred one when given."""
    for candidate in (*range(preferred, preferred + NEIGHBOURS), 0) if preferred else (0,):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def port_taken(port: int) -> bool:
    """Tell whether something listens on this port of 127.0.0.1."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
