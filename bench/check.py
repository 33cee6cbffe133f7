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
"""What CPU and bytes may grow by before it is told; a count may not differ at all."""

EXACT = ("statements", "calls")
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
    """Return one line for each count that is not what is committed, and each size 15 % above it.

    One statement, call or module more is worse, whatever its size, and one fewer has to be
    committed to, or it could come back unseen.
    """
    numbers, were = dict(_numbers(now)), dict(_numbers(before))
    lines = [
        f"{name}: {numbers.get(name, 0):,} instead of {were.get(name, 0):,}"
        for name in {**numbers, **were}
        if _differs(name, numbers.get(name, 0), were.get(name, 0))
    ]
    new = sorted(set(now["modules"]) - set(before["modules"]))
    gone = sorted(set(before["modules"]) - set(now["modules"]))
    return [
        *lines,
        *(f"the charge function imports {name}" for name in new),
        *(f"the charge function imports {name} no more" for name in gone),
    ]


def _differs(name: str, number: int, was: int) -> bool:
    if name.startswith(EXACT):
        return number != was
    return number > was * (1 + TOLERANCE)


def slower(figures: list[Figure]) -> list[str]:
    """Return one line for each ratio that is more than 15 % worse than in the newest results.

    A figure without a unit is a count, which no machine makes larger.
    """
    before = {figure.number: figure for figure in kept.figures(kept.newest())}
    lines = []
    for figure in figures:
        was = before.get(figure.number)
        if was is None or figure.kind not in COMPARED or figure.verdict == "inconclusive":
            continue
        allowed = 1 + TOLERANCE if figure.unit else 1
        if figure.value.median > was.value.median * allowed:
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
