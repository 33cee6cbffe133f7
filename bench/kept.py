"""Results as they are committed: a file per date, each figure with what it was measured on."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psutil  # type: ignore[import-untyped]  # it has no types

from bench.rounds import Figure, Spread

FOLDER = Path(__file__).parent / "results"
BUSY_PERCENT = 15
"""A machine of which others use more than this is busy: rates measured on it are marked."""

Results = dict[str, Any]


def machine() -> dict[str, Any]:
    """Return what a reader has to know of the machine."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def path_of_today() -> Path:
    """Return where the results of today are written."""
    return FOLDER / f"{datetime.now(UTC):%Y-%m-%d}.json"


def newest() -> Results:
    """Return the newest committed results.

    Raises:
        FileNotFoundError: There are none.
    """
    files = sorted(FOLDER.glob("20*.json"))  # by date; what is counted has a file of its own
    if not files:
        raise FileNotFoundError(f"no results in {FOLDER}: run make bench")
    return cast("Results", json.loads(files[-1].read_text()))


def save(
    figures: list[Figure], facts: Results, *, busy_percent: float, path: Path | None = None
) -> Results:
    """Write figures into today's file, in place of those of the same number; returns all."""
    where = path or path_of_today()
    found: Results = json.loads(where.read_text()) if where.exists() else {"figures": {}}
    found |= {"machine": machine()} | facts
    for figure in figures:
        found["figures"][figure.number] = {
            **asdict(figure),
            "verdict": figure.verdict,
            "busy_percent": round(busy_percent),
        }
    found["figures"] = dict(sorted(found["figures"].items(), key=_order))
    where.parent.mkdir(exist_ok=True)
    where.write_text(json.dumps(found, indent=2, ensure_ascii=False, default=str) + "\n")
    return found


def _order(item: tuple[str, Any]) -> tuple[int, str]:
    digits = "".join(letter for letter in item[0] if letter.isdigit())
    return int(digits), item[0]


def figures(results: Results) -> list[Figure]:
    """Return the figures of some results."""
    read = []
    for kept in results["figures"].values():
        fields = {name: kept[name] for name in Figure.__dataclass_fields__}
        fields["value"] = Spread(**kept["value"])
        fields["anchor"] = kept["anchor"] and Spread(**kept["anchor"])
        read.append(Figure(**fields))
    return read
