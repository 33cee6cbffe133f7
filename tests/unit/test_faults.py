from __future__ import annotations

from ivy import faults


def test_a_point_does_nothing_until_armed() -> None:
    seen: list[str] = []
    faults.point("a")
    faults.arm(seen.append)
    try:
        faults.point("b")
    finally:
        faults.arm(None)
    faults.point("c")
    assert seen == ["b"]
