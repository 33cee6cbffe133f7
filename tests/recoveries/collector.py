"""A merchant who owes and has signed a mandate, its bank, and the operators who collect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from functions.merchants import configure
from functions.recoveries import cancel, debit
from ivy import ids
from ivy.bank_files import bai2
from ivy.bank_files.statements import Statement, StatementLine
from ivy.database import Database, Tenant, Transaction
from tests.bank.exchange import Exchange
from tests.recoveries.debtor import Debtor

Found = TypeVar("Found")

OWED = 1_820
OPENED = "2026-11-30 00:05"
"""A Monday: when the recovery opens, three banking days after the debt."""

EXECUTED = "2026-12-01 09:00"
RETURNED = "2026-12-03 09:00"
IBAN = "DE89370400440532013000"
COLLECTED = ["created", "in_transit", "collected"]
MANDATE = {"reference": "IVY-2026-17", "signed_on": "2026-11-02"}


class Collector(Exchange):
    """A debtor's exchange with the bank."""

    def __init__(self, debtor: Debtor) -> None:
        super().__init__(debtor)
        self.debtor = debtor

    def agree(self, mandate: dict[str, str] | None = MANDATE) -> dict[str, Any]:
        """Record what the merchant has signed, or that it takes it back."""
        ((public,),) = self.rows(
            "SELECT public_id FROM merchants WHERE id = %s", self.debtor.account.merchant_id
        )
        said = {"merchant": f"mer_{public.hex}", "by": "grace", "reason": "signed"}
        return self.debtor.command(configure.handler, **said, debit_mandate=mandate)

    def owe(self, number: str = "000123456789", currency: str = "USD") -> str:
        """Owe, with a recovery that is open and a bank account; returns the account."""
        self.debtor.accept(self.debtor.disputed(currency=currency))
        self.debtor.work()
        self.debtor.watch()
        self.debtor.later(OPENED)
        return self.linked(number)

    def debit(self, **said: Any) -> dict[str, Any]:
        """Ask for a debit of the newest recovery."""
        named = {"account": self.debtor.name, "by": "grace", "reason": "agreed"}
        named |= {"recovery": said.get("recovery") or self.debtor.recovery()}
        return self.debtor.command(debit.handler, **(named | said))

    def cancel(self, **said: Any) -> dict[str, Any]:
        named = {"account": self.debtor.name, "by": "mary", "recovery": self.debtor.recovery()}
        return self.debtor.command(cancel.handler, **(named | said))

    def by_itself(self, work: Callable[[Transaction, Tenant], Found]) -> Found:
        """Do something in a transaction of the merchant's, and return what it returned."""
        tenant = Tenant(self.debtor.account.merchant_id, livemode=False)
        database = Database(self.here.platform.store.url("ivy_app"))
        try:
            with database.transaction(tenant) as tx:
                return work(tx, tenant)
        finally:
            database.close()

    def debits(self) -> list[tuple[str, int, str | None]]:
        return self.rows("SELECT status, amount, failure_code FROM recovery_debits ORDER BY trace")

    def recovery_states(self) -> list[str]:
        return [str(status) for status, *_ in self.debtor.recoveries()]

    def lines(self) -> list[tuple[int, str]]:
        return self.rows("SELECT amount, outcome FROM bank_lines ORDER BY created_at, amount")

    def suspended(self) -> list[tuple[int, str | None]]:
        return self.rows("SELECT amount, resolved_as FROM suspense_items ORDER BY amount, id")

    def told(self) -> list[str]:
        """Return what was told of debits, in order."""
        return [each["type"].partition(".")[2] for each in self.till.told("recovery_debit")]

    def legs(self) -> list[tuple[str, str, int]]:
        return self.rows(
            "SELECT kind, account_name, amount FROM entries WHERE kind LIKE 'debit.%%'"
            " ORDER BY ledger_transaction, amount DESC"
        )

    def lose(self, folder: str, ending: str) -> None:
        """Let files go astray that nobody has read yet."""
        for key in [each for each in self.files(folder) if each.endswith(ending)]:
            self.s3.delete_object(Bucket=self.bucket, Key=key)


def refusal(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["code"] if "errors" in answer else answer["code"])


def stated(*lines: tuple[int, str | None], number: int = 7) -> bytes:
    """Return a statement of lines of ACH, each an amount and what it refers to."""
    booked = [
        StatementLine(amount, ids.now().date(), "REF", reference, "ACH")
        for amount, reference in lines
    ]
    total = sum(line.amount_minor for line in booked)
    statement = Statement(
        account="900000000001", currency="USD", statement_id=f"S{number}", on=booked[0].booked_on,
        opening_minor=10_000, closing_minor=10_000 + total, lines=tuple(booked),
    )  # fmt: skip
    return bai2.write(
        [statement], sender="BANK", receiver="IVY", created_at=ids.now(), number=number
    )
