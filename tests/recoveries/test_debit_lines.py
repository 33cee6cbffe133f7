"""Recovery debits on statements: which line is one, and what a bank says of it twice."""

from __future__ import annotations

from typing import Any

import pytest

from functions.bank import resolve, simulated
from functions.bank import suspense as show
from ivy import ids
from ivy.bank_files.statements import StatementLine
from tests.bank.test_receiving import euros_stated, reported
from tests.recoveries.collector import EXECUTED, IBAN, OWED, RETURNED, Collector, refusal, stated


def test_a_return_on_a_statement_waits_in_suspense_for_its_file(collector: Collector) -> None:
    collector.owe("000123000002")
    made = collector.debit()
    collector.submit()
    collector.bank(EXECUTED)
    collector.receive()
    collector.give("early.bai2", stated((-OWED, made["id"])))
    assert collector.suspended() == [(-OWED, None)]
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    collector.lose("bank/in/", ".bai2")
    collector.receive()
    collector.receive()
    assert collector.debits()[0][0] == "returned"
    assert collector.suspended() == [(-OWED, "debit")]
    assert collector.lines()[-1][1] in {"debit", "deposit"}


def test_one_that_failed_takes_no_line(collector: Collector) -> None:
    """The bank refused it, and then says that it has the money: it gives that back, or it stays."""
    collector.owe("000123000002")
    made = collector.debit()
    collector.submit()
    collector.till.be(RETURNED)
    collector.here.run(simulated.handler)
    collector.lose("bank/in/", ".bai2")
    collector.receive()
    assert collector.debits()[0][0] == "failed"
    collector.give("late.bai2", stated((OWED, made["id"])))
    assert collector.suspended() == [(OWED, None)]
    collector.give("back.bai2", stated((-OWED, made["id"]), number=8))
    assert collector.suspended() == [(-OWED, "opposite"), (OWED, "opposite")]


@pytest.mark.parametrize("together", [False, True])
def test_a_refusal_after_it_was_collected_waits_for_the_money(
    collector: Collector, *, together: bool
) -> None:
    collector.owe(IBAN, "EUR")
    owed = -collector.debtor.balance("EUR")[1]
    made = collector.debit()
    collector.submit()
    said = {"paid.xml": ("ACSC", None), "refused.xml": ("RJCT", "AC04")}
    for name, (status, reason) in said.items():
        content = reported(collector, made["id"], status, reason)
        if together:  # both are heard before either is carried out
            key = f"bank/in/test/{name}"
            collector.s3.put_object(Bucket=collector.bucket, Key=key, Body=content)
        else:
            collector.give(name, content)
    collector.receive()
    assert collector.receive()["promised"] == 0
    assert collector.debits() == [("collected", owed, None)]
    refused = collector.debtor.command(show.handler)["refused"]
    assert [(each["payout"], each["debit"]) for each in refused] == [(None, made["id"])]
    for number, amount in enumerate((owed, -owed)):
        line = StatementLine(amount, ids.now().date(), "B", made["id"], "SDD")
        collector.give(f"{number}.xml", euros_stated(line, name=f"S{number}"))
        collector.receive()
        assert collector.debits()[0][0] == ("collected" if number == 0 else "returned")
    assert collector.debits() == [("returned", owed, "account_closed")]
    assert [outcome for _, outcome in collector.lines()] == ["debit", "debit"]
    assert collector.debtor.command(show.handler)["refused"] == []


def test_an_operator_gives_a_debit_its_line(collector: Collector) -> None:
    collector.owe()
    made = collector.debit()
    collector.submit()
    collector.give("cut.bai2", stated((OWED, "rd_cut"), (-5, None)))
    by_amount = {
        each["amount"]: each["id"] for each in collector.debtor.command(show.handler)["data"]
    }

    def explain(amount: int, **said: Any) -> dict[str, Any]:
        named = {"item": by_amount[amount], "by": "grace", "reason": "seen"}
        return collector.debtor.command(resolve.handler, **(named | said))

    assert refusal(explain(OWED, resolved_as="debit")) == "missing"
    assert refusal(explain(OWED, resolved_as="payout", debit=made["id"])) == "not_wanted"
    assert refusal(explain(-5, resolved_as="debit", debit=made["id"])) == "other_amount"
    assert explain(OWED, resolved_as="debit", debit=made["id"])["changed"]
    assert explain(OWED, resolved_as="debit", debit=made["id"])["changed"] is False
    collector.receive()
    collector.receive()
    assert collector.debits()[0][0] == "collected"
    assert (OWED, "debit") in collector.lines()
    assert explain(-5, resolved_as="loss")["changed"]
