"""``python -m bench``: measure, print, and keep what was measured.

    python -m bench                     about twenty minutes on two cores
    python -m bench --full              rounds of three seconds, and more of them
    python -m bench --only posting      one group of figures, beside those kept today
    python -m bench --check             fail where a CPU ratio is worse than what is committed

The figures, their gates and how they are measured are in bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
import time

import psutil  # type: ignore[import-untyped]  # it has no types

from bench import (
    charging,
    check,
    cluster,
    growth,
    kept,
    posting,
    recording,
    render,
    settling,
    starting,
    twins,
    whole,
)
from bench.kept import BUSY_PERCENT
from bench.rounds import Figure

ROUNDS = 7
SECONDS = 3.0
FULL_SECONDS = 10.0
LISTEN_SECONDS = 2.0
WHOLE_REQUESTS = 100


def _posting(*, full: bool) -> list[Figure]:
    with cluster.running() as made:
        print("  " + ", ".join(f"{name} {value}" for name, value in made.durability.items()))
        for seen in twins.run(made):
            print(f"  self-test: {seen}")
        return posting.measure(made, ROUNDS, FULL_SECONDS if full else SECONDS)


def _charging(*, full: bool) -> list[Figure]:
    return charging.measure(ROUNDS, full=full)


def _starting(*, full: bool) -> list[Figure]:
    return starting.measure(2 * ROUNDS if full else ROUNDS)


def _growth(*, full: bool) -> list[Figure]:
    return growth.measure(ROUNDS, FULL_SECONDS if full else SECONDS, full=full)


def _whole(*, full: bool) -> list[Figure]:
    return whole.measure(ROUNDS, WHOLE_REQUESTS * (3 if full else 1))


def _settling(*, full: bool) -> list[Figure]:  # noqa: ARG001 - a day has as many charges always
    return settling.measure(ROUNDS)


def _recording(*, full: bool) -> list[Figure]:
    return recording.measure(ROUNDS, FULL_SECONDS if full else SECONDS)


GROUPS = {
    "posting": _posting,
    "charging": _charging,
    "starting": _starting,
    "growth": _growth,
    "whole": _whole,
    "settling": _settling,
    "recording": _recording,
}

CHECKED = ("posting", "charging", "starting")
"""Groups whose figures are ratios of CPU, and take less than five minutes together."""


def main() -> int:
    """Measure the chosen groups; 1 when a figure does not reach its gate."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--full", action="store_true", help="longer rounds")
    options.add_argument("--only", nargs="+", choices=sorted(GROUPS))
    options.add_argument("--check", action="store_true", help="compare, and keep nothing")
    chosen = options.parse_args()
    names = chosen.only or (CHECKED if chosen.check else list(GROUPS))
    if chosen.check:
        worse = check.slower([each for name in names for each in _group(name, full=chosen.full)])
        print("\n".join(["", *worse]) if worse else "\nnothing is worse than what is committed")
        return int(bool(worse))
    below = []
    for name in names:
        below += [each for each in _group(name, full=chosen.full, keep=True) if _is_below(each)]
    render.write()
    print(f"\n{len(below)} below their gate" if below else "\nno figure is below its gate")
    return int(bool(below))


def _is_below(figure: Figure) -> bool:
    return figure.verdict == "BELOW"


def _group(name: str, *, full: bool, keep: bool = False) -> list[Figure]:
    """Measure one group of figures, print them and perhaps keep them."""
    busy = psutil.cpu_percent(interval=LISTEN_SECONDS)
    others = f", while others use {busy:.0f} % of this machine" if busy > BUSY_PERCENT else ""
    print(f"\n{name}{others}", flush=True)
    began = time.monotonic()
    figures = GROUPS[name](full=full)
    for figure in figures:
        print(render.line(figure), flush=True)
        if figure.note:
            print(f"       {figure.note}", flush=True)
    print(f"  {time.monotonic() - began:.0f} s")
    if keep:
        kept.save(figures, {}, busy_percent=busy)
    return figures


if __name__ == "__main__":
    sys.exit(main())
