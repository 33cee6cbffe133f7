"""The one error this package raises on purpose: what went wrong, and what to do about it."""

from __future__ import annotations


class LocalError(Exception):
    """A failure that the person at the keyboard can act on.

    Attributes:
        fix: The command or the change that removes the cause; empty when only a look into the
            log can tell.
        status: What the command exits with.
    """

    status = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.fix = fix


class UsageError(LocalError):
    """What was typed cannot be done as it stands."""

    status = 2
