"""Settlement at the same moment as whatever else moves pending money: one legal outcome each time.

``IVY_RACES=2000 pytest tests/settlement/test_races.py`` runs that many; ``IVY_SEED`` repeats the
choice of who races against whom, though not who wins.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ivy import availability, proof
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.faults import dying
from tests.settlement.till import Till
from tests.simulation.racing import RACERS, SECONDS, Move, Track, shared_acquirer
from tests.simulation.sandbox import Sandbox, sandbox

EVERYDAY = 60
FRESH_START = 20
"""Races until the tables are emptied, so that looking at everything stays cheap."""

ACCEPTED, REFUSED = 201, (409, 422)


def broken(here: Sandbox) -> dict[str, list[str]]:
    """Return what is wrong with the books, by law, and by invariant."""
    found = {
        law.name: [witness for (witness,) in here.connection.execute(law.query) if witness]
        for law in proof.LAWS
    }
    found |= invariants.broken(here.connection)
    return {name: witnesses for name, witnesses in found.items() if witnesses}


# -- two at once, in an order that is certain


def charge_of_the_day(till: Till) -> str:
    """Make a charge whose day comes on 27 November, while another of that day is there."""
    till.be("2026-11-24 09:00")
    till.charge()
    return till.charge()


def refunding(till: Till) -> tuple[str, Callable[[], object]]:
    charge = charge_of_the_day(till)
    till.be("2026-11-27 00:05")
    return "refund.accept.before_commit", lambda: till.refund(charge, amount=2_000).status


def refused_refunding(till: Till) -> tuple[str, Callable[[], object]]:
    till.be("2026-11-24 09:00")
    charge = till.charge(payment_method="tok_refund_fails")
    owed = till.owed(str(till.refund(charge, amount=2_000).json()["id"]))
    assert owed
    till.be("2026-11-27 00:05")
    return "refund.conclude.before_commit", lambda: till.deliver(*owed)


def capturing(till: Till) -> tuple[str, Callable[[], object]]:
    """It began in time and is late: its day is closed as it commits."""
    till.be("2026-11-24 09:00")
    till.charge()
    charge = till.authorized()
    till.capture(charge)
    owed = till.owed(charge)
    assert owed
    return "charge.conclude.before_commit", lambda: till.deliver(*owed)


def coming_back(till: Till) -> tuple[str, Callable[[], object]]:
    till.be("2026-11-24 09:00")
    charge = till.charge(payment_method="tok_ach_r01")
    till.be("2026-11-30 09:00")
    till.go_on()
    assert till.see(charge)["status"] == "succeeded"
    till.be("2026-12-08 09:00")
    return "notice.before_commit", lambda: till.run("collect")["recorded"]


LATER = datetime(2026, 12, 9, tzinfo=UTC)


def in_the_middle(here: Sandbox, beginning: tuple[str, Callable[[], object]]) -> bool:
    """Let something stop before its commit, settle, and go on; says whether settlement waited."""
    point, work = beginning
    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()

    def hold(name: str) -> bool:
        if name == point:
            arrived.release()
            assert go.wait(SECONDS)
        return False

    def settle() -> None:
        here.clock.at = max(here.clock.at, datetime(2026, 11, 27, 0, 5, tzinfo=UTC))
        here.settle()

    first = dying.start(work, hold)
    assert arrived.acquire(timeout=SECONDS)
    second = dying.start(settle)
    deadline = time.monotonic() + SECONDS
    waited = False
    while time.monotonic() < deadline and not waited and not _ended(second.pid):
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
        waited = here.connection.execute(waits).fetchone() == (True,)
        time.sleep(0.01)
    go.set()
    first.wait()
    second.wait()
    here.clock.set(LATER)
    here.settle()
    return waited


def _ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


WORKS = (refunding, refused_refunding, capturing, coming_back)


@pytest.mark.parametrize("work", WORKS)
def test_settlement_waits_for_what_has_begun(
    till: Till, work: Callable[[Till], tuple[str, Callable[[], object]]]
) -> None:
    assert in_the_middle(till.here, work(till))
    assert broken(till.here) == {}


@pytest.mark.parametrize("work", WORKS)
def test_without_the_lock_the_books_would_break(
    till: Till,
    work: Callable[[Till], tuple[str, Callable[[], object]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(availability, "hold", lambda *_: None)
    assert not in_the_middle(till.here, work(till))
    assert {"L5", "L6"} & set(broken(till.here))


# -- many at once


class Races:
    """One day after the other, on which everything happens at midnight."""

    def __init__(self, track: Track, chance: random.Random) -> None:
        self.track = track
        self.here = track.here
        self.shop = Till(track.here)
        self.chance = chance
        self.outcomes: Counter[str] = Counter()
        self.run = 0

    def race(self) -> None:
        """Settle at the same moment as some of what else can happen to the money of a day."""
        moves = self.moves()
        others = self.chance.sample(moves, self.chance.randint(1, RACERS - 1))
        settling = [Move("settle")] * (RACERS - len(others))
        racing = [
            Move(m.verb, m.arguments, m.named, self.chance.choice((0, 0, 0.002, 0.006, 0.012)))
            for m in [*settling, *others]
        ]
        self.chance.shuffle(racing)
        for result in self.track.race(*racing):
            if result.reply is not None and result.reply.status != ACCEPTED:
                assert result.reply.status in REFUSED, result
            elif result.reply is None and result.move.verb == "deliver":
                assert result.returned == [], "\n".join(result.failures)
        self.run += 1
        self.look()
        self.end()

    def moves(self) -> list[Move]:
        """Let there be days that have come, and all that their charges can still go through."""
        shop = self.shop
        back = shop.charge(payment_method="tok_ach_r01")
        shop.pass_time(days=5)
        shop.run("relay")
        shop.work()
        plain, failing = shop.charge(), shop.charge(payment_method="tok_refund_fails")
        shop.charge(payment_method="tok_dispute")
        held = shop.authorized()
        owed = [shop.owed(str(shop.refund(failing, amount=3_000).json()["id"]))]
        shop.capture(held)
        owed.append(shop.owed(held))
        assert shop.see(back)["status"] == "succeeded"
        shop.pass_time(days=5)
        amounts = (700, 1_300)
        return [
            *[Move("refund", (plain,), {"amount": amount}) for amount in amounts],
            *[Move("deliver", each) for each in owed if each],
            *[Move("run", ("collect",))] * 2,
        ]

    def look(self) -> None:
        assert broken(self.here) == {}
        found = self.here.connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert found == (0,)

    def end(self) -> None:
        """Let everything be done and every day come: then nothing is pending any more."""
        for days in (0, 0, 9):
            self.shop.pass_time(days=days, minutes=3)
            self.shop.go_on()
            self.shop.settle()
        self.look()
        pending, _, _ = self.shop.balance()
        assert pending == 0

    def count(self) -> None:
        """Note how it went: who was first is in the journal."""
        for kind, place, times in self.here.connection.execute(_PLACES):
            self.outcomes[f"{kind} from {place}"] += times


_PLACES = """
    SELECT kind, CASE account % 1000 WHEN 210 THEN 'pending' ELSE 'available' END, count(*)
    FROM entries
    WHERE account % 1000 IN (210, 220)
      AND kind IN ('charge.returned', 'refund.accepted', 'refund.returned')
    GROUP BY 1, 2
"""


@pytest.fixture
def track(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Track]:
    with shared_acquirer() as acquirer, sandbox(cloud, store, monkeypatch, acquirer) as here:
        here.hold_back(here.accounts[0], 800, 3)
        made = Track(here)
        yield made
        made.stop()


def test_each_race_has_one_legal_outcome(track: Track) -> None:
    wanted = int(os.environ.get("IVY_RACES", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    races = Races(track, random.Random(seed))  # noqa: S311 - repeatable on purpose
    started = time.monotonic()
    try:
        while races.run < wanted:
            if races.run % FRESH_START == 0:
                races.count()
                track.here.reset(track.here.clock.at + timedelta(days=1))
            races.race()
    finally:
        races.count()
        seconds = time.monotonic() - started
        print(  # noqa: T201 - the record of the run
            f"\nIVY_SEED={seed}: {races.run} races in {seconds:.0f} s\n{dict(races.outcomes)}"
        )
