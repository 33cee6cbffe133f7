"""Files that are wrong in one place each, with the line and the reason they are refused for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ivy.bank_files import BankFileError, bai2, camt053, nacha_returns, pain002
from tests.unit.bank_files.samples import AT, report, returns, statement

Change = Callable[[list[str]], list[str]]

ACH = nacha_returns.write(returns()).decode()
PAIN = pain002.write(report()).decode()
CAMT = camt053.write([statement()], message_id="m", created_at=AT).decode()
BAI = bai2.write([statement()], sender="BANK", receiver="IVY", created_at=AT, number=3).decode()


def refused(parse: Callable[[bytes], object], content: str, line: int | None, reason: str) -> None:
    with pytest.raises(BankFileError) as caught:
        parse(content.encode("utf-8", "surrogateescape"))
    assert reason in caught.value.reason
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: " if line else reason[:4])


def at(content: str, line: int, begin: int, text: str) -> str:
    """Return a file with other characters from a place on; counted from 1, as in the layout."""
    lines = content.split("\n")
    row = lines[line - 1]
    lines[line - 1] = row[: begin - 1] + text + row[begin - 1 + len(text) :]
    return "\n".join(lines)


def without(content: str, line: int) -> str:
    lines = content.split("\n")
    return "\n".join(lines[: line - 1] + lines[line:])


def twice(content: str, line: int) -> str:
    lines = content.split("\n")
    return "\n".join([*lines[:line], *lines[line - 1 :]])


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "the file is empty"),
        ("\n", 1, "not 94 characters"),
        (ACH[:50], 1, "not 94 characters"),
        (ACH[:95], 1, "ends without a record of type 9"),
        (at(ACH, 1, 1, "2"), 1, "expected a record of type 1"),
        (at(ACH, 1, 2, "02"), 1, "not an ACH file header"),
        (at(ACH, 1, 5, "9"), 1, "the destination is no routing number"),
        (at(ACH, 1, 15, "x"), 1, "a number with something else in it"),
        (at(ACH, 1, 24, "261325"), 1, "not a date and time"),
        (at(ACH, 1, 34, "a"), 1, "the file id modifier is not one"),
        (at(ACH, 1, 64, "\udcff"), 1, "not printable ASCII"),
        (at(ACH, 1, 64, "\t"), 1, "not printable ASCII"),
        (at(ACH, 2, 2, "999"), 2, "a service class not known here"),
        (at(ACH, 2, 51, "COR"), 2, "a notification of change, not a return"),
        (at(ACH, 2, 51, "XYZ"), 2, "an entry class not known here"),
        (at(ACH, 2, 41, " " * 10), 2, "a batch without a company"),
        (at(ACH, 2, 70, "269999"), 2, "not a date and time"),
        (at(ACH, 8, 88, "0000001"), 8, "batches out of order"),
        (at(ACH, 3, 2, "22"), 3, "not the transaction code of a return"),
        (at(ACH, 3, 4, "021000021"), 3, "an entry for another bank than the file"),
        (at(ACH, 3, 30, "00000001x1"), 3, "a number with something else in it"),
        (at(ACH, 3, 30, "0000000112"), 7, "the sum of credits is wrong"),
        (at(ACH, 3, 79, "0"), 3, "a return without its reason"),
        (at(ACH, 3, 80, "021000020000009"), 4, "addenda of another entry"),
        (at(ACH, 4, 2, "05"), 4, "addenda that do not give a reason"),
        (at(ACH, 4, 4, "X99"), 4, "not a return reason code"),
        (at(ACH, 4, 4, "R68"), 4, "a dispute about a return, not a return"),
        (at(ACH, 4, 7, "02100002"), 4, "an entry that the destination did not send"),
        (at(ACH, 4, 20, "x"), 4, "a number with something else in it"),
        (without(ACH, 4), 4, "expected a record of type 7"),
        (without(without(ACH, 3), 3), 5, "number of entries and addenda is wrong"),
        (twice(twice(ACH, 4), 4), 5, "expected a record of type 6 or 8"),
        (at(ACH, 7, 5, "000005"), 7, "number of entries and addenda is wrong"),
        (at(ACH, 7, 11, "0000000001"), 7, "entry hash is wrong"),
        (at(ACH, 7, 21, "000000000001"), 7, "sum of debits is wrong"),
        (at(ACH, 7, 2, "200"), 7, "another service class than the header's"),
        (at(at(ACH, 2, 2, "225"), 7, 2, "225"), 7, "entries of another service class"),
        (at(ACH, 7, 45, "X"), 7, "another company than the header's"),
        (at(ACH, 7, 80, "9"), 7, "the control record of another batch"),
        (without(ACH, 7), 7, "expected a record of type 6 or 8"),
        (at(ACH, 9, 55, "0002"), 9, "a return has one addenda record"),
        (at(ACH, 12, 2, "000003"), 12, "the number of batches is wrong"),
        (at(ACH, 12, 8, "000001"), 12, "the number of blocks is wrong"),
        (at(ACH, 12, 14, "00000007"), 12, "number of entries and addenda is wrong"),
        (at(ACH, 12, 22, "0000000000"), 12, "entry hash is wrong"),
        (at(ACH, 12, 44, "000000000000"), 12, "sum of credits is wrong"),
        (without(ACH, 12), 12, "the number of batches is wrong"),
        (at(ACH, 15, 1, "6"), 15, "a record after the end of the file"),
        (without(ACH, 20), 19, "the last block is not full"),
        (ACH + "9" * 94, 21, "the last block is not full"),
    ],
)
def test_ach_returns(content: str, line: int | None, reason: str) -> None:
    refused(nacha_returns.parse, content, line, reason)


def number_of(content: str, text: str, nth: int = 1) -> int:
    """Return the number of the line that a text is on for the nth time."""
    lines = [number for number, row in enumerate(content.split("\n"), 1) if text in row]
    return lines[nth - 1]


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("<MsgId>status-1</MsgId>", "", "<GrpHdr>", "GrpHdr without MsgId"),
        ("<MsgId>status-1</MsgId>", "<MsgId/>", "<MsgId>", "MsgId is empty"),
        ("<GrpHdr>", "<GrpHdr>text", "<MsgId>", "GrpHdr has text beside its elements"),
        ("T10:30:00Z", "", "<CreDtTm>", "not a date and time"),
        ("pain.001.001.09", "pain.008.001.02", None, ""),
        ("pain.001.001.09", "camt.055.001.08", "<OrgnlGrpInf", "on neither transfers nor debits"),
        ("PART", "WHAT", "<GrpSts>", "the file has a status not known here"),
        ("PART", "RJCT", "<OrgnlGrpInf", "the whole is rejected, but not every transfer"),
        ("<TxSts>RJCT", "<TxSts>WHAT", "<TxSts>RJCT", "a transfer has a status not known here"),
        ("<TxSts>RJCT", "<TxSts>ACSC", "<OrgnlPmtInf", "not as many as the bank counted"),
        ("<TxSts>RJCT</TxSts>", "", "<TxInfAndSts> 2", "TxInfAndSts without TxSts"),
        ("<TxSts>RJCT", "<TxSts>RJCT</TxSts><TxSts>RJCT", "<TxSts>RJCT", "a second TxSts in"),
        ("00002<", "00001<", "<TxInfAndSts> 2", "a second status of the same transfer"),
        (">6</Or", ">5</Or", "<OrgnlNbOfTxs>", "more transfers are listed than there were"),
        (">6</Or", ">7</Or", None, ""),
        (">6</Or", ">x</Or", "<OrgnlNbOfTxs>", "not a number of transfers"),
        ("<DtldNbOfTxs>1", "<DtldNbOfTxs>2", "<OrgnlPmtInf", "as many as the bank counted"),
        ("<DtldSts>ACSP", "<DtldSts>ACSC", "<NbOfTxsPerSts> 2", "are counted twice"),
        ("CstmrPmtStsRpt", "CstmrDrctDbtInitn", "<CstmrPmt", "not a status report"),
        ("pain.002.001.10", "pain.002.001.03", "<Document", "not of the namespace"),
        ("</Document>", "", "end", "not well-formed XML: no element found"),
        ("</TxInfAndSts>", "</TxInf>", "</TxInfAndSts>", "not well-formed XML: mismatched tag"),
        ("<Document", "<!DOCTYPE x><Document", "<Document", "has a document type"),
        ("<Document", "<?go?><Document", "<Document", "has a processing instruction"),
        ('"UTF-8"', '"latin-1"', "<?xml", "declares another encoding than UTF-8"),
        ("AC04", "A\udce9", "<Cd>", "not UTF-8"),
        ("AC04", "&x;", "<Cd>", "undefined entity"),
        ("AC04", "\x00", "<Cd>", "not well-formed XML"),
    ],
)
def test_status_reports(old: str, new: str, where: str | None, reason: str) -> None:
    assert old in PAIN
    content = PAIN.replace(old, new)
    if where is None:
        pain002.parse(content.encode())
        return
    name, _, nth = where.partition(" ")
    line = PAIN.count("\n") + 1 if where == "end" else number_of(PAIN, name, int(nth or 1))
    refused(pain002.parse, content, line, reason)


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        (">123.45<", ">123.46<", "<TxsSummry>", "TtlNtries has another sum"),
        ("<Sum>130.54", "<Sum>130.55", "<Sum>130.54", "TtlNtries has another sum"),
        ("<Sum>7.00", "<Sum>7.01", "<Sum>7.00", "TtlCdtNtries has another sum"),
        ("<NbOfNtries>3", "<NbOfNtries>4", "<NbOfNtries>3", "counts another number of entries"),
        ("<Amt>116.54", "<Amt>116.53", "<TtlNetNtry>", "TtlNtries has another net amount"),
        (">383.46<", ">383.47<", "<Stmt>", "do not add up to the closing balance"),
        (">123.45<", ">123.4500001<", 'USD">123.45', "an amount is not a plain decimal"),
        (">123.45<", ">123.451<", 'USD">123.45', "more decimals than USD"),
        (">123.45<", ">-123.45<", 'USD">123.45', "an amount is not a plain decimal"),
        (">123.45<", ">1e2<", 'USD">123.45', "an amount is not a plain decimal"),
        (">123.45<", "><", 'USD">123.45', "an amount is not a plain decimal"),
        (">123.45<", ">\u0661\u0662<", 'USD">123.45', "an amount is not a plain decimal"),
        (">123.45<", ">999999999999999999<", 'USD">123.45', "an amount is too large"),
        ('"USD">123.45', '"EUR">123.45', 'USD">123.45', "in another currency than its account"),
        ('"USD">500.00', '"XXX">500.00', 'USD">500.00', "a currency is not known"),
        (' Ccy="USD">500.00', ">500.00", 'USD">500.00', "a currency is not known"),
        ('"USD">383.46', '"EUR">383.46', "<Stmt>", "differ in currency"),
        ("<Ccy>USD", "<Ccy>EUR", "<Stmt>", "differ in currency"),
        ("OPBD", "ITBD", "<Stmt>", "a statement without a balance OPBD"),
        ("OPBD", "CLBD", "<Stmt>", "a statement without a balance OPBD"),
        ("CLBD", "CLAV", "<Stmt>", "a statement without a balance CLBD"),
        ("<Cd>BOOK</Cd>", "<Prtry>BOOK</Prtry>", "<Ntry>", "Ntry without Sts/Cd"),
        ("DBIT", "DEBIT", "DBIT", "neither a credit nor a debit"),
        ("2026-11-27<", "2026-11-31<", "2026-11-27", "not a date"),
        ("2026-11-27<", "27.11.2026<", "2026-11-27", "not a date"),
        ("123456789", "", "<Id>123456789", "Id is empty"),
        ("<Id>2026-225</Id>", "", "<Stmt>", "Stmt without Id"),
        ("BkToCstmrStmt", "BkToCstmrAcctRpt", "<BkToCstmr", "not a statement"),
        ("Stmt>", "Rpt>", "<BkToCstmr", "not a statement"),
        ("camt.053.001.08", "camt.053.001.02", "<Document", "not of the namespace"),
    ],
)
def test_camt_statements(old: str, new: str, where: str, reason: str) -> None:
    assert old in CAMT
    line = number_of(CAMT, where)
    if "TtlNtries has another sum" in reason:
        line = number_of(CAMT, "<Sum>")
    elif reason == "neither a credit nor a debit":
        line = number_of(CAMT, "DBIT", 2)
    refused(camt053.parse, CAMT.replace(old, new), line, reason)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "the file is empty"),
        ("01", 1, "a record without fields"),
        ("88,1/", 1, "continues nothing"),
        ("02,IVY/", 1, "expected a record 01"),
        (BAI.replace("\n02,", "\n77,"), 2, "expected a record 02 or 99"),
        (BAI.replace(",,,2/\n02", ",,,1/\n02"), 1, "not version 2 of the format"),
        (BAI.replace("261125,1030", "261399,1030"), 1, "not a date"),
        (BAI.replace("01,BANK", "01,"), 1, "the file names no sender or no number"),
        (BAI.replace(",1,261127", ",3,261127"), 2, "a group that deletes, corrects or tests"),
        (BAI.replace("03,123456789", "03,"), 3, "an account without a number"),
        (BAI.replace("USD", "USX"), 3, "a currency is not known"),
        (BAI.replace(",010,", ",,"), 3, "a balance that cannot be read"),
        (BAI.replace(",010,", ",011,"), 3, "without its opening or closing balance"),
        (BAI.replace(",010,", ",015,"), 3, "a second balance 015"),
        (BAI.replace(",010,50000,,", ",010,50000,,W"), 3, "availability that cannot be read"),
        (BAI.replace(",010,50000,,", ",010,50000,,D"), 3, "availability that cannot be read"),
        (BAI.replace(",50000,", ",50001,"), 7, "the control total is not the sum"),
        (BAI.replace("16,699,12345", "16,699,12346"), 7, "the control total is not the sum"),
        (BAI.replace("16,699,12345", "16,699,-12345"), 4, "a movement that cannot be read"),
        (BAI.replace("16,699,12345", "16,699,1.5"), 4, "a movement that cannot be read"),
        (BAI.replace("16,699,12345", "16,901,12345"), 4, "neither credit nor debit"),
        (BAI.replace("16,699,12345", "16,399,12345"), 3, "do not add up to the closing balance"),
        (without(BAI, 4), 6, "the control total is not the sum"),
        (twice(BAI, 4), 8, "the control total is not the sum"),
        (twice(BAI, 3), 4, "expected a record 16 or 49"),
        (without(BAI, 7), 7, "expected a record 16 or 49"),
        (without(BAI, 8), 8, "expected a record 03 or 98"),
        (without(BAI, 9), 8, "ends without a record 99"),
        (BAI[:-2], 9, "a record that does not end with a slash"),
        (BAI + "99,1,1,1/", 10, "a record after the end of the file"),
        (at(BAI, 7, 11, "4"), 7, "the number of records is not what was read"),
        (at(BAI, 8, 4, "9"), 8, "the control total is not the sum"),
        (at(BAI, 8, 11, "2"), 8, "the number of accounts is not what was read"),
        (at(BAI, 8, 13, "6"), 8, "the number of records is not what was read"),
        (at(BAI, 9, 11, "2"), 9, "the number of groups is not what was read"),
        (at(BAI, 9, 13, "8"), 9, "the number of records is not what was read"),
        (BAI.replace("Movement 1", "Mov\udce9ment 1"), 5, "not printable ASCII"),
        (BAI.replace("Movement 1", "Movement\x001"), 5, "not printable ASCII"),
        ("01,BANK,IVY,261125,1030,3,,,2/\n99,0,0,2/\n", 1, "a file without accounts"),
    ],
)
def test_bai2_statements(content: str, line: int | None, reason: str) -> None:
    refused(bai2.parse, content, line, reason)
