"""Child processes that outlive mistakes.

Each is remembered on disk, so that whatever a killed ``ivy up`` leaves behind is found and ended
by the next command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from local.home import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

POLL_SECONDS = 0.02
KILL_SECONDS = 5.0
SAME_START_SECONDS = 1.0


def spawn(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to a log.

    Its own session, because Ctrl-C reaches a whole foreground group at once and the order in
    which the parts stop matters.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own command lines, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=cwd,
            start_new_session=True,
        )


def remember(path: Path, pid: int) -> None:
    """Note which process runs, in a way that a later process with the same id cannot match."""
    write_private(path, json.dumps({"pid": pid, "started": _started(pid)}))


def recall(path: Path) -> int | None:
    """Return the id of the remembered process, or None when it no longer runs."""
    try:
        noted = json.loads(path.read_text())
        pid, started = int(noted["pid"]), float(noted["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = abs(_started(pid) - started) < SAME_START_SECONDS
    return pid if same and running(pid) else None


def forget(path: Path) -> None:
    """Drop the note about a process that has ended."""
    with suppress(FileNotFoundError):
        path.unlink()


def running(pid: int) -> bool:
    """Tell whether a process runs; one that has ended but is not yet collected does not."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; 20 ms

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(*pids: int, ask: signal.Signals, grace_seconds: float) -> bool:
    """Ask processes to stop, wait, and kill those that do not.

    Returns:
        Whether all stopped by themselves, so that their state is known to be whole.
    """
    for sign, patience in ((ask, grace_seconds), (signal.SIGKILL, KILL_SECONDS)):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        if _gone(pids, patience):
            return sign is ask
    return False


def listens(pid: int, port: int) -> bool:
    """Tell whether it is this process, and not another one, that listens on a port."""
    import psutil  # noqa: PLC0415 - 20 ms that most commands do not need

    with suppress(psutil.Error):
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in psutil.Process(pid).net_connections(kind="tcp")
        )
    return False


def working_in(directory: Path) -> list[int]:
    """Return the processes whose working directory is this one: a dead server's children."""
    import psutil  # noqa: PLC0415 - 20 ms that most commands do not need

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def end_other_children(kept: set[int]) -> None:
    """Kill the children of this process, such as a synthesis under way, except the kept ones."""
    import psutil  # noqa: PLC0415 - 20 ms that most commands do not need

    for child in psutil.Process().children():
        if child.pid not in kept:
            with suppress(psutil.Error):
                child.kill()


def tail(log: Path, lines: int = 15) -> str:
    """Return the end of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _gone(pids: Sequence[int], patience_seconds: float) -> bool:
    deadline = time.monotonic() + patience_seconds
    while any(running(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _started(pid: int) -> float:
    import psutil  # noqa: PLC0415 - 20 ms that most commands do not need

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
