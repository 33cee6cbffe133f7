"""`ivy clock`, beside something that stands for the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local import api, clock
from local.errors import LocalError
from local.home import Home

if TYPE_CHECKING:
    from pathlib import Path

NOW = "2026-11-24T09:00:00.000Z"


class Advancing:
    """A merchant whose clock arrives the second time that it is looked at."""

    def __init__(self) -> None:
        self.clock: dict[str, Any] = {
            "now": NOW, "status": "ready", "advancing_to": None, "version": 0,
        }  # fmt: skip
        self.looks = 0
        self.asked: dict[str, Any] | None = None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if method == "POST":
            assert body is not None
            self.asked = body
            self.clock |= {"status": "advancing", "advancing_to": body["to"], "version": 1}
        elif path == "/test/clock":
            self.looks += 1
            if self.asked and self.looks > 2:
                self.clock |= {"now": self.asked["to"], "status": "ready", "version": 2}
                self.clock["advancing_to"] = None
        elif path == "/events?limit=1":
            return {"data": [{"sequence": 7}]}
        elif path.endswith("after_sequence=7"):
            told = ["test_clock.advancing", "settlement.closed", "settlement.closed"]
            return {"data": [{"type": each, "sequence": 8, "data": {}} for each in told]}
        else:
            done = {"type": "test_clock.ready", "sequence": 9, "data": {"version": 2}}
            return {"data": [done]}
        return dict(self.clock)


@pytest.fixture
def merchant(monkeypatch: pytest.MonkeyPatch) -> Advancing:
    made = Advancing()
    monkeypatch.setattr(api.Merchant, "of", lambda _: made)
    monkeypatch.setattr(clock, "POLL_SECONDS", 0)
    return made


@pytest.mark.parametrize(
    ("how_far", "to"),
    [
        ("3d", "2026-11-27T09:00:00+00:00"),
        ("12h", "2026-11-24T21:00:00+00:00"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00+00:00"),
        ("2026-12-01", "2026-12-01T00:00:00+00:00"),
    ],
)
def test_it_goes_there_and_counts_what_happened(
    merchant: Advancing, tmp_path: Path, how_far: str, to: str
) -> None:
    lines = clock.advance(Home(tmp_path), how_far)
    assert merchant.asked == {"to": to}
    assert lines[0].startswith(f"{to}  ready")
    assert lines[1:] == ["2  settlement.closed", "1  test_clock.advancing", "1  test_clock.ready"]


@pytest.mark.parametrize("how_far", ["3", "d", "-3d", "0d", "3w", "yesterday", ""])
def test_what_is_no_time_is_explained(merchant: Advancing, tmp_path: Path, how_far: str) -> None:
    with pytest.raises(LocalError, match="is not a time"):
        clock.advance(Home(tmp_path), how_far)
    assert merchant.asked is None


def test_it_shows_the_time(merchant: Advancing, tmp_path: Path) -> None:
    assert clock.show(Home(tmp_path)) == f"{NOW}  ready"
    merchant.clock |= {"status": "advancing", "advancing_to": "2026-12-01T00:00:00.000Z"}
    assert clock.show(Home(tmp_path)) == f"{NOW}  advancing to 2026-12-01T00:00:00.000Z"
