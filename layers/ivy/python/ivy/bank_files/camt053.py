"""Bank statements of ISO 20022: camt.053.001.08.

Only what is booked moves a balance: entries that a bank announces or is still waiting for are left
out. An entry that stands for several payments becomes a line for each, if the bank says how much
each was.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import date, datetime

from ivy.bank_files import BankFileError, check_identifier
from ivy.bank_files.accounts import is_iban
from ivy.bank_files.iso_values import (
    decimal_text,
    instant_text,
    read_date,
    read_decimal,
    require_currency,
)
from ivy.bank_files.statements import MAX_STATEMENTS, Statement, StatementLine, check, check_all
from ivy.bank_files.text import one_line, our_reference
from ivy.bank_files.xml_messages import Node, put, read
from ivy.bank_files.xml_messages import write as write_message

MESSAGE = "camt.053.001.08"
MAX_DESCRIPTION = 500
MAX_ACCOUNT = 34
_SIGNS = {"CRDT": 1, "DBIT": -1}
_NOT_BOOKED = {"PDNG", "INFO", "FUTR"}
_NO_REFERENCE = "NOTPROVIDED"


def parse(content: bytes) -> tuple[Statement, ...]:
    """Return every statement in a message.

    Raises:
        BankFileError: It is malformed, or a statement does not add up.
    """
    message = read(content, MESSAGE)
    if message.name != "BkToCstmrStmt":
        raise BankFileError(message.line, "not a statement")
    message.value("GrpHdr", "MsgId")
    nodes = list(message.all("Stmt"))
    if not 1 <= len(nodes) <= MAX_STATEMENTS:
        raise BankFileError(message.line, f"not 1 to {MAX_STATEMENTS} statements")
    return tuple(map(_statement, nodes))


def write(statements: Sequence[Statement], *, message_id: str, created_at: datetime) -> bytes:
    """Return a message with statements, as a bank gives it; its totals are computed.

    Raises:
        BankFileError: A statement does not add up, or an identifier does not fit.
    """
    check_all(statements)
    check_identifier(message_id, "message_id")
    content = ET.Element("BkToCstmrStmt")
    header = put(content, "GrpHdr")
    put(header, "MsgId", message_id)
    put(header, "CreDtTm", instant_text(created_at))
    for statement in statements:
        _put_statement(put(content, "Stmt"), statement, created_at)
    return write_message(MESSAGE, content)


def _statement(node: Node) -> Statement:
    account = node.one("Acct")
    iban = account.optional_value("Id", "IBAN")
    balances = list(node.all("Bal"))
    opening_minor, _, currency = _balance(node, balances, "OPBD", "PRCD")
    closing_minor, on, closing_currency = _balance(node, balances, "CLBD")
    stated = account.optional_value("Ccy") or currency
    if not currency == closing_currency == stated:
        raise BankFileError(node.line, "the account and its balances differ in currency")
    entries = list(node.all("Ntry"))
    amounts = [_signed(entry, currency) for entry in entries]
    _check_summary(node, amounts, currency)
    lines: list[StatementLine] = []
    for entry, amount_minor in zip(entries, amounts, strict=True):
        status = entry.value("Sts", "Cd")
        if status == "BOOK":
            lines += _lines(entry, amount_minor, currency)
        elif status not in _NOT_BOOKED:
            raise BankFileError(entry.line, "an entry has a status not known here")
    return check(
        Statement(
            account=iban or account.value("Id", "Othr", "Id"),
            currency=currency,
            statement_id=node.value("Id"),
            on=on,
            opening_minor=opening_minor,
            closing_minor=closing_minor,
            lines=tuple(lines),
            line=node.line,
        )
    )


def _balance(node: Node, balances: list[Node], *kinds: str) -> tuple[int, date, str]:
    """Return a balance of the first kind there is, its day and its currency."""
    for kind in kinds:
        found = [each for each in balances if each.value("Tp", "CdOrPrtry", "Cd") == kind]
        if len(found) > 1:
            raise BankFileError(found[1].line, f"a second balance {kind}")
        if found:
            currency = _currency(found[0].one("Amt"))
            return _signed(found[0], currency), _day(found[0].one("Dt")), currency
    raise BankFileError(node.line, f"a statement without a balance {kinds[0]}")


def _lines(entry: Node, amount_minor: int, currency: str) -> list[StatementLine]:
    details = [each for group in entry.all("NtryDtls") for each in group.all("TxDtls")]
    if len(details) < 2 or any(each.optional("Amt") is None for each in details):  # noqa: PLR2004 - one payment, or several
        only = details[0] if len(details) == 1 else None
        return [_line(entry, only, amount_minor, entry.line)]
    split = [_line(entry, each, _part(each, amount_minor, currency), each.line) for each in details]
    if sum(each.amount_minor for each in split) != amount_minor:
        raise BankFileError(entry.line, "the payments of an entry do not add up to it")
    return split


def _part(detail: Node, entry_minor: int, currency: str) -> int:
    if detail.optional("CdtDbtInd") is not None:
        return _signed(detail, currency)
    part_minor = _amount(detail.one("Amt"), currency)
    return part_minor if entry_minor >= 0 else -part_minor


def _line(entry: Node, detail: Node | None, amount_minor: int, line: int) -> StatementLine:
    reference = end_to_end_id = description = None
    if detail is not None:
        reference = detail.optional_value("Refs", "AcctSvcrRef")
        end_to_end_id = detail.optional_value("Refs", "EndToEndId")
        description = _remittance(detail)
    if end_to_end_id is not None:
        end_to_end_id = None if end_to_end_id == _NO_REFERENCE else our_reference(end_to_end_id)
    return StatementLine(
        amount_minor=amount_minor,
        booked_on=_day(entry.one("BookgDt")),
        bank_reference=reference or entry.optional_value("AcctSvcrRef") or "",
        end_to_end_id=end_to_end_id,
        description=entry.optional_value("AddtlNtryInf") or description or "",
        line=line,
    )


def _remittance(detail: Node) -> str:
    found = detail.optional("RmtInf")
    return "" if found is None else " ".join(each.text for each in found.all("Ustrd"))


def _check_summary(node: Node, amounts: list[int], currency: str) -> None:
    """Hold the totals that a bank gives against all of its entries."""
    summary = node.optional("TxsSummry")
    if summary is None:
        return
    for name, counted in _totals(amounts):
        total = summary.optional(name)
        if total is None:
            continue
        count, sum_ = total.optional("NbOfNtries"), total.optional("Sum")
        if count is not None and count.text.lstrip("0") != str(len(counted)).lstrip("0"):
            raise BankFileError(count.line, f"{name} counts another number of entries")
        if sum_ is not None and _plain(sum_, currency) != sum(map(abs, counted)):
            raise BankFileError(sum_.line, f"{name} has another sum")
        net = total.optional("TtlNetNtry")
        if net is not None:
            net_minor = _plain(net.one("Amt"), currency) * _sign(net)
            if net_minor != sum(counted):
                raise BankFileError(net.line, f"{name} has another net amount")


def _totals(amounts: list[int]) -> list[tuple[str, list[int]]]:
    """Return what each total of a summary is about."""
    into, out = [each for each in amounts if each >= 0], [each for each in amounts if each < 0]
    return [("TtlNtries", amounts), ("TtlCdtNtries", into), ("TtlDbtNtries", out)]


def _signed(node: Node, currency: str) -> int:
    return _amount(node.one("Amt"), currency) * _sign(node)


def _sign(node: Node) -> int:
    found = node.one("CdtDbtInd")
    if found.text not in _SIGNS:
        raise BankFileError(found.line, "neither a credit nor a debit")
    return _SIGNS[found.text]


def _amount(node: Node, currency: str) -> int:
    if _currency(node) != currency:
        raise BankFileError(node.line, "an amount in another currency than its account")
    return _plain(node, currency)


def _plain(node: Node, currency: str) -> int:
    return read_decimal(node.text, currency, node.line)


def _currency(node: Node) -> str:
    return require_currency(node.attributes.get("Ccy", ""), node.line)


def _day(node: Node) -> date:
    found = node.optional("Dt") or node.one("DtTm")
    return read_date(found.text, found.line)


def _put_statement(place: ET.Element, statement: Statement, created_at: datetime) -> None:
    currency = require_currency(statement.currency, 0)
    check_identifier(statement.statement_id, "statement_id")
    check_identifier(statement.account, "an account", MAX_ACCOUNT)
    put(place, "Id", statement.statement_id)
    put(place, "CreDtTm", instant_text(created_at))
    account = put(place, "Acct")
    put(account, "Id/IBAN" if is_iban(statement.account) else "Id/Othr/Id", statement.account)
    put(account, "Ccy", currency)
    booked = (each.booked_on for each in statement.lines)
    _put_balance(
        place, "OPBD", statement.opening_minor, currency, min(booked, default=statement.on)
    )
    _put_balance(place, "CLBD", statement.closing_minor, currency, statement.on)
    _put_summary(put(place, "TxsSummry"), [each.amount_minor for each in statement.lines], currency)
    for line in statement.lines:
        _put_entry(put(place, "Ntry"), line, currency)


def _put_balance(place: ET.Element, kind: str, minor: int, currency: str, on: date) -> None:
    balance = put(place, "Bal")
    put(balance, "Tp/CdOrPrtry/Cd", kind)
    _put_signed(balance, minor, currency)
    put(balance, "Dt/Dt", on.isoformat())


def _put_summary(place: ET.Element, amounts: list[int], currency: str) -> None:
    for name, counted in _totals(amounts):
        total = put(place, name)
        put(total, "NbOfNtries", str(len(counted)))
        put(total, "Sum", decimal_text(sum(map(abs, counted)), currency))
        if name == "TtlNtries":
            net = put(total, "TtlNetNtry")
            put(net, "Amt", decimal_text(abs(sum(counted)), currency))
            put(net, "CdtDbtInd", _indicator(sum(counted)))


def _put_entry(place: ET.Element, line: StatementLine, currency: str) -> None:
    _put_signed(place, line.amount_minor, currency)
    put(place, "Sts/Cd", "BOOK")
    put(place, "BookgDt/Dt", line.booked_on.isoformat())
    if line.bank_reference:
        check_identifier(line.bank_reference, "bank_reference")
        put(place, "AcctSvcrRef", line.bank_reference)
    put(place, "BkTxCd/Prtry/Cd", "TRANSFER")
    if line.end_to_end_id is not None:
        check_identifier(line.end_to_end_id, "end_to_end_id")
        put(place, "NtryDtls/TxDtls/Refs/EndToEndId", line.end_to_end_id)
    if description := one_line(line.description, MAX_DESCRIPTION):
        put(place, "AddtlNtryInf", description)


def _put_signed(place: ET.Element, minor: int, currency: str) -> None:
    put(place, "Amt", decimal_text(abs(minor), currency), Ccy=currency)
    put(place, "CdtDbtInd", _indicator(minor))


def _indicator(minor: int) -> str:
    return "CRDT" if minor >= 0 else "DBIT"
