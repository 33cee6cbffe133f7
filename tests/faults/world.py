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
from functools import partial
from typing import Any

from functions.charges import cancel, capture, expire
from functions.charges import create as create_charge
from functions.connectors import collect
from functions.disputes import accept, evidence, lapse
from functions.events import sweep
from functions.ledger import roll_up
from functions.outbox import relay
from functions.payouts import make, schedule
from functions.refunds import create as create_refund
from functions.settlements import itemise, settle
from functions.settlements import run as run_settlement
from ivy.serve.declaration import Consumer, Job, Route
from ivy.serve.schedules import JobError
from tests import invariants
from tests.driving import CONSUMERS, PUBLISHERS, Account, LambdaContext, Platform, Reply
from tests.faults import dying
from tests.faults.dying import Fatal
from tests.invariants import Acknowledged

CHARGE = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"}
MONEY_ROUTES: tuple[Route, ...] = (
    create_charge.handler, capture.handler, cancel.handler, create_refund.handler,
    evidence.handler, accept.handler,
)  # fmt: skip
JOBS = (
    relay.handler, roll_up.handler, collect.handler, expire.handler, lapse.handler, sweep.handler,
    run_settlement.handler,
)  # fmt: skip
NOBODYS = "0" * 32
UNDECIDED = {"pending", "requires_action", "authorized"}
MAX_TRIES = 30
MAX_ROUNDS = 12
BROKEN = 400


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
        for route in MONEY_ROUTES:
            path = {"id": f"ch_{NOBODYS}"} if "{id}" in route.path else {}
            refused = self.platform.post(route, self.accounts[0], {"amount": 1}, **path)
            assert refused.status >= BROKEN
        for consumer in (*CONSUMERS, *PUBLISHERS):
            self.platform.hand_over(consumer, "not a task")
        for job in JOBS:
            self.platform.run(job)
        self.platform.lose_messages("settlements")

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
        return self._send(create_charge.handler, key, body or CHARGE, account)

    def _send(
        self, route: Route, key: str, body: Any, account: Account | None, **path: str
    ) -> Reply | None:
        who = account or self.accounts[0]
        answer = self.invoke(self.request(key, body, who, route, **path))
        if answer is None:
            return None
        return self.note(who, f"{route.name} {key}", answer, waits=bool(body.get("wait")))

    def request(
        self, key: str, body: Any, who: Account, route: Route = create_charge.handler, **path: str
    ) -> Callable[[], dict[str, Any]]:
        """Return the work of one request; its answer can be passed between processes."""

        def work() -> dict[str, Any]:
            given = self.platform.post(route, who, body, key=key, **path)
            return asdict(given) | {"body": given.body.decode()}

        return work

    def note(self, who: Account, key: str, answer: dict[str, Any], *, waits: bool = False) -> Reply:
        """Remember what a client was told, to hold the gateway to it, and return it."""
        reply = Reply(**answer | {"body": answer["body"].encode()})
        if reply.status < BROKEN or reply.code == "charge_declined":
            provisional = waits and reply.json()["status"] in UNDECIDED
            self.acknowledged.append(
                Acknowledged(who.merchant_id, key, reply.status, reply.body, provisional)
            )
        return reply

    def pay(self, key: str, body: Any = None, account: Account | None = None) -> Reply:
        """Send a charge until there is an answer that is not worth retrying."""
        return self.post(create_charge.handler, key, body or CHARGE, account)

    def post(
        self,
        route: Route,
        key: str,
        body: dict[str, Any] | None = None,
        account: Account | None = None,
        **path: str,
    ) -> Reply:
        """Send a request until there is an answer that is not worth retrying now."""
        for _ in range(MAX_TRIES):
            reply = self._send(route, key, body or {}, account, **path)
            if reply is not None and not _retried(reply):
                return reply
            self.platform.pass_in_progress_window()
        raise AssertionError(f"no answer to {key} in {MAX_TRIES} tries: {reply}")

    def ask(self, route: Route, who: Account, body: dict[str, Any]) -> Reply:
        """Send a request that has no key, until it is answered by somebody who lives."""
        for _ in range(MAX_TRIES):
            answer = self.invoke(self.request("", body, who, route))
            if answer is not None:
                return Reply(**answer | {"body": answer["body"].encode()})
        raise AssertionError(f"no answer to {route.name} in {MAX_TRIES} tries")

    # -- the platform

    def deliver(self, *more: Consumer) -> int:
        """Deliver one batch of each queue; a consumer that dies gets it again."""
        return sum([self._deliver(consumer) for consumer in (*CONSUMERS, *PUBLISHERS, *more)])

    def _deliver(self, consumer: Consumer) -> int:
        return self.platform.deliver(
            consumer, lambda event: self.invoke(partial(consumer, event, LambdaContext()))
        )

    def relay(self) -> None:
        self.run(relay.handler)

    def sweep(self) -> None:
        self.run(sweep.handler)

    def roll_up(self) -> None:
        self.run(roll_up.handler)

    def hear(self) -> None:
        """Hear what the acquirer did by itself, as often as it takes."""
        for _ in range(MAX_TRIES):
            if self.run(collect.handler) is not None:
                return
        raise AssertionError(f"nobody lived to hear the acquirer in {MAX_TRIES} tries")

    def expire(self) -> None:
        """Let the time of every authorisation pass that is there now."""
        with self.platform.store.superuser() as connection:
            connection.execute(
                "UPDATE charges SET capture_before = now() WHERE status = 'authorized'"
            )
        self.run(expire.handler)

    def lapse(self) -> None:
        """Let the deadline of every dispute pass that is open now."""
        with self.platform.store.superuser() as connection:
            connection.execute("UPDATE disputes SET evidence_due_by = now()")
        self.run(lapse.handler)

    def agree(self, **terms: Any) -> None:
        """Agree on something with every merchant."""
        with self.platform.store.superuser() as connection:
            for name, value in terms.items():
                connection.execute(f"UPDATE merchants SET {name} = %s".encode(), (value,))

    def forget_who_made_keys(self) -> None:
        with self.platform.store.superuser() as connection:
            connection.execute("UPDATE api_keys SET created_by = NULL")

    def pay_by_schedule(self) -> None:
        """Let the schedule pay out what is available, from the next banking day on."""
        for _ in range(4):
            self.platform.pass_time(days=1)
            for _ in range(MAX_TRIES):
                if self.run(schedule.handler) is not None:
                    break
            while self._deliver(make.handler):
                pass

    def settle(self) -> None:
        """Settle every day that has come, as often as it takes."""
        for _ in range(MAX_TRIES):
            if self.run(run_settlement.handler) is not None:
                while self._deliver(settle.handler) + self._deliver(itemise.handler):
                    pass
                return
        raise AssertionError(f"nobody lived to settle in {MAX_TRIES} tries")

    def run(self, job: Job) -> Any:
        """Run a job and return its report; None when it failed, or died."""
        with contextlib.suppress(JobError):
            return self.invoke(lambda: self.platform.run(job))
        return None

    def lose_messages(self) -> None:
        for queue in self.platform.queues:
            self.platform.lose_messages(queue)

    def drain(self) -> None:
        """Let queues and schedules run until nothing is owed any more, or all of it rests."""
        for turn in range(MAX_ROUNDS):
            while self.deliver():
                pass
            self.hear()
            self.roll_up()
            self.sweep()
            if turn > 0 and not self._owed():
                return
            self.platform.make_overdue()
            self.relay()
            self.sweep()

    def _owed(self) -> int:
        """Return how much is promised and does not rest until a later time."""
        with self.platform.store.superuser() as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM outbox"
                " WHERE expected_at < now() + interval '330 seconds')"
                " + (SELECT count(*) FROM deliveries WHERE status IN ('pending', 'sending'))"
                " + (SELECT count(*) FROM events WHERE id NOT IN (SELECT event_id FROM"
                " event_numbers))"
            ).fetchone()
        assert row is not None
        return int(row[0])

    # -- the verdict

    def broken(self) -> dict[str, list[str]]:
        """Return what is wrong at this moment."""
        with self.platform.store.superuser() as connection:
            return invariants.broken(connection, self.acknowledged)

    def broken_when_drained(self, poison: Iterable[str] = ()) -> dict[str, list[str]]:
        """Return what is wrong once everything that was owed should have been done."""
        self.platform.publish()
        found = self.broken()
        queued = self._queued()
        with self.platform.store.superuser() as connection:
            left = invariants.i12_nothing_is_left_over(connection, queued, self.dead(), poison)
        return found | ({"i12_nothing_is_left_over": left} if left else {})

    def _queued(self) -> list[str]:
        """Return what stays in the queues.

        A webhook sent ahead of its time is held by its queue, and may show itself only now.
        """
        queues = self.platform.queues
        while queued := [body for queue in queues for body in self.platform.messages(queue)]:
            if not self.deliver():
                break
        return queued

    def dead(self) -> list[str]:
        """Return the messages that nobody could work on."""
        queues = self.platform.queues
        return [body for queue in queues for body in self.platform.messages(queue, dead=True)]

    def charges(self) -> int:
        """Return how many charges there are."""
        with self.platform.store.superuser() as connection:
            row = connection.execute("SELECT count(*) FROM charges").fetchone()
        assert row is not None
        return int(row[0])


def _retried(reply: Reply) -> bool:
    """Whether a client sends a request again at once; what is under way takes longer."""
    if reply.status < BROKEN:
        return False
    return bool(reply.json()["retryable"]) and reply.code != "operation_in_progress"
