"""A merchant in a sandbox, and the platform working for it when told to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from functions.charges import cancel, capture, create, expire
from functions.charges import get as get_charge
from functions.charges import process as process_charge
from functions.connectors import collect
from functions.disputes import accept, evidence, lapse
from functions.disputes import get as get_dispute
from functions.disputes import list as list_disputes
from functions.disputes import process as process_dispute
from functions.outbox import relay
from functions.refunds import create as create_refund
from functions.refunds import get as get_refund
from functions.refunds import process as process_refund
from ivy.database import Tenant
from ivy.outbox import Task
from ivy.serve.declaration import Route
from tests.driving import Reply
from tests.simulation.sandbox import Sandbox

CHARGE = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"}
CONSUMERS = {
    each.queue: each
    for each in (process_charge.handler, process_refund.handler, process_dispute.handler)
}
JOBS = {
    "relay": relay.handler,
    "expire": expire.handler,
    "lapse": lapse.handler,
    "collect": collect.handler,
}
GETS = {"ch": get_charge.handler, "re": get_refund.handler, "dp": get_dispute.handler}


class Shop:
    """One of a sandbox's two merchants."""

    def __init__(self, here: Sandbox, who: int = 0) -> None:
        self.here = here
        self.account = here.accounts[who]

    # -- requests

    def post(self, route: Route, body: Any, key: str = "", **path: str) -> Reply:
        """Send a request, under a new key unless one is given."""
        return self.here.request(route, body, self.account, key or uuid4().hex, **path)

    def pay(self, key: str = "", **fields: Any) -> Reply:
        return self.post(create.handler, CHARGE | fields, key)

    def charge(self, **fields: Any) -> str:
        """Make a charge, let it be decided, and return its name."""
        made = self.pay(**fields)
        assert made.status == create.handler.status, made.body
        self.work()
        return str(made.json()["id"])

    def authorized(self, **fields: Any) -> str:
        """Make a charge that is only authorised, or waits for its payer."""
        return self.charge(capture=False, **fields)

    def capture(self, charge: str, **body: Any) -> Reply:
        return self.post(capture.handler, body, id=charge)

    def cancel(self, charge: str, **body: Any) -> Reply:
        return self.post(cancel.handler, body, id=charge)

    def refund(self, charge: str, **body: Any) -> Reply:
        return self.post(create_refund.handler, {"charge": charge, **body})

    def answer(self, dispute: str, text: str, *, submit: bool = True, **body: Any) -> Reply:
        return self.post(evidence.handler, {"text": text, "submit": submit, **body}, id=dispute)

    def accept(self, dispute: str) -> Reply:
        return self.post(accept.handler, {}, id=dispute)

    def again(self, verb: str, body: Any, key: str, charge: str) -> Reply:
        """Send a capture or a cancellation under a key, to a platform that forgot its answers."""
        self.here.forget_answers()
        route = {"capture": capture.handler, "cancel": cancel.handler}[verb]
        return self.post(route, body, key, id=charge)

    def payer(self, charge: str, *, approve: bool) -> None:
        """Answer the acquirer in the payer's place."""
        self.here.payer_answers(charge, approve=approve)

    def see(self, name: str) -> Any:
        """Return an object as its merchant sees it."""
        reply = self.here.get(GETS[name.partition("_")[0]], self.account, id=name)
        assert reply.status == 200, reply.body
        return reply.json()

    def disputed(self, **fields: Any) -> str:
        """Make a charge that is disputed at once, and return the name of the dispute."""
        charge = self.charge(payment_method="tok_dispute", **fields)
        self.here.run(collect.handler)
        return self.dispute_of(charge)

    def dispute_of(self, charge: str) -> str:
        query = {"charge": charge}
        found = self.here.get(list_disputes.handler, self.account, query).json()["data"]
        return str(found[0]["id"])

    # -- the platform

    def deliver(self, queue: str, *bodies: str) -> list[str]:
        """Hand messages over; returns those that it failed on."""
        return self.here.hand_over(CONSUMERS[queue], *bodies)

    def run(self, job: str) -> Any:
        """Run a job by its name."""
        return self.here.run(JOBS[job])

    def owed(self, name: str) -> tuple[str, str] | None:
        """Return the queue of what is promised about an object, and its message."""
        row = self.here.connection.execute(
            "SELECT id, queue, merchant_id, livemode, correlation FROM outbox WHERE subject = %s",
            (name.partition("_")[2],),
        ).fetchone()
        if row is None:
            return None
        task, queue, merchant, livemode, correlation = row
        subject = UUID(hex=name.partition("_")[2])
        return queue, Task(task, queue, Tenant(merchant, livemode), subject, correlation).message()

    def work(self) -> None:
        """Deliver everything that is in the queues."""
        while sum([self._deliver(queue) for queue in CONSUMERS]):
            pass

    def _deliver(self, queue: str) -> bool:
        bodies = self.here.pocket.take(queue)
        if bodies:
            assert self.here.hand_over(CONSUMERS[queue], *bodies) == []
        return bool(bodies)

    def settle(self) -> None:
        """Close every day that has come."""
        self.here.settle()

    def pass_time(self, **duration: float) -> None:
        self.here.clock.set(self.here.clock.at + timedelta(**duration))

    def go_on(self) -> None:
        """Let the schedules run once, and let everything be done that they find."""
        for job in (relay.handler, expire.handler, lapse.handler):
            self.here.run(job)
            self.work()
        self.here.run(collect.handler)
        self.work()
