"""Schedules whose work is more than one run takes on: what is stuck keeps nobody else waiting."""

from __future__ import annotations

import pytest

from ivy import outbox
from tests.simulation.sandbox import Sandbox
from tests.simulation.shop import Shop


def test_captures_under_way_do_not_keep_others_from_expiring(
    here: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(here)
    stuck = [shop.authorized() for _ in range(3)]
    free = shop.authorized()
    for charge in stuck:
        assert shop.capture(charge).status == 200
    here.pocket.take("charges")
    shop.pass_time(days=8)
    monkeypatch.setattr(outbox, "RELAY_LIMIT", 2)
    shop.run("expire")
    shop.work()
    assert shop.see(free)["status"] == "expired"


def test_disputes_under_way_do_not_keep_others_from_lapsing(
    here: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(here)
    busy = [shop.disputed() for _ in range(3)]
    last = shop.disputed()
    shop.pass_time(days=9)
    monkeypatch.setattr(outbox, "RELAY_LIMIT", 2)
    for _ in range(3):  # nobody works on what the first runs have promised
        shop.run("lapse")
    assert shop.owed(last)
    assert all(shop.owed(dispute) for dispute in busy)
