"""Files from banks: once by their content, whole or not at all, and only about what is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from functions.bank import resolve, simulated, suspense
from functions.outbox import relay
from functions.payouts import submit
from ivy import bank_exchange, bank_files, bank_lines, ids
from ivy.bank_files import bai2, camt053, nacha_returns, pain002
from ivy.bank_files.nacha_returns import ReturnedEntry, ReturnFile
from ivy.bank_files.statements import Statement, StatementLine
from ivy.database import Database
from ivy.serve.schedules import JobError
from tests.bank.exchange import EXECUTED, Exchange
from tests.driving import LambdaContext

DAY = date(2026, 11, 30)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
IBAN = "DE75512108001245126199"
STRANGER = "po_019ac2c9b1c27d3e8f4a5b6c7d8e9f02"


@pytest.fixture
def payout(exchange: Exchange) -> str:
    """A payout in USD that the bank was told of."""
    exchange.earn()
    made = exchange.pay(exchange.linked())
    exchange.submit()
    return made


@pytest.fixture
def euros(exchange: Exchange) -> str:
    """A payout in EUR that the bank was told of."""
    exchange.earn("EUR")
    made = exchange.pay(exchange.linked("DE89370400440532013000"), currency="EUR")
    exchange.submit()
    return made


def trace(exchange: Exchange, payout: str) -> int:
    ((found,),) = exchange.rows(
        "SELECT trace FROM payouts WHERE id = %s::uuid", payout.partition("_")[2]
    )
    return int(found)


def returned(exchange: Exchange, payout: str, code: str = "R02", **changed: Any) -> bytes:
    entry = ReturnedEntry(
        code=code,
        original_trace=f"11000000{trace(exchange, payout):07d}",
        amount_minor=1_000,
        account_number="000123456789",
        receiver_bank="11000000",
        name="ANALYTICAL ENGINES",
        company_id="IVYTEST001",
    )
    file = ReturnFile("110000000", "110000000", NOON, DAY, "A", (replace(entry, **changed),))
    return nacha_returns.write(file)


def stated(*lines: StatementLine, account: str = "900000000001", number: int = 7) -> bytes:
    total = sum(each.amount_minor for each in lines)
    statement = Statement(account, "USD", "", DAY, 0, total, lines)
    return bai2.write([statement], sender="BANK", receiver="IVY", created_at=NOON, number=number)


def line(amount: int, reference: str | None) -> StatementLine:
    return StatementLine(amount, DAY, "REF", reference, "A LINE")


def file_of(exchange: Exchange) -> str:
    ((found,),) = exchange.rows("SELECT id FROM bank_files")
    return ids.Prefix("bf").write(found)


def test_the_same_content_twice_has_no_effect(exchange: Exchange, payout: str) -> None:
    content = stated(line(-1_000, payout))
    assert exchange.give("monday.bai2", content)["promised"] == 1
    assert exchange.give("again under another name.bai2", content)["promised"] == 0
    assert exchange.give("monday.bai2", content)["taken"] == 1
    assert exchange.status(payout) == "paid"
    assert exchange.postings(payout) == [40, 41]
    assert [row[4:6] for row in exchange.receipts()] == [(1, 1)]
    assert exchange.rows("SELECT count(*) FROM bank_lines") == [(1,)]
    assert exchange.files("bank/in/") == {}
    assert set(exchange.files("bank/archive/").values()) == {content}


def test_a_statement_in_another_file_is_taken_once(exchange: Exchange, payout: str) -> None:
    exchange.give("a.bai2", stated(line(-1_000, payout)))
    exchange.give("b.bai2", stated(line(-1_000, payout)).replace(b",1200,", b",1201,"))
    assert [status for _, status, *_ in exchange.receipts()] == ["accepted"] * 2
    assert exchange.rows("SELECT count(*) FROM bank_lines") == [(1,)]
    exchange.give("c.bai2", stated(line(-1_001, None)))
    assert exchange.receipts()[-1][1:4] == ("rejected", 3, "contradicts what was stated before")
    assert exchange.rows("SELECT count(*) FROM bank_lines") == [(1,)]


@pytest.mark.parametrize("broken", ["cut", "changed", "strange", "empty"])
def test_a_malformed_file_is_rejected_whole(exchange: Exchange, payout: str, broken: str) -> None:
    content = stated(line(-1_000, payout), line(500, None))
    given = {
        "cut": content[: len(content) // 2],
        "changed": content.replace(b"-1000", b"-1001").replace(b",1000,", b",1001,"),
        "strange": b"Dear Ivy, we have paid.",
        "empty": b"",
    }[broken]
    report = exchange.give(f"{broken}.bai2", given)
    assert (report["taken"], report["promised"]) == (1, 0)
    ((kind, status, at, reason, answers, lines, _),) = exchange.receipts()
    assert (kind, status, answers, lines) == (None, "rejected", 0, 0)
    assert at is not None
    assert reason
    assert exchange.status(payout) == "in_transit"
    assert exchange.rows("SELECT count(*) FROM bank_lines") == [(0,)]
    assert exchange.files("bank/in/") == {}
    assert list(exchange.files("bank/archive/").values()) == [given]
    exchange.give("whole.bai2", content)
    assert exchange.status(payout) == "paid"


def test_a_rejected_file_may_be_put_again(
    exchange: Exchange, payout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its reader has learnt the dialect."""
    content = stated(line(-1_000, payout))
    with monkeypatch.context() as patched:
        patched.setattr(bai2, "parse", _refuse)
        exchange.give("dialect.bai2", content)
    assert exchange.receipts()[0][1] == "rejected"
    exchange.give("dialect.bai2", content)
    assert [status for _, status, *_ in exchange.receipts()] == ["accepted"]
    assert exchange.status(payout) == "paid"


