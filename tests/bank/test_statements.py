"""Statements that banks should not have sent, and many of them: none holds another up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from functions.ledger import roll_up
from ivy import bank_exchange, bank_statements, documents
from ivy.bank_files import bai2, camt053
from ivy.bank_files.statements import Statement, StatementLine
from tests.bank.exchange import Exchange

DAY = date(2026, 11, 30)
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
OURS = "900000000001"
IBAN = "DE75512108001245126199"


def line(amount: int, on: date = DAY) -> StatementLine:
    return StatementLine(amount, on, "REF", None, "A LINE")


def of_dollars(*lines: StatementLine, number: int = 7, opening: int = 0) -> bytes:
    total = opening + sum(each.amount_minor for each in lines)
    statement = Statement(OURS, "USD", "", DAY, opening, total, lines)
    return bai2.write([statement], sender="BANK", receiver="IVY", created_at=NOON, number=number)


def of_euros(*statements: Statement) -> bytes:
    return camt053.write(list(statements), message_id="M-1", created_at=NOON)


def euros(*lines: StatementLine, name: str = "S-1", on: date = DAY) -> Statement:
    return Statement(IBAN, "EUR", name, on, 0, sum(each.amount_minor for each in lines), lines)


def stated(exchange: Exchange) -> list[int]:
    return [amount for (amount,) in exchange.rows("SELECT amount FROM bank_lines ORDER BY id")]


def test_a_line_of_nothing_moves_nothing(exchange: Exchange) -> None:
    assert exchange.give("a.bai2", of_dollars(line(0), line(500)))["failed"] == 0
    assert stated(exchange) == [500]
    assert exchange.rows("SELECT lines FROM bank_statements") == [(2,)]
    exchange.give("b.bai2", of_dollars(line(0), line(500)).replace(b",1200,", b",1201,"))
    assert [status for _, status, *_ in exchange.receipts()] == ["accepted"] * 2
    assert stated(exchange) == [500]


def test_the_same_statement_twice_in_a_file_is_taken_once(exchange: Exchange) -> None:
    assert exchange.give("a.xml", of_euros(euros(line(500)), euros(line(500))))["failed"] == 0
    assert stated(exchange) == [500]
    other = of_euros(euros(line(1), name="S-2"), euros(line(2), name="S-2"))
    exchange.give("b.xml", other)
    assert exchange.receipts()[-1][3] == "contradicts what was stated before"
    assert stated(exchange) == [500]


@pytest.mark.parametrize(
    "again",
    [
        of_dollars(line(500), opening=999),
        of_dollars(line(500), line(1)),
        of_dollars(line(501)),
        of_dollars(replace(line(500), end_to_end_id="OTHER")),
        of_dollars(),
    ],
)
def test_a_statement_told_again_otherwise_is_a_contradiction(
    exchange: Exchange, again: bytes
) -> None:
    exchange.give("a.bai2", of_dollars(line(500)))
    exchange.give("b.bai2", again)
    assert exchange.receipts()[-1][3] == "contradicts what was stated before"
    assert stated(exchange) == [500]


def test_an_empty_statement_is_told_once_too(exchange: Exchange) -> None:
    exchange.give("a.bai2", of_dollars())
    exchange.give("b.bai2", of_dollars(line(100), opening=400))
    assert exchange.receipts()[-1][3] == "contradicts what was stated before"
    assert stated(exchange) == []


@pytest.mark.parametrize(
    "statement",
    [
        euros(line(10**13 + 1)),
        euros(line(-(10**13) - 1)),
        euros(line(5, date(9999, 12, 31))),
        euros(line(5, date(1, 1, 1))),
        euros(line(5), on=date(2100, 1, 1)),
        replace(euros(), opening_minor=10**17 + 1, closing_minor=10**17 + 1),
    ],
)
def test_what_nobody_can_mean_is_rejected(exchange: Exchange, statement: Statement) -> None:
    given = exchange.give("a.xml", of_euros(statement))
    assert (given["taken"], given["failed"]) == (1, 0)
    (((_, status, _, reason, *_),)) = exchange.receipts()
    assert status == "rejected"
    assert "meant" in reason or "this century" in reason
    assert stated(exchange) == []


def test_the_largest_that_is_believed_can_be_rolled_up(exchange: Exchange) -> None:
    for number in range(3):
        lines = [line(bank_statements.MAX_LINE_MINOR)] * 100
        exchange.give(f"{number}.bai2", of_dollars(*lines, number=number + 1))
    exchange.here.run(roll_up.handler)
    assert len(stated(exchange)) == 300


def test_a_long_statement_is_taken_in_and_a_longer_one_is_rejected(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exchange.give("a.bai2", of_dollars(*[line(7)] * 3_000))["taken"] == 1
    assert stated(exchange) == [7] * 3_000
    monkeypatch.setattr(bank_statements, "MAX_LINES", 3_000)
    exchange.give("b.bai2", of_dollars(*[line(7)] * 3_001, number=8))
    reason = "its statements have more than 3,000 lines: let the bank split it"
    assert exchange.receipts()[-1][1:4] == ("rejected", None, reason)


def test_files_that_cannot_be_taken_in_hold_no_other_up(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_exchange, "MAX_FILES", 2)
    read = documents.read

    def fails(key: str) -> bytes:
        if "stuck" in key:
            raise RuntimeError("cannot be read")
        return read(key)

    monkeypatch.setattr(documents, "read", fails)
    for number in range(4):
        key = f"bank/in/test/0-stuck-{number}.bai2"
        exchange.s3.put_object(Bucket=exchange.bucket, Key=key, Body=b"?")
    given = exchange.give("9.bai2", of_dollars(line(500)))
    assert (given["taken"], given["failed"]) == (1, 4)
    assert stated(exchange) == [500]


def test_a_file_that_another_has_taken_in_meanwhile_is_done(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone before it is read, and gone before it is moved."""
    every = documents.every
    ghost = documents.Document("bank/in/test/gone.bai2", 5, "etag")
    found = {"bank/in/test/": [ghost]}
    monkeypatch.setattr(documents, "every", lambda p: [*every(p), *found.get(p, [])])
    given = exchange.give("9.bai2", of_dollars(line(500)))
    assert (given["taken"], given["failed"]) == (2, 0)
    documents_moved = exchange.files("bank/archive/")
    documents.move(ghost, "bank/archive/test/gone.bai2")
    assert exchange.files("bank/archive/") == documents_moved
