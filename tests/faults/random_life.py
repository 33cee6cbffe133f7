"""Anything that merchants, acquirers and clouds do, in any order, for as long as one likes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions.charges import cancel, capture
from functions.charges import create as create_charge
from functions.disputes import accept, evidence
from functions.refunds import create as create_refund
from ivy.serve.declaration import Route
from tests.driving import Account, Reply
from tests.faults.world import BROKEN, CHARGE, World

CARDS = (
    "tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_processing_error", "tok_timeout",
    "tok_duplicate", "tok_capture_declined", "tok_refund_fails", "tok_requires_action",
    "tok_dispute", "tok_dispute_twice",
)  # fmt: skip
BANK_DEBITS = ("tok_ach", "tok_ach_declined", "tok_ach_r01")
CURRENCIES = ("USD", "JPY", "KWD")
CHARGED, REFUSED = 201, 422


@dataclass(frozen=True)
class Sent:
    """A request and its first answer."""

    who: Account
    route: Route
    key: str
    body: dict[str, Any]
    path: dict[str, str]
    reply: Reply


class RandomLife:
    """Takes one step after the other; what it did can be asked for."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self.sent: list[Sent] = []
        self.charges: list[tuple[Account, str]] = []
        self._steps: list[Callable[[], object]] = [
            *[self.charge] * 4, *[self.capture] * 2, self.cancel, *[self.refund] * 3,
            *[self.answer_a_dispute] * 3, *[self.send_again] * 2,
            *[world.deliver] * 4, world.relay, world.roll_up, *[world.hear] * 2, *[world.drain] * 2,
            world.platform.make_overdue, self.lose_something, self.wait, world.expire, world.lapse,
            *[world.settle] * 2,
        ]  # fmt: skip

    def step(self) -> None:
        self.chance.choice(self._steps)()

    # -- clients

    def charge(self) -> None:
        who = self.chance.choice(self.world.accounts)
        debit = self.chance.random() < 0.2
        body = CHARGE | {
            "amount": self.chance.randint(1_000, 10**9),
            "currency": self.chance.choice(CURRENCIES),
            "payment_method": self.chance.choice(BANK_DEBITS if debit else CARDS),
            "capture": debit or self.chance.random() < 0.6,
            "wait": self.chance.random() < 0.2,
        }
        key = self._key()
        if self.chance.random() < 0.2:
            assert self.world.pay(key, body | {"amount": 0}, who).status == REFUSED
        reply = self._send(who, create_charge.handler, body, key=key)
        assert reply.status == CHARGED, reply.body
        self.charges.append((who, reply.json()["id"]))

    def capture(self) -> None:
        body = {"amount": self.chance.randint(1, 10**9)} if self.chance.random() < 0.5 else {}
        self._about_a_charge(capture.handler, body)

    def cancel(self) -> None:
        self._about_a_charge(cancel.handler, {})

    def _about_a_charge(self, route: Route, body: dict[str, Any]) -> None:
        if self.charges:
            who, charge = self.chance.choice(self.charges)
            body |= {"wait": self.chance.random() < 0.2}
            self._send(who, route, body, id=charge)

    def refund(self) -> None:
        if self.charges:
            who, charge = self.chance.choice(self.charges)
            body: dict[str, Any] = {"charge": charge, "wait": self.chance.random() < 0.2}
            if self.chance.random() < 0.7:
                body |= {"amount": self.chance.randint(1, 10**9)}
            self._send(who, create_refund.handler, body)

    def answer_a_dispute(self) -> None:
        with self.world.platform.store.superuser() as connection:
            found = connection.execute("SELECT merchant_id, id FROM disputes").fetchall()
        if not found:
            return
        merchant, dispute = self.chance.choice(found)
        (who,) = [each for each in self.world.accounts if each.merchant_id == merchant]
        said = {"text": self.chance.choice(("winning_evidence", "please")), "submit": True}
        if self.chance.random() < 0.3:
            self._send(who, accept.handler, {}, id=f"dp_{dispute.hex}")
        else:
            self._send(who, evidence.handler, said, id=f"dp_{dispute.hex}")

    def send_again(self) -> None:
        """A client that is unsure asks once more; it reads what it read before."""
        if not self.sent:
            return
        first = self.chance.choice(self.sent)
        again = self._post(first.who, first.route, first.body, first.key, first.path)
        if not first.body.get("wait"):
            assert (again.status, again.body) == (first.reply.status, first.reply.body)

    def _key(self) -> str:
        return f"key-{len(self.sent)}"

    def _send(
        self, who: Account, route: Route, body: dict[str, Any], key: str = "", **path: str
    ) -> Reply:
        key = key or self._key()
        reply = self._post(who, route, body, key, path)
        if reply.status < BROKEN:
            self.sent.append(Sent(who, route, key, body, path, reply))
        return reply

    def _post(
        self, who: Account, route: Route, body: dict[str, Any], key: str, path: dict[str, str]
    ) -> Reply:
        return self.world.post(route, key, body, who, **path)

    # -- the world around them

    def lose_something(self) -> None:
        self.chance.choice((self.world.platform.empty_table, self.world.lose_messages))()

    def wait(self) -> None:
        """Some days for the acquirer, whose authorisations lapse and whose debits arrive."""
        self.world.platform.pass_time(hours=self.chance.choice((1, 24, 72)))

    def end(self) -> None:
        """Let everything come to its end, with nobody dying any more."""
        self.world.fate = None
        self.world.drain()
        self.world.expire()
        for _ in range(3):
            self.world.drain()
            self.world.platform.pass_time(days=8)
        self.world.drain()
