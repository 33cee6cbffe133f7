"""A world in which invocations die: clients that retry, and a platform that delivers again.

An invocation that may die is a process of its own. ``arm`` chooses a point where the first one to
pass dies, ``fate`` one for each. Everybody around then does what they would do in earnest: the
client sends the request again with the same key, the queue shows the message again, the schedule
fires again.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from functions.charges import create, process
from functions.ledger import roll_up
from functions.outbox import relay
from ivy.serve.declaration import Job
from ivy.serve.schedules import JobError
from tests import invariants
from tests.driving import Account, LambdaContext, Platform, Reply
from tests.faults import dying
from tests.faults.dying import Fatal
from tests.invariants import Acknowledged

CHARGE = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"}
MAX_TRIES = 30
MAX_ROUNDS = 12


class World:
    """One platform, its clients, and what they have been told."""

    def __init__(self, platform: Platform, *accounts: Account) -> None:
        self.platform = platform
        self.accounts = accounts
        self.acknowledged: list[Acknowledged] = []
        self.deaths: Counter[str] = Counter()
        self.fate: Callable[[], Fatal | None] | None = None
        """Asked about each invocation: where it dies, if at all."""
        self._armed: Fatal | None = None
        self._warm_up()

    def _warm_up(self) -> None:
        """Import, parse and read in this process what every fork would do again."""
        for account in self.accounts:
            self.platform.principal(account.secret_key)
        refused, key = CHARGE | {"amount": 1}, self.accounts[0].secret_key
        keyed = {"Idempotency-Key": "warm"}
        self.platform.request(create.handler, refused, bearer=key, headers=keyed)
        self.platform.hand_over(process.handler, "not a task")
        for job in (relay.handler, roll_up.handler):
            self.platform.run(job)

    def arm(self, point: str) -> None:
        """Let the first process that passes a point die there."""
        self._armed = dying.at(point)

    def invoke(self, work: Callable[[], Any]) -> Any:
        """Run an invocation, in a process of its own when it may die; None when it did."""
        fatal = self.fate() if self.fate else self._armed
        if fatal is None:
            return work()
        end = dying.run(work, fatal)
        if end.died:
            self.deaths[end.reached[-1]] += 1
            self._armed = None
        return end.result

    # -- the client

    def send(self, key: str, body: Any = None, account: Account | None = None) -> Reply | None:
        """Send a charge once; None when the connection was lost."""
        who = account or self.accounts[0]
        answer = self.invoke(self.request(key, body, who))
        return None if answer is None else self.note(who, key, answer)

    def request(self, key: str, body: Any, who: Account) -> Callable[[], dict[str, Any]]:
        """Return the work of one request; its answer can be passed between processes."""

        def work() -> dict[str, Any]:
            given = self.platform.request(
                create.handler,
                body or CHARGE,
                bearer=who.secret_key,
                headers={"Idempotency-Key": key},
            )
            return asdict(given) | {"body": given.body.decode()}

        return work

    def note(self, who: Account, key: str, answer: dict[str, Any]) -> Reply:
        """Remember what a client was told, to hold the gateway to it, and return it."""
        reply = Reply(**answer | {"body": answer["body"].encode()})
        if reply.status == create.handler.status:
            self.acknowledged.append(Acknowledged(who.merchant_id, key, reply.status, reply.body))
        return reply

    def pay(self, key: str, body: Any = None, account: Account | None = None) -> Reply:
        """Send a charge until there is an answer that is not worth retrying."""
        for _ in range(MAX_TRIES):
            reply = self.send(key, body, account)
            if reply is not None and not (reply.status >= 400 and reply.json()["retryable"]):
                return reply
            self.platform.pass_in_progress_window()
        raise AssertionError(f"no answer to {key} in {MAX_TRIES} tries")

    # -- the platform

    def deliver(self) -> int:
        """Deliver one batch; a consumer that dies gets it again."""
        handler = process.handler
        return self.platform.deliver(
            handler, lambda event: self.invoke(lambda: handler(event, LambdaContext()))
        )

    def relay(self) -> None:
        self.run(relay.handler)

    def roll_up(self) -> None:
        self.run(roll_up.handler)

    def run(self, job: Job) -> None:
        """Run a job; one that fails is run again by its schedule."""
        with contextlib.suppress(JobError):
            self.invoke(lambda: self.platform.run(job))

    def drain(self) -> None:
        """Let queues and schedules run until nothing is owed any more."""
        for _ in range(MAX_ROUNDS):
            while self.deliver():
                pass
            self.roll_up()
            with self.platform.store.superuser() as connection:
                owed = connection.execute("SELECT count(*) FROM outbox").fetchone()
            if owed == (0,):
                return
            self.platform.make_overdue()
            self.relay()

    # -- the verdict

    def broken(self) -> dict[str, list[str]]:
        """Return what is wrong at this moment."""
        with self.platform.store.superuser() as connection:
            return invariants.broken(connection, self.acknowledged)

    def broken_when_drained(self, poison: Iterable[str] = ()) -> dict[str, list[str]]:
        """Return what is wrong once everything that was owed should have been done."""
        found = self.broken()
        with self.platform.store.superuser() as connection:
            left = invariants.i12_nothing_is_left_over(
                connection, self.platform.messages(), self.platform.messages(dead=True), poison
            )
        return found | ({"i12_nothing_is_left_over": left} if left else {})

    def charges(self) -> int:
        """Return how many charges there are."""
        with self.platform.store.superuser() as connection:
            row = connection.execute("SELECT count(*) FROM charges").fetchone()
        assert row is not None
        return int(row[0])
