"""Named points at which a test may end the process.

``faults.point("charge.accept.before_commit")`` does nothing in production: nobody arms it there,
and there is no setting that could. ``tests/faults`` forks a process, arms one point, lets it die
exactly there, retries, and checks every invariant.
"""

from collections.abc import Callable

_armed: Callable[[str], None] | None = None


def point(name: str) -> None:
    """Mark a place worth dying at."""
    if _armed is not None:
        _armed(name)


def arm(reaction: Callable[[str], None] | None) -> None:
    """Let tests see, or end, the process at each point; None disarms."""
    global _armed  # noqa: PLW0603 - one process-wide switch is what a fault point is
    _armed = reaction
