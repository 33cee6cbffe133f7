"""The one error this package raises on purpose: what went wrong, and what to do about it."""

from __future__ import annotations


class LocalError(Exception):
    """A failure that the person at the keyboard can act on.

    Attributes:
        fix: The command or the change that removes the cause; empty when only a look into the
            log can tell.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.fix = fix
