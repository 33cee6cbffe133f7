"""Says what happens, step by step with seconds: alive on a terminal, plain lines without one."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.console import Console
    from rich.status import Status


class Step:
    """One step under way; whoever does it may say how it went."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.note = ""
        self.started = time.monotonic()
        self.seconds = 0.0


class Progress:
    """Reports steps, several of which may be under way at once in different threads."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._running: list[Step] = []
        self._lock = threading.Lock()
        self._console: Console | None = None
        self._status: Status | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415 - a terminal pays for its colours

            self._console = Console(highlight=False)
            self._status = self._console.status("Starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def rest(self) -> None:
        """Take the animation away: from here on there is nothing to wait for."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    @property
    def seconds(self) -> float:
        """How long ago this began."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Report a step: its title while it runs, its seconds once it is done."""
        step = Step(title)
        with self._lock:
            self._running.append(step)
            self._show()
        try:
            yield step
        except BaseException:
            self._finish(step, mark="✗", colour="red")
            raise
        self._finish(step, mark="✓", colour="green")
        self.steps.append(step)

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """Print one line, above whatever is still under way."""
        if self._console is not None:
            self._console.print(text, style=style, soft_wrap=True, markup=False)
        else:
            print(text, flush=True)  # noqa: T201 - this is where the command line prints

    def _finish(self, step: Step, *, mark: str, colour: str) -> None:
        step.seconds = time.monotonic() - step.started
        note = f"  {step.note}" if step.note else ""
        with self._lock:
            self._running.remove(step)
            if self._console is None:
                self.say(f"{mark} {step.title:<34} {step.seconds:6.1f} s{note}")
            else:
                line: Any = (
                    f"[{colour}]{mark}[/] {step.title:<34} [dim]{step.seconds:6.1f} s{note}[/]"
                )
                self._console.print(line, soft_wrap=True)
            self._show()

    def _show(self) -> None:
        if self._status is not None:
            titles = " · ".join(step.title for step in self._running)
            self._status.update(f"[dim]{titles}[/]")
