"""``make bench-check``: is anything worse than what is committed?

What is counted (statements, calls, bytes, imported modules) is compared with
``results/counted.json``, and does not depend on the machine: the suite does it too. CPU ratios are
measured again and compared with the newest results; seconds and rates are not compared.
"""

from __future__ import annotations

import json
from typing import Any

from bench import kept
from bench.counting import COMMITTED, Counts
from bench.rounds import Figure

TOLERANCE = 0.15
COMPARED = ("cpu", "counted", "modelled")


def committed() -> Counts:
    """Return what is committed of what is counted."""
    found: Counts = json.loads(COMMITTED.read_text())
    return found


def approve(counts: Counts) -> None:
    """Commit to what was counted."""
    COMMITTED.parent.mkdir(exist_ok=True)
    COMMITTED.write_text(json.dumps(counts, indent=2) + "\n")


def worse(now: Counts, before: Counts) -> list[str]:
    """Return one line for each count that is more than 15 % above what is committed.

    A module that was not imported before is worse, whatever its size: an import at the wrong place
    is how a cold start doubles.
    """
    numbers, were = dict(_numbers(now)), dict(_numbers(before))
    lines = [
        f"{name}: {number:,} instead of {were.get(name, 0):,}"
        for name, number in numbers.items()
        if number > were.get(name, 0) * (1 + TOLERANCE)
    ]
    new = sorted(set(now["modules"]) - set(before["modules"]))
    return [*lines, *(f"the charge function imports {name}" for name in new)]


def slower(figures: list[Figure]) -> list[str]:
    """Return one line for each ratio that is more than 15 % worse than in the newest results."""
    before = {figure.number: figure for figure in kept.figures(kept.newest())}
    lines = []
    for figure in figures:
        was = before.get(figure.number)
        if was is None or figure.kind not in COMPARED or figure.verdict == "inconclusive":
            continue
        if figure.value.median > was.value.median * (1 + TOLERANCE):
            lines.append(
                f"{figure.number} {figure.name}: {figure.value.median:.3g} {figure.unit}"
                f" instead of {was.value.median:.3g}"
            )
    return lines


def _numbers(value: Any, name: str = "") -> list[tuple[str, int]]:
    """Return every number in what was counted, each with the way to it."""
    if isinstance(value, dict):
        return [
            found
            for key, each in value.items()
            for found in _numbers(each, f"{name} {key}".strip())
        ]
    return [(name, value)] if isinstance(value, int) else []
