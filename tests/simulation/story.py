"""One story: the same thing done to Ivy and to the model, and the two held against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from functions.charges import expire
from functions.charges import process as process_charge
from functions.connectors import collect
from functions.disputes import lapse
from functions.disputes import process as process_dispute
from functions.outbox import relay
from functions.refunds import process as process_refund
from ivy.outbox import Task
from ivy.serve.declaration import Job, Route
from ivy.serve.schedules import JobError
from tests import invariants
from tests.driving import Reply
from tests.invariants import Acknowledged
from tests.simulation.model_gateway import Gateway
from tests.simulation.model_state import state_of
from tests.simulation.model_things import (
    Charge,
    Dispute,
    Question,
    Refund,
    Refused,
    Steps,
    Thing,
)
from tests.simulation.sandbox import Sandbox

CONSUMERS = {
    "charges": (process_charge.handler, "charge"),
    "refunds": (process_refund.handler, "refund"),
    "disputes": (process_dispute.handler, "dispute"),
}
POINTS = {
    "begin": "{}.begin.before_commit",
    "before": "{}.process.before_connector",
    "after": "{}.process.after_connector",
    "commit": "{}.process.after_commit",
}
"""Where a consumer may die, by the name that the model knows."""


ROUNDS = 7
"""Enough for the longest way: authorised late, expired, and the first answer lost."""


@dataclass
class Sent:
    """A request that was accepted, to be sent again later."""

    route: Route
    who: int
    body: dict[str, Any]
    key: str
    path: dict[str, str]
    reply: Reply
    final: bool
    thing: Thing

    def __repr__(self) -> str:
        return f"{self.route.path} {self.body} {self.path}"


class Story:
    """Everything that has happened since the sandbox was reset."""

    def __init__(self, sandbox: Sandbox, model: Gateway) -> None:
        self.sandbox = sandbox
        self.model = model
        self.sent: list[Sent] = []
        self.freed: list[str] = []
        """Keys of refused requests: a corrected one may use them."""
        self.inbox: list[Task] = []
        """Messages that are on their way."""
        self.tasks: dict[str, UUID] = {}
        """Which promise is about what."""
        self.keys = 0
        self.refusals: Counter[str] = Counter()
        self._numbers = 0

    def move_clock(self, to: datetime) -> None:
        self.sandbox.clock.set(to)
        self.model.now = to

    # -- requests

    def ask(
        self,
        route: Route,
        who: int,
        body: dict[str, Any],
        expected: Callable[[], Thing],
        death: str | None = None,
        **path: str,
    ) -> Reply:
        """Send a money request, and expect of it what the model expects.

        ``expected`` is the model's part: it refuses, or returns what the request is about.
        """
        key = self._key()
        try:
            thing: Thing | None = expected()
        except Refused as refused:
            thing, refusal = None, refused
        reply, died = self._send(route, who, body, key, death, path)
        if thing is None:
            assert (reply.status, reply.json().get("code")) == (refusal.status, refusal.code), body
            self.freed.append(key)
            self.refusals[refusal.code] += 1
            self._receive()
            return reply
        if body.get("dry_run"):
            assert reply.status == 200, reply.body
            self.freed.append(key)
            self._receive()
            return reply
        self._note(thing, reply.json()["id"])
        final = not body.get("wait") or self.model.settled(thing)
        assert reply.status == route.status, reply.body
        assert reply.replayed == (died not in (None, "once.before_commit"))
        self.shown(reply.json(), thing)
        self.sent.append(Sent(route, who, body, key, path, reply, final, thing))
        self._receive(*([] if died == "once.after_commit" or thing.work is None else [thing.id]))
        return reply

    def _key(self) -> str:
        self._numbers += 1
        if self.freed and self._numbers % 3 == 0:
            return self.freed.pop(0)
        return f"key {self._numbers}"

    def _note(self, thing: Thing, name: str) -> None:
        """Tell the model what a new object is called."""
        self.keys += 1
        if thing.id:
            assert name == thing.id
        elif isinstance(thing, Charge):
            self.model.accept_charge(thing, name)
        elif isinstance(thing, Refund):
            self.model.accept_refund(thing, name)

    def _send(
        self,
        route: Route,
        who: int,
        body: dict[str, Any],
        key: str,
        death: str | None,
        path: dict[str, str],
    ) -> tuple[Reply, str | None]:
        """Send a request; when the process dies, the client sends it again."""
        account = self.sandbox.accounts[who]
        with self.sandbox.dying_at(death) as died:
            reply = self.sandbox.request(route, body, account, key, **path)
        if not died:
            return reply, None
        assert (reply.status, reply.code) == (500, "internal_error")
        return self.sandbox.request(route, body, account, key, **path), died[0]

    def repeat(self, sent: Sent) -> None:
        """Send an accepted request once more: the same answer, or the outcome it waited for."""
        reply, _ = self._send(sent.route, sent.who, sent.body, sent.key, None, sent.path)
        assert reply.replayed
        if not sent.final and self.model.settled(sent.thing):
            sent.final = True
            if isinstance(sent.thing, Charge) and sent.thing.status == "failed":
                assert (reply.status, reply.code) == (402, "charge_declined")
                assert reply.json()["charge"] == sent.thing.id
                assert reply.json().get("decline_code") == sent.thing.decline
                assert reply.json()["failure_code"] == sent.thing.failure
            else:
                assert reply.status == sent.route.status
                self.shown(reply.json(), sent.thing)
            sent.reply = reply
        assert (reply.status, reply.body) == (sent.reply.status, sent.reply.body)
        self._receive()

    def reuse(self, sent: Sent) -> None:
        """Send another request with the key of one that was accepted."""
        if "wait" in sent.body:
            other = sent.body | {"wait": not sent.body["wait"]}
        else:
            other = sent.body | {"text": "something else"}
        account = self.sandbox.accounts[sent.who]
        reply = self.sandbox.request(sent.route, other, account, sent.key, **sent.path)
        refusal = (422, "request_invalid" if not sent.body else "idempotency_key_reused")
        assert (reply.status, reply.code) == refusal
        self._receive()

    def shown(self, seen: dict[str, Any], thing: Thing) -> None:
        """Hold an object, as a caller sees it, against the model."""
        expected: dict[str, Any] = {"id": thing.id, "status": thing.status, "livemode": False}
        expected["version"] = thing.version
        if isinstance(thing, Charge):
            expected |= {
                "amount": thing.amount, "currency": thing.currency, "fee": thing.fee,
                "amount_captured": thing.captured, "amount_refunded": thing.refunded,
                "fee_returned": thing.fee_returned, "disputed": thing.disputed > 0,
                "failure_code": thing.failure, "decline_code": thing.decline,
                "net": None if thing.fee is None else thing.captured - thing.fee,
                "available_on": thing.available_on and thing.available_on.isoformat(),
            }  # fmt: skip
        elif isinstance(thing, Refund):
            expected |= {
                "charge": thing.charge, "amount": thing.amount, "pending_reason": thing.reason,
                "failure_code": thing.failure, "fee_returned": thing.fee_returned,
            }  # fmt: skip
        elif isinstance(thing, Dispute):
            expected |= {
                "charge": thing.charge, "amount": thing.amount, "fee": thing.fee,
                "evidence": thing.evidence,
            }  # fmt: skip
        assert {name: seen[name] for name in expected} == expected

    # -- messages

    def _receive(self, *expected: str) -> None:
        """Take what was sent to the queues: messages about exactly these objects.

        They are kept in the order of their objects. A queue promises none, and the relay's can be
        that of random ids: told again, a story would go on with another message.
        """
        new = self.sandbox.messages()
        assert sorted(self.name_of(task) for task in new) == sorted(expected)
        order = {name: number for number, name in enumerate(self.model.things)}
        self.inbox += sorted(new, key=lambda task: order[self.name_of(task)])

    def name_of(self, task: Task) -> str:
        prefix = {"charges": "ch", "refunds": "re", "disputes": "dp"}[task.queue]
        return f"{prefix}_{task.subject.hex}"

    def live(self) -> list[Task]:
        """Return the messages whose work is still to be done."""
        return [task for task in self.inbox if self.tasks.get(self.name_of(task)) == task.id]

    def deliver(self, tasks: list[Task], network: list[str], death: str | None) -> list[Task]:
        """Hand messages of one queue over; returns those that it failed on."""
        consumer, noun = CONSUMERS[tasks[0].queue]
        failed, asks = self._expected(tasks, network, death)
        before = self.sandbox.pocket.invocations
        self.sandbox.pocket.network.extend(network)  # type: ignore[arg-type]  # the strategies' own
        with self.sandbox.dying_at(POINTS[death].format(noun) if death else None):
            undone = self.sandbox.hand_over(consumer, *(task.message() for task in tasks))
        self.sandbox.pocket.network.clear()
        assert undone == [task.message() for task in failed]
        assert self.sandbox.pocket.invocations - before == asks
        self._receive()
        return failed

    def _expected(
        self, tasks: list[Task], network: list[str], death: str | None
    ) -> tuple[list[Task], bool]:
        """Return which messages the model fails on, and whether it asks the acquirer: once."""
        begin: dict[str, Callable[[Any, str | None], Steps]] = {
            "charges": self.model.process_charge,
            "refunds": self.model.process_refund,
            "disputes": self.model.process_dispute,
        }
        failed: list[Task] = []
        waiting: list[tuple[Task, Steps, Question]] = []
        for task in tasks:
            thing = self.model.things[self.name_of(task)]
            if thing.work is None or self.tasks.get(thing.id) != task.id:
                continue
            steps = begin[task.queue](thing, death)
            try:
                waiting.append((task, steps, next(steps)))
            except StopIteration as end:
                failed += [] if end.value else [task]
        fate = network[0] if network else "ok"
        told = [
            each.payment.ask(each.order, asked_before=each.asked_before, fate=fate)
            for _, _, each in waiting
        ]
        for (task, steps, _), outcome in zip(waiting, told, strict=True):
            try:
                steps.send(outcome)
            except StopIteration as end:
                failed += [] if end.value else [task]
        return failed, bool(waiting)

    # -- schedules

    def relay(self, death: str | None = None) -> None:
        """Let the relay send again what is overdue; it may die on the way."""
        overdue = max(
            [
                (self.model.now - t.work.expected).total_seconds()
                for t in self.model.things.values()
                if t.work
            ]
            + [0.0]
        )
        due = [] if death == "outbox.relay.before_commit" else self.model.relay()
        report = self._run(relay.handler, death)
        if report is not None:
            sent = {"overdue": len(due), "sent": len(due), "overdue_seconds": overdue}
            assert report == sent
        self._receive(*([] if death else due))

    def owe(self, job: Job, due: list[str]) -> None:
        """Run a job that promises work about objects, as many as the model says."""
        report = self._run(job, None)
        assert report is not None
        assert report["sent"] == len(due)
        self._receive(*due)

    def settle(self, death: str | None = None) -> None:
        """Close every day that has come; another goes on where one dies."""
        self.model.settle()
        self.sandbox.settle(death)
        self._receive()

    def _run(self, job: Job, death: str | None) -> dict[str, Any] | None:
        with self.sandbox.dying_at(death) as died:
            try:
                return self.sandbox.run(job)
            except JobError:
                assert died, "the job failed by itself"
                return None

    def collect(self, network: list[str], *, dies: bool) -> None:
        """Hear what the acquirer did by itself; some of it may get lost."""
        self.sandbox.pocket.network.extend(network)  # type: ignore[arg-type]  # the strategies' own
        report = self._run(collect.handler, "notice.after_commit" if dies else None)
        self.sandbox.pocket.network.clear()
        names = self._disputes_by_charge()
        left = list(network)
        heard = self._heard(left)
        recorded = 0
        for charge, notice in heard:
            done = self.model.record(charge, notice, names.get(charge.id, ""))
            if dies:
                break
            recorded += done
            if done and (left.pop(0) if left else "ok") != "lose_request":
                charge.payment.notices.remove(notice)
        if report is None:
            assert heard
        else:
            assert report == {"heard": len(heard), "recorded": recorded}
        self._receive()

    def _heard(self, network: list[str]) -> list[Any]:
        fate = network.pop(0) if network else "ok"
        if fate == "lose_request":
            return []
        told = [
            (charge, notice)
            for charge in self.model.charges.values()
            for notice in charge.payment.hear(self.model.now)
        ]
        told.sort(key=lambda each: (each[1].at, each[1].id))
        return [] if fate == "lose_answer" else told

    def _disputes_by_charge(self) -> dict[str, str]:
        rows = self.sandbox.connection.execute("SELECT charge_id, id FROM disputes")
        return {f"ch_{charge.hex}": f"dp_{dispute.hex}" for charge, dispute in rows}

    # -- the end

    def end(self) -> None:
        """Let weeks go by in which everything works: then nothing is left undecided."""
        for _ in range(ROUNDS):
            self.move_clock(self.model.now + timedelta(days=8))
            self.inbox.clear()
            self.relay()
            self.owe(expire.handler, self.model.expire())
            self.owe(lapse.handler, self.model.lapse())
            self.check()
            while self.inbox:
                batch = [task for task in self.inbox if task.queue == self.inbox[0].queue][:10]
                self.deliver(batch, [], None)
                self.inbox = [task for task in self.inbox if task not in batch]
            self.collect([], dies=False)
            self.settle()
        self.check()
        assert self.sandbox.left_over() == []
        for name, payment in self.sandbox.payments().items():
            charge = self.model.charges[name]
            taken = (payment["captured_minor"], payment["refunded_minor"])
            assert taken == (charge.captured, charge.refunded)

    # -- the verdict

    def check(self) -> None:
        """Hold everything in the database against the model."""
        found = self.sandbox.state()
        self.tasks = {}
        for name, (task, *_) in (found["work"] or {}).items():
            self.tasks[name] = UUID(task)
        expected = state_of(self.model, self.tasks) | {"keys": self.keys}
        for part, rows in expected.items():
            assert (found[part] or {}) == rows if isinstance(rows, dict) else found[part] == rows, (
                part,
                found[part],
                rows,
            )

    def look(self) -> None:
        """Hold everything against every invariant."""
        acknowledged = [
            Acknowledged(
                self.sandbox.accounts[sent.who].merchant_id,
                f"{sent.route.path} {sent.key}",
                sent.reply.status,
                sent.reply.body,
                provisional=not sent.final,
            )
            for sent in self.sent
        ]
        broken = invariants.broken(self.sandbox.connection, acknowledged)
        assert not broken, broken
