"""A merchant whose balance goes below zero, and the operators who look after it."""

from __future__ import annotations

from typing import Any

from functions.ledger import roll_up
from functions.recoveries import approve, propose, report, watch
from ivy.serve.declaration import Command
from tests.driving import LambdaContext
from tests.settlement.till import Till

FEE = 320
NET = 10_000 - FEE
DISPUTED = 10_000 + 1_500
"""What a dispute of a charge takes, with its fee."""


class Debtor(Till):
    """A till that can owe."""

    def watch(self) -> dict[str, Any]:
        """Let a minute's schedules pass: the roll-up, then the watch over balances."""
        self.here.run(roll_up.handler)
        return self.here.run(watch.handler)

    def later(self, at: str) -> dict[str, Any]:
        """Settle and watch at a time."""
        self.be(at)
        self.here.settle()
        return self.watch()

    def owe(self) -> None:
        """Go below zero: a charge is disputed before it is settled, and the dispute is given up."""
        self.accept(self.disputed())
        self.work()

    def command(self, command: Command, **said: Any) -> dict[str, Any]:
        self.here.platform.enter(command.needs)
        answer: dict[str, Any] = command(said, LambdaContext())
        return answer

    def debts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.command(report.handler)["data"]
        return [each for each in found if each["account"] == self.name]

    @property
    def name(self) -> str:
        return f"{self.account.merchant_id}-test"

    def propose(self, by: str = "grace", reason: str = "insolvent") -> dict[str, Any]:
        return self.command(
            propose.handler, account=self.name, recovery=self.recovery(), by=by, reason=reason
        )

    def approve(self, by: str = "mary", **said: str) -> dict[str, Any]:
        named = {"account": self.name, "recovery": said.get("recovery") or self.recovery()}
        return self.command(approve.handler, by=by, **(named | said))

    def recovery(self) -> str:
        """Return the name of the newest recovery."""
        ((found,),) = self.here.connection.execute(
            "SELECT 'rcv_' || replace(id::text, '-', '') FROM recoveries WHERE merchant_id = %s"
            " ORDER BY id DESC LIMIT 1",
            (self.account.merchant_id,),
        ).fetchall()
        return str(found)

    def recoveries(self) -> list[tuple[Any, ...]]:
        return self.here.connection.execute(
            "SELECT status, amount, written_off FROM recoveries WHERE merchant_id = %s ORDER BY id",
            (self.account.merchant_id,),
        ).fetchall()

    def available(self) -> int:
        return self.balance()[1]

    def crossings(self) -> list[tuple[str, int]]:
        """Return what was told of the balance, in order."""
        return [(each["type"], each["data"]["available"]) for each in self.told("balance")]
