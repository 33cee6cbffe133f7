"""Payouts on their way to the bank and back, driven through the handlers."""

from __future__ import annotations

from typing import Any

from functions.bank import receive, simulated
from functions.payouts import create, get, process, submit
from ivy.outbox import Task
from tests.bank_accounts import linked
from tests.settlement.till import Till

EARNED = 9_680
EXECUTED = "2026-11-30 09:00"
"""The banking day after the one on which money is available; 27 November is a Friday."""

RETURNED = "2026-12-02 09:00"


class Exchange:
    """A merchant with money, its bank accounts, and the bank."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.here = till.here
        self.s3 = self.here.platform.client("s3")
        self.bucket = self.here.platform.bucket

    # -- the merchant

    def earn(self, currency: str = "USD") -> None:
        self.till.be("2026-11-24 09:00")
        self.till.charge(currency=currency)
        self.till.close("2026-11-27 00:05")
        self.till.be("2026-11-27 09:00")

    def linked(self, number: str = "000123456789", **fields: Any) -> str:
        """Give the merchant a bank account that is payable at once."""
        here = self.here
        return linked(here.platform, here.connection, self.till.account, number, **fields)

    def pay(self, account: str, amount: int = 1_000, currency: str = "USD") -> str:
        body = {"currency": currency, "amount": amount, "bank_account": account}
        made = self.till.post(create.handler, body)
        assert made.status == 201, made.body
        return str(made.json()["id"])

    def seen(self, payout: str) -> Any:
        return self.here.get(get.handler, self.till.account, id=payout).json()

    def status(self, payout: str) -> str:
        return str(self.seen(payout)["status"])

    # -- Ivy

    def submit(self) -> dict[str, Any]:
        report = self.here.run(submit.handler)
        self.process()
        return report

    def receive(self) -> dict[str, Any]:
        report = self.here.run(receive.handler)
        self.process()
        return report

    def process(self) -> None:
        bodies = self.here.pocket.take("payouts")
        assert not bodies or self.here.hand_over(process.handler, *bodies) == [], self.here.failures

    def tasks(self) -> list[Task]:
        return [Task.from_message(body) for body in self.here.pocket.take("payouts")]

    # -- the bank

    def bank(self, at: str | None = None) -> dict[str, Any]:
        """Let the bank work, and Ivy hear it."""
        if at is not None:
            self.till.be(at)
        report = self.here.run(simulated.handler)
        self.receive()
        return report

    def files(self, prefix: str = "bank/out/") -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return {
            each["Key"]: self.s3.get_object(Bucket=self.bucket, Key=each["Key"])["Body"].read()
            for each in listed.get("Contents", ())
        }

    def give(self, name: str, content: bytes, mode: str = "test") -> dict[str, Any]:
        """Put a file as the bank does, and take it in."""
        self.s3.put_object(Bucket=self.bucket, Key=f"bank/in/{mode}/{name}", Body=content)
        return self.receive()

    # -- what is written down

    def rows(self, query: str, *values: Any) -> list[Any]:
        return self.here.connection.execute(query.encode(), values).fetchall()

    def receipts(self) -> list[Any]:
        return self.rows(
            "SELECT kind, status, line, reason, answers, lines, unmatched FROM bank_receipts"
            " ORDER BY ctid"  # as they came: time stands still, and ids of one moment have no order
        )

    def postings(self, payout: str) -> list[int]:
        found = self.rows(
            "SELECT kind FROM journal WHERE source = %s::uuid ORDER BY kind",
            payout.partition("_")[2],
        )
        return [kind for (kind,) in found]
