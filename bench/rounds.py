"""Rounds, ratios and figures: an anchor and its subjects measured in turn, never one after all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

SPREAD_LIMIT = 0.6
"""An anchor whose slowest and fastest round are further apart than this proves nothing."""

MICRO = 1e6
TIMES = "×"  # noqa: RUF001 - the sign itself

Verdict = Literal["target", "gate", "BELOW", "inconclusive", "told"]
Work = Callable[[], "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One timed piece of work: how often it was done, how long it took, what CPU it cost."""

    count: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Return how often it was done in a second."""
        return self.count / self.seconds

    @property
    def cost(self) -> float:
        """Return the microseconds of CPU for each time."""
        return self.cpu_seconds / self.count * MICRO


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, between the lowest and the highest of them."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of one value per round."""
        return cls(statistics.median(values), min(values), max(values))

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(self.median * factor, self.lowest * factor, self.highest * factor)

    @property
    def width(self) -> float:
        """Return how far the ends are apart: 0.6 when the highest is 1.6 times the lowest."""
        return self.highest / self.lowest - 1 if self.lowest else float("inf")


Rounds = Mapping[str, list[Run]]


def interleave(rounds: int, works: Mapping[str, Work]) -> Rounds:
    """Do each work once per round, in an order that is turned round every time."""
    done: dict[str, list[Run]] = {name: [] for name in works}
    for number in range(rounds):
        order = list(works) if number % 2 == 0 else list(works)[::-1]
        for name in order:
            done[name].append(works[name]())
    return done


def cpu_ratio(rounds: Rounds, subject: str, anchor: str) -> Spread:
    """Return what a subject costs in CPU, in costs of the anchor in the same round."""
    pairs = zip(rounds[subject], rounds[anchor], strict=True)
    return Spread.of([here.cost / base.cost for here, base in pairs])


def rate_ratio(rounds: Rounds, subject: str, anchor: str) -> Spread:
    """Return how often a subject is done for each time that the anchor is, round by round."""
    pairs = zip(rounds[subject], rounds[anchor], strict=True)
    return Spread.of([here.rate / base.rate for here, base in pairs])


def costs(rounds: Rounds, name: str) -> Spread:
    """Return the microseconds of CPU of one work."""
    return Spread.of([run.cost for run in rounds[name]])


def rates(rounds: Rounds, name: str) -> Spread:
    """Return how often a second one work was done."""
    return Spread.of([run.rate for run in rounds[name]])


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, and what it has to be.

    ``anchor`` is the spread of the anchor's own rounds; None for what is counted and not timed.
    """

    number: str
    name: str
    unit: str
    value: Spread
    kind: Literal["cpu", "rate", "counted", "modelled"]
    gate: float | None = None
    target: float | None = None
    at_least: bool = False
    anchor: Spread | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Say which bar the median reaches, unless the anchor was too restless to say so."""
        if self.anchor is not None and self.anchor.width > SPREAD_LIMIT:
            return "inconclusive"
        if self.gate is None:
            return "told"
        if self.target is not None and self._reaches(self.target):
            return "target"
        return "gate" if self._reaches(self.gate) else "BELOW"

    def _reaches(self, bar: float) -> bool:
        return self.value.median >= bar if self.at_least else self.value.median <= bar


def counted(value: float) -> Spread:
    """Return a count as a spread: it is the same in every round."""
    return Spread(value, value, value)
