"""``ivy up`` and ``ivy down``: a stack in the foreground, in the background, and ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from local import leftovers, processes
from local.errors import LocalError
from local.home import PROJECT, Home, command
from local.progress import Progress
from local.stack import LocalStack

if TYPE_CHECKING:
    import subprocess
    from types import FrameType

DETACHED_SECONDS = 300.0
STOP_SECONDS = 90.0
TAIL_SECONDS = 0.1
INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended before it was done."""


class Interrupted(BaseException):
    """Somebody asked to stop while the stack was still starting."""


def foreground(*, watch: bool) -> int:
    """Run a stack until Ctrl-C, SIGTERM or the death of a part; return the exit code."""
    home = Home.current()
    if known := already(home):
        print(welcome(known))  # noqa: T201 - a command's answer
        return 0
    with Progress() as progress:
        stack = LocalStack(home, progress)
        ready = False

        def asked(number: int, frame: FrameType | None) -> None:
            del number, frame
            stack.ask_to_stop()
            if not ready:
                raise Interrupted

        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, asked)
        died: str | None = None
        interrupted = False
        try:
            stack.start()
            ready = True
            progress.say()
            progress.say(f"Ivy runs, {progress.seconds:.1f} s after the start.")
            progress.say(welcome(stack.facts))
            progress.rest()
            died = _attend(stack, progress, watch=watch)
        except Interrupted:
            interrupted = True
        finally:
            ready = True
            with progress.step("Stop"):
                stack.stop()
    if died is not None:
        raise LocalError(
            f"{died}\nThe rest was stopped; nothing that was acknowledged is lost.",
            "`ivy up` starts and repairs everything; `ivy logs emulator` and `ivy logs postgres`"
            " tell why.",
        )
    return INTERRUPTED if interrupted else 0


def _attend(stack: LocalStack, progress: Progress, *, watch: bool) -> str | None:
    """Keep the stack company until it is to end; return what died, if anything did."""
    if not watch:
        return stack.watch()
    from local.watch import Watcher  # noqa: PLC0415 - not every run watches

    watcher = Watcher(stack, progress)
    watcher.start()
    try:
        return stack.watch()
    finally:
        watcher.stop()


def detached() -> int:
    """Start a stack in the background, show its progress, and return once it runs."""
    home = Home.current()
    if known := already(home):
        print(welcome(known))  # noqa: T201 - a command's answer
        return 0
    home.create()
    home.forget("local")
    log = home.log("ivy")
    log.write_bytes(b"")
    child = processes.spawn(
        [sys.executable, "-m", "local.cli", "up"],
        log=log,
        environment=os.environ | {"IVY_HOME": str(home.path), "PYTHONUNBUFFERED": "1"},
        cwd=PROJECT,
    )
    try:
        return _follow(home, child)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        return 1


def _follow(home: Home, child: subprocess.Popen[bytes]) -> int:
    """Print what the background process prints until the stack runs or has failed."""
    deadline = time.monotonic() + DETACHED_SECONDS
    with home.log("ivy").open() as lines:
        while time.monotonic() < deadline:
            ended = child.poll() is not None
            ready = home.local_json.exists()
            if ready:
                time.sleep(TAIL_SECONDS)  # its last lines follow the file at once
            print(lines.read(), end="", flush=True)  # noqa: T201 - a command's answer
            if ended:
                return child.returncode or 1
            if ready:
                print(f"\nIt runs in the background; its log is {home.log('ivy')}.")  # noqa: T201 - same
                return 0
            time.sleep(TAIL_SECONDS)
    child.send_signal(signal.SIGTERM)
    raise LocalError(f"The stack does not run after {DETACHED_SECONDS:.0f} s.", "`ivy doctor`")


def shut_down(home: Home) -> bool:
    """Stop the stack of a home and what a killed one left; tell whether anything ran."""
    if not home.path.exists():
        return False
    ended = False
    main = processes.recall(home.process("ivy"))
    if main is not None and main != os.getpid():
        ended = True
        if not processes.end(main, ask=signal.SIGTERM, grace_seconds=STOP_SECONDS):
            home.forget("local")
    return bool(leftovers.end(home)) or ended


def already(home: Home) -> dict[str, Any]:
    """Return what a stack that runs in this home told, empty when none does."""
    if processes.recall(home.process("ivy")) is None:
        return {}
    return home.read("local")


def welcome(facts: dict[str, Any]) -> str:
    """Return how to use a running stack: addresses, keys, and a charge to copy and paste."""
    merchant = facts["merchant"]
    return f"""
  Open        {facts["api"].removesuffix("/api/v1")}
  API         {facts["api"]}
  Reference   {facts["docs"]}
  Login       {merchant["email"]}  {merchant["password"]}
  Secret key  {merchant["secret_key"]}
  Public key  {merchant["publishable_key"]}

  Charge a card:

curl -s {facts["api"]}/charges \\
  -H 'Authorization: Bearer {merchant["secret_key"]}' \\
  -H "Idempotency-Key: $(date +%s)-$$" \\
  -H 'Content-Type: application/json' \\
  -d '{{"amount": 10000, "currency": "USD", "payment_method": "tok_visa"}}'

  See its ledger rows: {command()} psql -c 'SELECT * FROM entries'
  Stop: Ctrl-C, or {command()} down
"""
