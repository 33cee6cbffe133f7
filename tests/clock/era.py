"""A merchant whose months pass: by its own test clock, or as the schedules see them pass."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from functions.bank import acquirer, receive, simulated
from functions.bank_accounts import create as create_account
from functions.bank_accounts import get as get_account
from functions.charges import expire
from functions.connectors import collect
from functions.disputes import lapse
from functions.events import list as list_events
from functions.events import sweep as sweep_events
from functions.outbox import relay
from functions.payouts import create as create_payout
from functions.payouts import list as list_payouts
from functions.payouts import make, process, schedule, submit
from functions.reports import make as make_report
from functions.settlements import itemise, settle
from functions.test_clock import advance, bank, get, step, sweep
from tests.bank_accounts import linked
from tests.driving import Reply
from tests.settlement.till import Till
from tests.simulation.shop import CONSUMERS

TURNS = 5_000
QUEUES = {
    "clock": step.handler,
    **CONSUMERS,
    "settlements": settle.handler,
    "scheduled_payouts": make.handler,
    "payouts": process.handler,
    "test_banking": bank.handler,
    "settlement_reports": itemise.handler,
    "reports": make_report.handler,
}
EVERY_HOUR = (relay.handler, expire.handler, lapse.handler, collect.handler, sweep.handler)

BANKING = (
    schedule.handler, acquirer.handler, submit.handler, simulated.handler, receive.handler,
)  # fmt: skip
"""After the day is settled; in the order in which a payout meets them."""


class Era(Till):
    """One of a sandbox's two merchants."""

    def advance(self, **how: Any) -> Reply:
        """Ask for an advance; nothing has moved when it is answered."""
        return self.post(advance.handler, how)

    def clock(self) -> Any:
        return self.here.get(get.handler, self.account).json()

    def go(self, **how: Any) -> None:
        """Advance, and let everybody work until the clock is ready."""
        asked = self.advance(**how)
        assert asked.status == advance.handler.status, asked.body
        self.arrive()
        assert self.clock()["status"] == "ready", self.here.failures

    def arrive(self, *, forgiving: bool = False) -> None:
        """Deliver everything until no queue has a message and nothing waits to be published.

        When ``forgiving``, a message on which somebody dies is lost.
        """
        for _ in range(TURNS):
            handed = [self.hand_over(queue, forgiving=forgiving) for queue in QUEUES]
            self.here.run(sweep_events.handler)
            if not any(handed):
                return
        raise AssertionError("the clock never arrives")

    def hand_over(self, queue: str, *, forgiving: bool = False) -> int:
        """Hand what is in a queue over, each message once; returns how many there were."""
        bodies = list(dict.fromkeys(self.here.pocket.take(queue)))
        for body in bodies:
            failed = self.here.hand_over(QUEUES[queue], body)
            assert forgiving or not failed, self.here.failures
        return len(bodies)

    def live_through(self, **duration: float) -> None:
        """Let the real time pass, two hours at a time, with all that the schedules do."""
        until = self.here.clock.at + timedelta(**duration)
        while self.here.clock.at < until:
            self.here.clock.set(min(self.here.clock.at + timedelta(hours=2), until))
            for job in EVERY_HOUR:
                self.here.run(job)
                self.arrive()
            self.here.settle()
            self.arrive()
            for job in BANKING:
                self.here.run(job)
                self.arrive()

    def linked(self, number: str) -> str:
        """Add a bank account that is payable at once, and return its id."""
        return linked(self.here.platform, self.here.connection, self.account, number)

    def unverified(self, number: str) -> str:
        """Add a bank account in USD that waits for its two amounts, and return its id."""
        body = {"account_number": number, "routing_number": "110000000", "country": "US"}
        body |= {"account_holder_name": "Analytical Engines", "currency": "USD"}
        made = self.post(create_account.handler, body)
        assert made.status == 201, made.body
        return str(made.json()["id"])

    def bank_account(self, account: str) -> Any:
        return self.here.get(get_account.handler, self.account, id=account).json()

    def withdraw(self, account: str, amount: int, currency: str = "USD") -> str:
        """Ask for a payout, and return its id."""
        body = {"currency": currency, "amount": amount, "bank_account": account}
        made = self.post(create_payout.handler, body)
        assert made.status == 201, made.body
        return str(made.json()["id"])

    def payouts(self) -> list[tuple[str, str, int, str]]:
        """Return what became of each payout: status, currency, amount, day of arrival."""
        found: list[dict[str, Any]] = []
        query = {"limit": "100"}
        while True:
            page = self.here.get(list_payouts.handler, self.account, query).json()
            found += page["data"]
            if not page["has_more"]:
                columns = ("status", "currency", "amount", "arrives_on")
                return sorted(tuple(each[name] for name in columns) for each in found)
            query["cursor"] = page["next_cursor"]

    def events(self) -> list[tuple[str, datetime]]:
        """Return the type and time of each event, in the order of their numbers."""
        found: list[tuple[str, datetime]] = []
        sequence = 0
        while True:
            query = {"after_sequence": str(sequence), "limit": "100"}
            page = self.here.get(list_events.handler, self.account, query).json()
            found += [(e["type"], datetime.fromisoformat(e["created_at"])) for e in page["data"]]
            if not page["has_more"]:
                return found
            sequence = page["data"][-1]["sequence"]

    def received(self) -> list[tuple[str, int, str, str | None]]:
        """Return what the acquirer said that it pays: currency, net, day, and how it came."""
        rows: list[tuple[str, int, str, str | None]] = self.here.connection.execute(
            "SELECT currency, net, expected_on::text, received_as FROM acquirer_settlements"
            " WHERE merchant_id = %s ORDER BY expected_on, currency",
            (self.account.merchant_id,),
        ).fetchall()
        return rows

    def books(self, *, ours: bool = False) -> list[tuple[Any, ...]]:
        """Return every entry: account, kind of posting, value date, amount; or those of ours."""
        rows: list[tuple[Any, ...]] = self.here.connection.execute(
            """
            SELECT leg.account, journal.kind, journal.value_on, leg.amount
            FROM journal CROSS JOIN LATERAL (
                VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) AS leg (account, amount)
            WHERE owner = %s AND leg.account IS NOT NULL
            ORDER BY journal.value_on, journal.kind, leg.account, leg.amount
            """,
            (0 if ours else self.account.merchant_id,),
        ).fetchall()
        return rows
