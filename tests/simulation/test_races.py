"""Everything that can happen to a charge, at the same moment: one legal outcome each time.

``IVY_RACES=5000 pytest tests/simulation/test_races.py`` runs that many; ``IVY_SEED`` repeats the
choice of who races against whom, though not who wins.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count

import pytest

from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.faults import dying
from tests.simulation.racing import RACERS, SECONDS, Move, Result, Track, shared_acquirer
from tests.simulation.sandbox import Sandbox, sandbox
from tests.simulation.shop import Shop

EVERYDAY = 300
FRESH_START = 40
"""Races until the tables are emptied, so that looking at everything stays cheap."""

AMOUNT = 10_000
REFUSED = {
    "capture": {
        (409, "operation_in_progress"), (409, "charge_not_capturable"),
        (409, "charge_already_captured"),
    },
    "cancel": {(409, "operation_in_progress"), (409, "charge_not_cancelable")},
    "refund": {(409, "charge_not_refundable"), (422, "refund_exceeds_charge")},
    "answer": {(409, "operation_in_progress"), (409, "dispute_closed")},
    "accept": {(409, "operation_in_progress"), (409, "dispute_closed")},
}  # fmt: skip
"""How each request may end besides being accepted."""


class Races:
    """One race after the other."""

    def __init__(self, track: Track, chance: random.Random) -> None:
        self.track = track
        self.here = track.here
        self.shop = Shop(track.here)
        self.chance = chance
        self.outcomes: Counter[str] = Counter()
        self.run = 0
        self._keys = count()

    # -- starting

    def race(self, *moves: Move) -> list[Result]:
        """Race some moves, with whatever fits in as many copies or jobs as there are racers."""
        delayed = [
            Move(m.verb, m.arguments, m.named, self.chance.choice((0, 0, 0.001, 0.004)))
            for m in moves
        ]
        self.chance.shuffle(delayed)
        results = self.track.race(*delayed)
        self.run += 1
        for result in results:
            if result.reply is not None and result.reply.status >= 400:
                assert result.move.verb in REFUSED, result
                refusal = (result.reply.status, result.reply.code)
                assert refusal in REFUSED[result.move.verb], result
            elif result.reply is None and result.move.verb == "deliver":
                assert result.returned == [], "\n".join(result.failures)
        return results

    def some(self, *moves: Move) -> list[Move]:
        """Choose as many of some moves as there are racers, at least two."""
        wanted = self.chance.randint(2, RACERS)
        return self.chance.sample(moves, min(wanted, len(moves)))

    def copies(self, name: str) -> list[Move]:
        """Return the delivery of what is owed about an object, several times, and the relay."""
        owed = self.shop.owed(name)
        delivery = [Move("deliver", owed)] * 3 if owed else []
        return [*delivery, Move("run", ("relay",))]

    def refund(self, charge: str, amount: int) -> Move:
        return Move("refund", (charge,), {"amount": amount})

    # -- ending

    def end(self, *names: str) -> None:
        """Let everything that is owed be done, and look at everything there is."""
        self.shop.here.pocket.take("charges")
        for _ in range(4):
            self.shop.pass_time(minutes=3)
            self.shop.go_on()
        if any(self.shop.see(name)["status"] == "authorized" for name in names):
            self.shop.pass_time(days=8)  # or a later race would expire it
            self.shop.go_on()
        for name in names:
            self.agree(name)

    def agree(self, charge: str) -> None:
        """Ivy and the acquirer say the same of a charge."""
        seen, payment = self.shop.see(charge), self.here.payments()[charge]
        assert seen["amount_captured"] == payment["captured_minor"]
        assert seen["amount_refunded"] == payment["refunded_minor"]
        states = {
            "succeeded": "captured", "canceled": "released", "expired": "released",
            "authorized": "authorized",
        }  # fmt: skip
        if seen["status"] != "failed":
            assert payment["state"] == states[seen["status"]], (seen, payment)

    def look(self) -> None:
        """Nothing is broken, nothing is stuck, and nobody deadlocked."""
        connection = self.here.connection
        assert invariants.broken(connection) == {}
        assert self.here.left_over() == []
        found = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert found == (0,)

    def accepted(self, results: list[Result], *verbs: str) -> list[Result]:
        return [
            result
            for result in results
            if result.move.verb in verbs and result.reply is not None and result.reply.status < 300
        ]

    # -- races

    def to_capture_or_to_cancel(self) -> None:
        """One of them is accepted, and is what happens, however often it is delivered."""
        token = self.chance.choice(("tok_visa", "tok_visa", "tok_timeout", "tok_capture_declined"))
        charge = self.shop.authorized(payment_method=token)
        self.settle(charge)
        parts = [
            Move("capture", (charge,)),
            Move("capture", (charge,), {"amount": 4_000}),
            Move("cancel", (charge,)),
            Move("cancel", (charge,)),
            self.refund(charge, 1_000),
            Move("run", ("relay",)),
        ]
        if self.chance.random() < 0.3:
            self.shop.pass_time(days=8)
            parts += [Move("run", ("expire",))] * 2
        results = self.race(*self.some(*parts))
        won = self.accepted(results, "capture", "cancel")
        expiring = sum(r.returned["expired"] for r in results if r.move.arguments == ("expire",))
        assert len(won) + expiring <= 1
        assert won or expiring or {r.move.verb for r in results} <= {"refund", "run"}
        self.race(*self.some(*self.copies(charge), *parts[:5]))
        self.end(charge)
        status = self.shop.see(charge)["status"]
        if won and won[0].move.verb == "cancel":
            assert status == "canceled"
        elif won and token != "tok_capture_declined" and not expiring:
            late = self.shop.see(charge)["failure_code"] == "authorization_expired"
            assert status == "succeeded" or (status == "failed" and late)
        self.outcomes[f"authorized → {status}"] += 1

    def settle(self, charge: str) -> None:
        """Ask until the acquirer of a silent token has said that it is authorised."""
        if self.shop.see(charge)["status"] == "pending":
            self.shop.pass_time(minutes=1)
            self.shop.go_on()
        assert self.shop.see(charge)["status"] == "authorized"

    def to_decide_a_charge(self) -> None:
        """Copies of the message, refunds that came too early, and what cannot be done yet."""
        token = self.chance.choice(("tok_visa", "tok_declined", "tok_timeout", "tok_dispute"))
        made = self.shop.pay(payment_method=token).json()
        charge = str(made["id"])
        moves = [*self.copies(charge), self.refund(charge, 6_000), self.refund(charge, 6_000)]
        moves += [Move("capture", (charge,)), Move("cancel", (charge,))]
        results = self.race(*self.some(*moves))
        assert not self.accepted(results, "capture", "cancel")
        assert len(self.accepted(results, "refund")) <= 1
        self.end(charge)
        self.outcomes[f"pending → {self.shop.see(charge)['status']}"] += 1

    def to_spend_the_same_money(self) -> None:
        """Refunds of one charge and of others of the same merchant, against funds and overdraft."""
        charges = [self.shop.charge() for _ in range(2)]
        for _ in range(self.chance.choice((0, 2))):  # what disputes took is missing now
            self.shop.disputed()
        before = self.funds()
        moves = [
            self.refund(charge, self.chance.choice((3_000, 5_000, 9_000, 10_000)))
            for charge in charges * (RACERS // len(charges))
        ]
        accepted = [r.reply.json() for r in self.accepted(self.race(*moves), "refund") if r.reply]
        for charge in charges:
            total = sum(each["amount"] for each in accepted if each["charge"] == charge)
            assert total <= AMOUNT
        spent = sum(e["amount"] for e in accepted if e["pending_reason"] == "processing")
        assert not spent or before - spent >= -self.overdraft()
        for each in accepted:
            if each["pending_reason"] == "insufficient_funds":
                assert before - spent - each["amount"] < -self.overdraft()
        again = [move for each in accepted for move in self.copies(each["id"])]
        self.race(*self.some(*again, *moves[:1]))
        self.end(*charges)
        self.outcomes[f"{len(accepted)} of {RACERS} refunds"] += 1

    def funds(self) -> int:
        row = self.here.connection.execute(
            "SELECT -coalesce(sum(amount), 0) FROM entries WHERE owner = %s"
            " AND account %% 1000 IN (210, 220)",
            (self.shop.account.merchant_id,),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def overdraft(self) -> int:
        return OVERDRAFT_CENTS

    def to_dispute_or_to_refund(self) -> None:
        """A dispute takes what is not given back yet; both together never more than there is."""
        charge = self.shop.charge(payment_method="tok_dispute")
        moves = [Move("run", ("collect",))] * 2
        if self.chance.random() < 0.6:
            made = self.shop.refund(charge, amount=self.chance.choice((2_500, AMOUNT))).json()
            moves += self.copies(made["id"])
        moves += [self.refund(charge, 4_000), self.refund(charge, 7_000)]
        self.race(*self.some(*moves))
        self.shop.run("collect")
        self.end(charge)
        seen = self.shop.see(charge)
        self.outcomes[f"refunded {seen['amount_refunded']}, disputed {seen['disputed']}"] += 1

    def to_answer_a_dispute(self) -> None:
        """It is answered, given up or lost in time: once."""
        dispute = self.shop.disputed()
        moves = [
            Move("answer", (dispute, "winning_evidence")),
            Move("answer", (dispute, "a letter")),
            Move("accept", (dispute,)),
            Move("accept", (dispute,)),
            Move("run", ("collect",)),
        ]
        late = self.chance.random() < 0.4
        if late:
            self.shop.pass_time(days=9)
            moves += [Move("run", ("lapse",))] * 2
            if self.chance.random() < 0.5:
                self.shop.run("lapse")
                moves += self.copies(dispute)
        results = self.race(*self.some(*moves))
        won = self.accepted(results, "answer", "accept")
        assert len(won) <= 1
        assert not (late and self.accepted(results, "answer"))
        self.race(*self.some(*self.copies(dispute), *moves[:5]))
        self.shop.pass_time(days=9)
        self.end(str(self.shop.see(dispute)["charge"]))
        status = self.shop.see(dispute)["status"]
        assert status in ("won", "lost")
        if won and won[0].move.verb == "accept":
            assert status == "lost"
        self.outcomes[f"dispute → {status}"] += 1

    def to_cancel_before_the_payer_acts(self) -> None:
        """A cancellation is what happens, unless the payer was first and the money is taken."""
        takes = self.chance.random() < 0.5
        charge = self.shop.charge(payment_method="tok_requires_action", capture=takes)
        answers = [Move("payer", (charge,), {"approve": yes}) for yes in (True, True, False)]
        cancellations = [Move("cancel", (charge,))] * 2
        results = self.race(*self.some(*answers, *cancellations, *self.copies(charge)))
        results += self.race(*self.some(*self.copies(charge), *cancellations, answers[0]))
        self.shop.pass_time(hours=2)
        self.end(charge)
        status = self.shop.see(charge)["status"]
        if self.accepted(results, "cancel"):
            assert status == "canceled" or (takes and status == "succeeded")
        self.outcomes[f"requires_action → {status}"] += 1

    def to_return_or_to_refund(self) -> None:
        """A bank debit comes back while it is refunded."""
        charge = self.shop.charge(payment_method="tok_ach_r01")
        self.shop.pass_time(days=5)
        self.shop.run("relay")
        self.shop.work()
        assert self.shop.see(charge)["status"] == "succeeded"
        moves = [self.refund(charge, 4_000), self.refund(charge, 7_000)]
        if self.chance.random() < 0.6:
            moves += self.copies(self.shop.refund(charge, amount=2_500).json()["id"])
        self.shop.pass_time(days=5)
        moves += [Move("run", ("collect",))] * 2
        self.race(*self.some(*moves))
        self.shop.run("collect")
        self.end(charge)
        seen = self.shop.see(charge)
        assert seen["status"] == "failed"
        self.outcomes[f"returned, refunded {seen['amount_refunded']}"] += 1

    def to_be_the_first_copy(self) -> None:
        """Copies of a request that no table in front turns away: one does it, all hear the same."""
        charge = self.shop.authorized()
        key = f"copy {next(self._keys)}"
        verb, body = self.chance.choice((("capture", {"amount": 3_000}), ("cancel", {})))
        copies = [Move("again", (verb, body, key, charge))] * RACERS
        replies = [result.reply for result in self.race(*copies) if result.reply]
        told = {(reply.status, reply.body) for reply in replies if reply.status < 300}
        assert len(told) == 1
        assert sum(not reply.replayed for reply in replies if reply.status < 300) == 1
        self.end(charge)
        self.outcomes[f"copies of {verb}"] += 1


RACES: tuple[tuple[Callable[[Races], None], int], ...] = (
    (Races.to_capture_or_to_cancel, 4),
    (Races.to_decide_a_charge, 2),
    (Races.to_spend_the_same_money, 2),
    (Races.to_dispute_or_to_refund, 2),
    (Races.to_answer_a_dispute, 2),
    (Races.to_cancel_before_the_payer_acts, 2),
    (Races.to_return_or_to_refund, 1),
    (Races.to_be_the_first_copy, 1),
)
OVERDRAFT_CENTS = 2_000


@pytest.fixture
def track(cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Track]:
    with shared_acquirer() as acquirer, sandbox(cloud, store, monkeypatch, acquirer) as here:
        here.connection.execute("UPDATE merchants SET overdraft_cents = %s", (OVERDRAFT_CENTS,))
        made = Track(here)
        yield made
        made.stop()


def test_copies_that_begin_at_once_are_both_done(here: Sandbox) -> None:
    """The second wants to note its question while the first has noted its own, uncommitted."""
    fork = multiprocessing.get_context("fork")
    arrived, go = fork.Semaphore(0), fork.Event()
    shop = Shop(here)
    owed = shop.owed(str(shop.pay().json()["id"]))
    assert owed is not None

    def hold(name: str) -> bool:
        if name == "charge.begin.before_commit":
            arrived.release()
            assert go.wait(SECONDS)
        return False

    first = dying.start(lambda: shop.deliver(*owed), hold)
    assert arrived.acquire(timeout=SECONDS)
    second = dying.start(lambda: shop.deliver(*owed))
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not _somebody_waits(here):
        time.sleep(0.01)
    go.set()
    assert [first.wait().result, second.wait().result] == [[], []]


def _somebody_waits(here: Sandbox) -> bool:
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    return here.connection.execute(waits).fetchone() == (True,)


def test_each_race_has_one_legal_outcome(track: Track) -> None:
    wanted = int(os.environ.get("IVY_RACES", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    races = Races(track, random.Random(seed))  # noqa: S311 - repeatable on purpose
    kinds = [race for race, weight in RACES for _ in range(weight)]
    started = time.monotonic()
    fresh = 0
    try:
        while races.run < wanted:
            if races.run >= fresh:
                track.here.reset(track.here.clock.at + timedelta(days=1))
                fresh = races.run + FRESH_START
            races.chance.choice(kinds)(races)
            races.look()
    finally:
        seconds = time.monotonic() - started
        print(  # noqa: T201 - the record of the run
            f"\nIVY_SEED={seed}: {races.run} races in {seconds:.0f} s"
            f"\n{dict(races.outcomes.most_common())}"
        )
