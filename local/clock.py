"""``ivy clock``: shows the demo merchant's test clock, moves it forward, and says what happened."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from local.api import Merchant
from local.errors import LocalError

if TYPE_CHECKING:
    from local.home import Home

PATH = "/test/clock"
STEPS = {"d": timedelta(days=1), "h": timedelta(hours=1)}
HOW_FAR = re.compile(r"([1-9][0-9]{0,5})([dh])")
PATIENCE_SECONDS = 600.0
"""How long to wait without the clock getting on."""

POLL_SECONDS = 0.5
PUBLISHED_SECONDS = 30.0
"""How long the last events may take to be numbered."""

PAGE = 100


def show(home: Home) -> str:
    """Return what time it is, in a line.

    Raises:
        LocalError: The stack does not run.
    """
    return _line(Merchant.of(home).ask("GET", PATH))


def advance(home: Home, how_far: str) -> list[str]:
    """Move the clock by ``3d`` or ``12h``, or to a time; wait, and return what happened, in lines.

    Raises:
        LocalError: That is not a time, the clock cannot go there, or it does not arrive.
    """
    merchant = Merchant.of(home)
    before = merchant.ask("GET", PATH)
    body = {"to": _target(how_far, before["now"])}
    newest = merchant.ask("GET", "/events?limit=1")["data"]
    last = newest[0]["sequence"] if newest else 0
    asked = merchant.ask("POST", f"{PATH}/advance", body)
    ready = _arrived(merchant, asked)
    counts = Counter(each["type"] for each in _events(merchant, last, ready["version"]))
    width = max((len(str(count)) for count in counts.values()), default=1)
    happened = [f"{count:>{width}}  {type_}" for type_, count in sorted(counts.items())]
    return [_line(ready), *happened]


def _target(how_far: str, now: str) -> str:
    """Return the time that is meant, as the API reads it."""
    step = HOW_FAR.fullmatch(how_far)
    if step:
        at = datetime.fromisoformat(now) + int(step[1]) * STEPS[step[2]]
        return at.isoformat()
    try:
        at = datetime.fromisoformat(how_far)
    except ValueError:
        raise LocalError(
            f"{how_far} is not a time.", "Say 3d, 12h, or 2026-12-01T00:00:00Z."
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def _arrived(merchant: Merchant, clock: dict[str, Any]) -> dict[str, Any]:
    """Wait until the clock is ready."""
    moved = time.monotonic()
    while clock["status"] != "ready":
        if time.monotonic() - moved > PATIENCE_SECONDS:
            raise LocalError(f"The clock stays at {clock['now']}.", "Run `ivy logs test_clock`.")
        time.sleep(POLL_SECONDS)
        found = merchant.ask("GET", PATH)
        if found["now"] != clock["now"]:
            moved = time.monotonic()
        clock = found
    return clock


def _events(merchant: Merchant, after: int, version: int) -> list[dict[str, Any]]:
    """Return the events after a number, until the clock's own last one among them."""
    deadline = time.monotonic() + PUBLISHED_SECONDS
    found: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        path = f"/events?limit={PAGE}&after_sequence={after}"
        page = merchant.ask("GET", path)["data"]
        found += page
        if any(e["type"] == "test_clock.ready" and e["data"]["version"] == version for e in page):
            break
        if page:
            after = page[-1]["sequence"]
        else:
            time.sleep(POLL_SECONDS)
    return found


def _line(clock: dict[str, Any]) -> str:
    real = datetime.now(UTC)
    ahead = datetime.fromisoformat(clock["now"]) - real
    text = f"{clock['now']}  {clock['status']}"
    if clock["advancing_to"]:
        return f"{text} to {clock['advancing_to']}"
    if clock["version"]:
        hours = round(ahead / timedelta(hours=1))
        text += f", {hours // 24} d {hours % 24} h ahead of the real time"
    return text
