from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from bai2 import bai2 as judge
from hypothesis import given

from ivy.bank_files import BankFileError, bai2
from ivy.bank_files.statements import Statement
from tests.unit.bank_files.samples import AT, DAY, payout, statement, statements


def write(*drawn: Statement) -> bytes:
    return bai2.write(drawn, sender="BANK", receiver="IVY", created_at=AT, number=3)


def named(drawn: Sequence[Statement]) -> list[Statement]:
    """The statements with the ids that a file gives them."""
    return [
        replace(each, statement_id=f"BANK-261125-3-{number}")
        for number, each in enumerate(drawn, 1)
    ]


@given(statements())
def test_statements_come_back_as_they_were_written(drawn: list[Statement]) -> None:
    assert list(bai2.parse(write(*drawn))) == named(drawn)


@given(statements())
def test_a_parser_of_others_reads_the_same(drawn: list[Statement]) -> None:
    found = judge.parse_from_string(write(*drawn).decode())
    accounts = [account for group in found.children for account in group.children]
    for account, expected in zip(accounts, drawn, strict=True):
        assert account.header.customer_account_number == expected.account
        assert account.header.currency == expected.currency
        assert [(each.type_code.code, each.amount) for each in account.header.summary_items] == [
            ("010", expected.opening_minor),
            ("015", expected.closing_minor),
        ]
        for line, detail in zip(expected.lines, account.children, strict=True):
            sign = 1 if detail.type_code.transaction.value == "credit" else -1
            assert detail.amount * sign == line.amount_minor
            assert (detail.bank_reference or "") == line.bank_reference
            assert detail.customer_reference == line.end_to_end_id
            assert (detail.text or "") == line.description


def test_a_file_is_read_as_banks_write_it() -> None:
    content = b"""01,021000021,IVY,261128,0600,77,80,,2/
02,IVY,021000021,1,261127,2400,USD,2/
03,99887766,,010,+100000,,,015,90500,,,040,-5,,/
88,045,7,,S,1,2,3,100,0,,D,2,0,5,1,5/
16,451,10000,V,261127,,REF1,po_1,FIRST LINE, WITH COMMA/
88,THEN MORE TEXT
16,165,500,D,2,0,250,1,250,REF2,,/
49,201002,6/
98,201002,1,8/
99,201002,1,10/
"""
    (found,) = bai2.parse(content.replace(b"\n", b"   \r\n"))
    assert found.account == "99887766"
    assert found.statement_id == "021000021-261128-77-1"
    assert (found.opening_minor, found.closing_minor) == (100_000, 90_500)
    assert [
        (each.amount_minor, each.bank_reference, each.end_to_end_id, each.description, each.line)
        for each in found.lines
    ] == [
        (-10_000, "REF1", "po_1", "FIRST LINE, WITH COMMA,THEN MORE TEXT", 5),
        (500, "REF2", None, "", 7),
    ]


def test_text_is_cleaned_and_goes_on_in_continuations() -> None:
    line = replace(statement(5).lines[0], description="Zahlung für A/B\n" + "lang " * 60)
    content = write(replace(statement(5), lines=(line,)))
    assert content.count(b"\n88,") == 4
    assert max(map(len, content.splitlines())) <= bai2.LINE_WIDTH
    assert (
        bai2.parse(content)[0].lines[0].description == "Zahlung fur A B " + ("lang " * 60).strip()
    )


def test_what_the_format_cannot_say_is_not_written() -> None:
    whole = statement(-5)
    for changes in (
        {"bank_reference": "a,b"},
        {"bank_reference": "a/b"},
        {"end_to_end_id": "a b"},
        {"booked_on": DAY - timedelta(days=1)},
    ):
        with pytest.raises(BankFileError):
            write(replace(whole, lines=(replace(whole.lines[0], **changes),)))
    for changes in ({"account": ""}, {"currency": "XXX"}, {"closing_minor": 1}):
        with pytest.raises(BankFileError):
            write(replace(whole, **changes))
    with pytest.raises(BankFileError):
        write()


def test_ten_thousand_lines_of_several_accounts_and_currencies() -> None:
    drawn = [statement(*range(-5_000, 0), currency=each) for each in ("USD", "JPY")]
    assert list(bai2.parse(write(*drawn))) == named(drawn)


def test_days_make_groups() -> None:
    drawn = [statement(1), statement(2), replace(statement(), on=DAY + timedelta(1), lines=())]
    drawn[2] = replace(drawn[2], closing_minor=drawn[2].opening_minor)
    content = write(*drawn)
    assert content.count(b"\n02,") == 2
    assert [each.on for each in bai2.parse(content)] == [DAY, DAY, DAY + timedelta(1)]
    assert payout(0) not in content.decode()
