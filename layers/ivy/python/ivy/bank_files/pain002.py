"""Status reports on credit transfers and direct debits: pain.002.001.10.

A bank reports on the message as a whole, on its payment instruction, on transfers, or on all three.
Ivy sends one instruction in a message, so the first two are one status here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

from ivy.bank_files import BankFileError, check_identifier, pain001, pain008
from ivy.bank_files.iso_values import instant_text, read_instant
from ivy.bank_files.text import one_line, our_reference
from ivy.bank_files.xml_messages import Node, put, read
from ivy.bank_files.xml_messages import write as write_message

MESSAGE = "pain.002.001.10"
MAX_NOTE = 105
MAX_PROPRIETARY_REASON = 35
_CODE_LENGTH = 4

TransferStatus = Literal["ACCP", "ACSP", "ACSC", "RJCT"]
"""Accepted, being settled, settled, rejected."""

FileStatus = Literal["RCVD", "PDNG", "ACTC", "ACCP", "ACSP", "ACSC", "PART", "RJCT"]
"""Received, pending, well-formed; as a transfer; or accepted in part: each transfer then says."""

_TRANSFER_STATUSES: dict[str, TransferStatus] = {each: each for each in get_args(TransferStatus)}
_FILE_STATUSES: dict[str, FileStatus] = {each: each for each in get_args(FileStatus)}


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of one transfer.

    Attributes:
        reason: An ISO code such as AC04 or, at some banks, a code of their own; None if none given.
        note: What the bank adds in words; may be empty.
        line: Where in the file; 0 in a report that is to be written.
    """

    end_to_end_id: str
    status: TransferStatus
    reason: str | None = None
    note: str = ""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Report:
    """What a bank says of one message.

    Attributes:
        original_message_id: The ``file_id`` of the payment file.
        status: Of the file as a whole, if the bank gave one. RJCT without transfers rejects all.
        original_count: How many transfers the bank counted in the file, if it says.
        collects: Whether the message was one of debits.
    """

    message_id: str
    created_at: datetime
    original_message_id: str
    status: FileStatus | None = None
    reason: str | None = None
    transfers: tuple[Transfer, ...] = ()
    original_count: int | None = None
    collects: bool = False


def parse(content: bytes) -> Report:
    """Return a report.

    Raises:
        BankFileError: It is malformed, contradicts itself, or has a status not known here.
    """
    message = read(content, MESSAGE)
    if message.name != "CstmrPmtStsRpt":
        raise BankFileError(message.line, "not a status report")
    header, group = message.one("GrpHdr"), message.one("OrgnlGrpInfAndSts")
    original = group.value("OrgnlMsgNmId")
    if not original.startswith(("pain.001", "pain.008")):
        raise BankFileError(group.line, "the report is on neither transfers nor debits")
    payment = message.optional("OrgnlPmtInfAndSts")
    transfers = [] if payment is None else [_transfer(each) for each in payment.all("TxInfAndSts")]
    _check_distinct(transfers)
    levels = [level for level in (payment, group) if level is not None]
    counts = [_check_counts(level, transfers) for level in levels]
    statuses = [
        _file_status(level, name) for level, name in zip(levels, _names(levels), strict=True)
    ]
    status = next((each for each in statuses if each is not None), None)
    if "RJCT" in statuses and any(each.status != "RJCT" for each in transfers):
        raise BankFileError(group.line, "the whole is rejected, but not every transfer")
    reasons = [_reason(level)[0] for level in levels]
    created = header.one("CreDtTm")
    return Report(
        message_id=header.value("MsgId"),
        created_at=read_instant(created.text, created.line),
        original_message_id=our_reference(group.value("OrgnlMsgId")),
        status="RJCT" if "RJCT" in statuses else status,
        reason=next((each for each in reasons if each is not None), None),
        transfers=tuple(transfers),
        original_count=next((each for each in counts if each is not None), None),
        collects=original.startswith("pain.008"),
    )


