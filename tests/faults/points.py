"""The named points of the program, by the world in which somebody dies there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.faults import stories
from tests.faults.world import World

ROOT = Path(__file__).parents[2]

AT_THE_BANK = ("bank.", "clock.bank.", "payouts.submit.", "payout.process.", "suspense.")
"""With files of a bank in hand: ``tests/bank`` and, by a clock, ``tests/clock`` die there."""

OF_DEBTS = ("balances.watch.before_crossing", "balances.watch.before_opening", "recovery.")
"""Passed when a balance is below zero: ``tests/recoveries/test_deaths.py`` dies there."""

OF_DEBITS = ("recovery_debit.", "balances.watch.before_recovery")
"""Passed when it is debited: ``tests/recoveries/test_debit_deaths.py`` dies there."""

MONTHS_LATER = ("settlements", "queues", "payout")
"""Months go by: the database's own clock stays behind, and with it retries of webhooks, which no
other story should wait for."""

AHEAD = ("clock",)
"""One merchant's test clock is weeks ahead of everything else."""


def every() -> Iterator[str]:
    """Yield the name at each call of ``faults.point``."""
    for part in ("layers/ivy", "functions"):
        for path in sorted((ROOT / part).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name("faults"), attr="point"),
                        args=[ast.Constant(str(name))],
                    ):
                        yield name


def of(*prefixes: str) -> list[str]:
    """Return the points that begin so, but for those at the bank."""
    return sorted(
        name
        for name in set(every())
        if name.startswith(prefixes) and not name.startswith(AT_THE_BANK)
    )


def anywhere_else() -> list[str]:
    """Return the points of the world of every day."""
    special = (*AT_THE_BANK, *OF_DEBTS, *OF_DEBITS, *MONTHS_LATER, *AHEAD)
    return sorted(name for name in set(every()) if not name.startswith(special))


def die_at(world: World, point: str) -> None:
    """Tell a whole story, in which whoever first passes the point dies there."""
    world.deaths.clear()
    world.arm(point)
    stories.passing(point)(world, point)
    assert world.deaths == {point: 1}
    assert (found := world.broken_when_drained()) == {}, found
