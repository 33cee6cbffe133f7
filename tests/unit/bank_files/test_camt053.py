from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings

from ivy.bank_files import BankFileError, camt053
from ivy.bank_files.statements import Statement
from tests.unit.bank_files import messages
from tests.unit.bank_files.samples import AT, DAY, IBAN, payout, statement, statements


def write(*drawn: Statement) -> bytes:
    return camt053.write(drawn, message_id="m", created_at=AT)


@given(statements())
def test_statements_come_back_as_they_were_written(drawn: list[Statement]) -> None:
    assert list(camt053.parse(write(*drawn))) == drawn


@given(statements())
@settings(max_examples=30)
def test_the_classes_of_the_standard_accept_statements(drawn: list[Statement]) -> None:
    assert messages.complaints(write(*drawn), camt053.MESSAGE) == []


@pytest.mark.parametrize(
    ("currency", "text"), [("USD", "123.45"), ("JPY", "12345"), ("KWD", "12.345")]
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, text: str) -> None:
    content = write(statement(-12_345, currency=currency))
    assert f'<Amt Ccy="{currency}">{text}</Amt>'.encode() in content
    assert camt053.parse(content)[0].lines[0].amount_minor == -12_345


def test_each_line_says_where_it_is() -> None:
    content = write(statement(), statement(5))
    lines = content.decode().splitlines()
    first, second = camt053.parse(content)
    for each in (*first.lines, *second.lines):
        inside = "\n".join(lines[each.line - 1 : each.line + 25])
        assert inside.index(each.bank_reference)
    assert lines[second.line - 1].strip() == "<Stmt>"


def test_a_statement_that_does_not_add_up_is_neither_written_nor_read() -> None:
    wrong = replace(statement(), closing_minor=1)
    with pytest.raises(BankFileError, match="do not add up"):
        write(wrong)
    content = write(statement(-100, 25)).replace(b">499.25<", b">499.24<")
    with pytest.raises(BankFileError, match="do not add up"):
        camt053.parse(content)


def test_what_is_not_booked_is_left_out() -> None:
    content = write(replace(statement(500), closing_minor=50_000, lines=()))
    entry = write(statement(500)).split(b"</TxsSummry>")[1].split(b"</Ntry>")[0] + b"</Ntry>"
    begin, end = content.split(b"<TxsSummry>")[0], b"</Stmt></BkToCstmrStmt></Document>"
    for status in (b"PDNG", b"INFO"):
        content = begin + entry.replace(b"BOOK", status) + end
        assert camt053.parse(content)[0].lines == ()
    with pytest.raises(BankFileError, match="a status not known"):
        camt053.parse(begin + entry.replace(b"BOOK", b"WHAT") + end)


def test_an_entry_of_several_payments_becomes_a_line_for_each() -> None:
    details = b"".join(
        b"<TxDtls><Refs><AcctSvcrRef>R%d</AcctSvcrRef><EndToEndId>%s</EndToEndId></Refs>"
        b'<Amt Ccy="USD">%s</Amt><CdtDbtInd>DBIT</CdtDbtInd>'
        b"<RmtInf><Ustrd>for</Ustrd><Ustrd>goods</Ustrd></RmtInf></TxDtls>"
        % (number, payout(number).encode(), amount)
        for number, amount in enumerate((b"1.00", b"0.05"))
    )
    content = write(statement(-105))
    begin, rest = content.split(b"<TxDtls>")
    content = begin + details + rest.split(b"</TxDtls>")[1]
    content = content.replace(b"<AddtlNtryInf>Movement 0, as agreed</AddtlNtryInf>", b"")
    lines = camt053.parse(content)[0].lines
    assert [(each.amount_minor, each.end_to_end_id, each.bank_reference) for each in lines] == [
        (-100, payout(0), "R0"),
        (-5, payout(1), "R1"),
    ]
    assert {each.description for each in lines} == {"for goods"}
    with pytest.raises(BankFileError, match="the payments of an entry do not add up"):
        camt053.parse(content.replace(b'"USD">0.05<', b'"USD">0.06<'))
    unsplit = camt053.parse(content.replace(b'<Amt Ccy="USD">0.05</Amt>', b""))[0].lines
    assert [(each.amount_minor, each.end_to_end_id) for each in unsplit] == [(-105, None)]


def test_ids_and_dates_are_read_as_banks_write_them() -> None:
    content = write(replace(statement(-105), account=IBAN))
    assert camt053.parse(content.replace(b"po_", b"po-"))[0].lines[0].end_to_end_id == payout(0)
    none = content.replace(payout(0).encode(), b"NOTPROVIDED")
    assert camt053.parse(none)[0].lines[0].end_to_end_id is None
    moment = content.replace(b"<Dt>2026-11-27</Dt>", b"<DtTm>2026-11-27T23:59:00+01:00</DtTm>")
    assert camt053.parse(moment)[0].lines[0].booked_on == DAY
    assert camt053.parse(content.replace(b"OPBD", b"PRCD"))[0].opening_minor == 50_000
    zoned = content.replace(b"2026-11-27<", b"2026-11-26Z<")
    assert camt053.parse(zoned)[0].on == date(2026, 11, 26)


def test_ten_thousand_lines_of_several_accounts_and_currencies() -> None:
    drawn = [statement(*range(-5_000, 0), currency=each) for each in ("USD", "JPY")]
    assert list(camt053.parse(write(*drawn))) == drawn