def _refuse(_: bytes) -> None:
    raise bank_files.BankFileError(3, "a dialect")


def test_a_file_that_is_too_long_is_not_read(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_exchange, "MAX_FILE_BYTES", 10)
    exchange.give("long.bai2", b"x" * 11)
    ((_, status, _, reason, *_),) = exchange.receipts()
    assert (status, reason) == ("rejected", f"longer than {bank_files.MAX_FILE_BYTES} bytes")
    assert exchange.files("bank/in/") == {}


def test_an_ach_return_of_another_amount_does_nothing(exchange: Exchange, payout: str) -> None:
    exchange.give("r.ach", returned(exchange, payout, amount_minor=999))
    ((kind, status, _, _, answers, _, unmatched),) = exchange.receipts()
    assert (kind, status, answers) == ("nacha_returns", "accepted", 0)
    assert [each["reason"] for each in unmatched] == ["another amount than the order's"]
    assert exchange.status(payout) == "in_transit"
    exchange.give("right.ach", returned(exchange, payout))
    assert exchange.seen(payout)["failure_code"] == "account_closed"


def test_what_is_said_of_a_payout_that_is_not_ours(exchange: Exchange, payout: str) -> None:
    exchange.give("r.ach", returned(exchange, payout, original_trace="110000009999999"))
    report = pain002.Report("M", NOON, file_of(exchange), "RJCT", "FF01", (
        pain002.Transfer(STRANGER, "RJCT", "AC04"),
    ))  # fmt: skip
    exchange.give("s.xml", pain002.write(report))
    exchange.give("t.bai2", stated(line(-1_000, STRANGER), line(1_700, "SOMEBODY")))
    reasons = [[each["reason"] for each in row[-1]] for row in exchange.receipts()]
    assert reasons == [["no order of ours"]] * 3
    assert exchange.status(payout) == "in_transit"
    assert exchange.rows("SELECT amount FROM bank_lines WHERE payout_id IS NULL ORDER BY 1") == [
        (-1_000,), (1_700,),
    ]  # fmt: skip


def test_a_debit_of_another_amount_is_no_payment(exchange: Exchange, payout: str) -> None:
    exchange.give("t.bai2", stated(line(-999, payout), line(999, "OURS")))
    assert exchange.status(payout) == "in_transit"
    assert exchange.rows("SELECT payout_id, outcome FROM bank_lines") == [(None, "suspense")] * 2


def test_a_line_in_another_currency_is_not_about_a_payout(exchange: Exchange, euros: str) -> None:
    """Somebody pays dollars under the name of a payout in euros, of the same number of cents."""
    exchange.give("dollars.bai2", stated(line(-1_000, euros), line(1_000, "OURS")))
    assert exchange.status(euros) == "in_transit"
    ((_, status, _, _, answers, _, unmatched),) = exchange.receipts()
    assert (status, answers) == ("accepted", 0)
    assert [each["reason"] for each in unmatched] == ["no order of ours"]