def write(report: Report) -> bytes:
    """Return a report as a bank gives it; its numbers of transfers by status are computed.

    Raises:
        BankFileError: An identifier or a reason does not fit.
    """
    for identifier in (report.message_id, report.original_message_id):
        check_identifier(identifier, "an id")
    _check_distinct(report.transfers)
    content = ET.Element("CstmrPmtStsRpt")
    header = put(content, "GrpHdr")
    put(header, "MsgId", report.message_id)
    put(header, "CreDtTm", instant_text(report.created_at))
    group = put(content, "OrgnlGrpInfAndSts")
    put(group, "OrgnlMsgId", report.original_message_id)
    put(group, "OrgnlMsgNmId", pain008.MESSAGE if report.collects else pain001.MESSAGE)
    if report.original_count is not None:
        put(group, "OrgnlNbOfTxs", str(report.original_count))
    if report.status is not None:
        put(group, "GrpSts", report.status)
    _put_reason(group, report.reason, "")
    if report.transfers:
        payment = put(content, "OrgnlPmtInfAndSts")
        put(payment, "OrgnlPmtInfId", report.original_message_id)
        for status, count in sorted(Counter(each.status for each in report.transfers).items()):
            counted = put(payment, "NbOfTxsPerSts")
            put(counted, "DtldNbOfTxs", str(count))
            put(counted, "DtldSts", status)
        for each in report.transfers:
            check_identifier(each.end_to_end_id, "end_to_end_id")
            transfer = put(payment, "TxInfAndSts")
            put(transfer, "OrgnlEndToEndId", each.end_to_end_id)
            put(transfer, "TxSts", each.status)
            _put_reason(transfer, each.reason, each.note)
    return write_message(MESSAGE, content)


def _transfer(node: Node) -> Transfer:
    found = node.one("TxSts")
    status = _TRANSFER_STATUSES.get(found.text)
    if status is None:
        raise BankFileError(found.line, "a transfer has a status not known here")
    identifier = our_reference(node.value("OrgnlEndToEndId"))
    reason, note = _reason(node)
    return Transfer(identifier, status, reason, note, node.line)


def _names(levels: list[Node]) -> list[str]:
    """Return what each level calls its status: the group is the last one."""
    return ["PmtInfSts", "GrpSts"][-len(levels) :]


def _file_status(level: Node, name: str) -> FileStatus | None:
    found = level.optional(name)
    if found is None:
        return None
    status = _FILE_STATUSES.get(found.text)
    if status is None:
        raise BankFileError(found.line, "the file has a status not known here")
    return status


def _reason(node: Node) -> tuple[str | None, str]:
    """Return the first reason that has a code, and everything said in words."""
    informations = list(node.all("StsRsnInf"))
    codes = [
        each.optional_value("Rsn", "Cd") or each.optional_value("Rsn", "Prtry")
        for each in informations
    ]
    note = " ".join(text.text for each in informations for text in each.all("AddtlInf"))
    return next((code for code in codes if code), None), note


def _put_reason(node: ET.Element, reason: str | None, note: str) -> None:
    if reason is None and not note:
        return
    information = put(node, "StsRsnInf")
    if reason is not None:
        check_identifier(reason, "a reason", MAX_PROPRIETARY_REASON)
        coded = len(reason) == _CODE_LENGTH
        put(information, "Rsn/Cd" if coded else "Rsn/Prtry", reason)
    if cleaned := one_line(note, MAX_NOTE):
        put(information, "AddtlInf", cleaned)


def _check_distinct(transfers: list[Transfer] | tuple[Transfer, ...]) -> None:
    seen: set[str] = set()
    for each in transfers:
        if each.end_to_end_id in seen:
            raise BankFileError(each.line or None, "a second status of the same transfer")
        seen.add(each.end_to_end_id)


def _check_counts(level: Node, transfers: list[Transfer]) -> int | None:
    """Hold what is listed against what the bank counted: all of it, or the rejected ones only."""
    listed: dict[str, int] = Counter(each.status for each in transfers)
    total = level.optional("OrgnlNbOfTxs")
    total_count = None if total is None else _count(total)
    if total is not None and total_count is not None and total_count < len(transfers):
        raise BankFileError(total.line, "more transfers are listed than there were")
    stated: dict[str, int] = {}
    for each in level.all("NbOfTxsPerSts"):
        status = each.value("DtldSts")
        if status in stated:
            raise BankFileError(each.line, "transfers of a status are counted twice")
        stated[status] = _count(each.one("DtldNbOfTxs"))
    if not stated:
        return total_count
    if total_count is not None and sum(stated.values()) != total_count:
        raise BankFileError(level.line, "the numbers of transfers by status do not add up")
    rejected = {"RJCT": stated["RJCT"]} if "RJCT" in stated else {}
    if transfers and listed not in (stated, rejected):
        raise BankFileError(level.line, "the transfers are not as many as the bank counted")
    return total_count


def _count(node: Node) -> int:
    if not (node.text.isascii() and node.text.isdigit() and len(node.text) <= 15):  # noqa: PLR2004 - the format's
        raise BankFileError(node.line, "not a number of transfers")
    return int(node.text)