def test_a_statement_of_an_account_that_is_not_ours(exchange: Exchange, payout: str) -> None:
    exchange.give("t.bai2", stated(line(-1_000, payout), account="900000000002"))
    ((_, status, at, reason, *_),) = exchange.receipts()
    assert (status, at, reason) == ("rejected", 3, "a statement of an account that is not ours")
    assert exchange.status(payout) == "in_transit"


def test_an_answer_of_the_other_mode_is_about_nothing(exchange: Exchange, payout: str) -> None:
    exchange.give("r.ach", returned(exchange, payout), mode="live")
    exchange.give("t.bai2", stated(line(-1_000, payout)), mode="live")
    assert exchange.status(payout) == "in_transit"
    assert [status for _, status, *_ in exchange.receipts()] == ["accepted", "rejected"]


def test_a_file_rejected_as_a_whole_fails_every_payout(exchange: Exchange, euros: str) -> None:
    report = pain002.Report("M", NOON, file_of(exchange), "RJCT", "FF01")
    exchange.give("r.xml", pain002.write(report))
    found = exchange.seen(euros)
    assert (found["status"], found["failure_code"]) == ("failed", "file_rejected")
    assert exchange.postings(euros) == [40, 42]


def test_a_report_on_another_file_is_not_believed(exchange: Exchange, euros: str) -> None:
    other = "bf_019ac2c9b1c27d3e8f4a5b6c7d8e9f02"
    rejected = pain002.Transfer(euros, "RJCT", "AC04")
    exchange.give("r.xml", pain002.write(pain002.Report("M", NOON, other, None, None, (rejected,))))
    assert exchange.status(euros) == "in_transit"


def test_what_is_settled_is_paid_and_may_come_back(exchange: Exchange, euros: str) -> None:
    settled = pain002.Transfer(euros, "ACSC")
    report = pain002.Report("M", NOON, file_of(exchange), None, None, (settled,))
    exchange.give("r.xml", pain002.write(report))
    assert exchange.status(euros) == "paid"
    lines = (StatementLine(1_000, DAY, "B", euros, "RETURN AC04"),)
    statement = Statement(IBAN, "EUR", "S1", DAY, 0, 1_000, lines)
    content = camt053.write([statement], message_id="C", created_at=NOON)
    exchange.give("c.xml", content)
    found = exchange.seen(euros)
    assert (found["status"], found["failure_code"]) == ("returned", "account_closed")
    assert exchange.postings(euros) == [40, 41, 43]


def reported(exchange: Exchange, payout: str, status: str, reason: str | None = None) -> bytes:
    transfers = (pain002.Transfer(payout, status, reason),)
    return pain002.write(
        pain002.Report(f"M{status}", NOON, file_of(exchange), None, None, transfers)
    )


def euros_stated(*lines: StatementLine, name: str = "S1") -> bytes:
    total = sum(each.amount_minor for each in lines)
    statement = Statement(IBAN, "EUR", name, DAY, 0, total, lines)
    return camt053.write([statement], message_id=f"C{name}", created_at=NOON)


def available(exchange: Exchange) -> int:
    ((found,),) = exchange.rows(
        "SELECT -sum(amount)::bigint FROM entries WHERE mod(account, 1000) = 220"
    )
    return int(found)


def refused_late(exchange: Exchange) -> list[dict[str, Any]]:
    exchange.here.platform.enter(suspense.handler.needs)
    return list(suspense.handler({}, LambdaContext())["refused"])


def test_a_refusal_after_it_was_paid_waits_for_the_money(exchange: Exchange, euros: str) -> None:
    exchange.give("paid.xml", reported(exchange, euros, "ACSC"))
    before = available(exchange)
    exchange.give("refused.xml", reported(exchange, euros, "RJCT", "AC04"))
    assert exchange.receive()["promised"] == 0
    assert (exchange.status(euros), available(exchange)) == ("paid", before)
    (waits,) = refused_late(exchange)
    assert (waits["payout"], waits["amount"], waits["file"]) == (euros, 1_000, "refused.xml")
    exchange.rows(
        "UPDATE bank_answers SET created_at = created_at - interval '3 days' WHERE unstated"
        " RETURNING id"
    )
    with Database(exchange.here.platform.store.url("ivy_jobs")).transaction() as tx:
        assert 3 <= bank_lines.oldest_open_days(tx) < 4
    came = StatementLine(1_000, DAY, "B", euros, "RETURN")
    exchange.give("c.xml", euros_stated(StatementLine(-1_000, DAY, "B", euros, "OUT"), came))
    exchange.receive()
    found = exchange.seen(euros)
    assert (found["status"], found["failure_code"]) == ("returned", "account_closed")
    assert available(exchange) == before + 1_000
    assert exchange.postings(euros) == [40, 41, 43]
    assert exchange.rows("SELECT DISTINCT outcome FROM bank_lines") == [("payout",)]
    assert refused_late(exchange) == []


def test_paid_and_refused_at_once_waits_too(exchange: Exchange, euros: str) -> None:
    """Both are heard before either is carried out."""
    for name, status in (("a.xml", "ACSC"), ("b.xml", "RJCT")):
        key = f"bank/in/test/{name}"
        content = reported(exchange, euros, status, "AC04" if status == "RJCT" else None)
        exchange.s3.put_object(Bucket=exchange.bucket, Key=key, Body=content)
    exchange.receive()
    assert exchange.status(euros) == "paid"
    assert [each["payout"] for each in refused_late(exchange)] == [euros]


def test_money_that_names_nothing_is_given_to_the_payout_that_waits(
    exchange: Exchange, euros: str
) -> None:
    exchange.give("paid.xml", reported(exchange, euros, "ACSC"))
    exchange.give("refused.xml", reported(exchange, euros, "RJCT", "AC04"))
    exchange.give("c.xml", euros_stated(StatementLine(1_000, DAY, "B", None, "RETURN")))
    assert exchange.status(euros) == "paid"
    ((item,),) = exchange.rows("SELECT id FROM suspense_items")
    exchange.here.platform.enter(resolve.handler.needs)
    said = {"resolved_as": "payout", "payout": euros, "by": "grace", "reason": "they said so"}
    answer = resolve.handler({"item": ids.Prefix("sus").write(item), **said}, LambdaContext())
    assert answer["changed"], answer
    exchange.receive()
    exchange.receive()
    found = exchange.seen(euros)
    assert (found["status"], found["failure_code"]) == ("returned", "account_closed")
    assert exchange.rows("SELECT outcome FROM bank_lines") == [("payout",)]


def test_a_return_that_overtakes_the_debit(exchange: Exchange, payout: str) -> None:
    """As far as the books know the money never left: a debit told of later is no payment."""
    exchange.give("r.ach", returned(exchange, payout))
    exchange.give("t.bai2", stated(line(-1_000, payout), line(1_000, payout)))
    assert exchange.status(payout) == "failed"
    assert exchange.postings(payout) == [40, 42]
    assert exchange.rows("SELECT count(*) FROM bank_lines WHERE payout_id IS NULL") == [(0,)]


def test_an_answer_before_it_is_noted_that_the_bank_was_told(exchange: Exchange) -> None:
    exchange.earn()
    payout = exchange.pay(exchange.linked("000123000002"))
    exchange.here.run(submit.handler)
    exchange.here.pocket.take("payouts")
    exchange.bank()
    assert exchange.bank(EXECUTED)["given"] == 1
    assert exchange.status(payout) == "pending"
    exchange.here.platform.make_overdue()
    exchange.here.run(relay.handler)
    exchange.process()
    assert exchange.status(payout) == "paid"


def test_an_answer_to_a_file_that_is_not_noted_as_sent(exchange: Exchange) -> None:
    """The bank has the file, and whoever put it died before saying so."""
    exchange.earn()
    payout = exchange.pay(exchange.linked())
    with exchange.here.dying_at("payouts.submit.after_put"), pytest.raises(JobError):
        exchange.here.run(submit.handler)
    exchange.till.be(EXECUTED)
    exchange.here.run(simulated.handler)
    assert exchange.receive() == {"taken": 1, "failed": 0, "promised": 0, "sent": 0}
    assert exchange.status(payout) == "pending"
    exchange.submit()
    assert exchange.status(payout) == "paid"
    assert exchange.receive()["promised"] == 0
