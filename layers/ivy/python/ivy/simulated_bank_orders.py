"""What a file of orders asks a bank to do, as the simulated bank reads it.

No more is read than is answered, and nothing is checked: these files are written next door.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Literal

from ivy.bank_files import pain001, pain008
from ivy.bank_files.iso_values import read_date, read_decimal, read_instant
from ivy.bank_files.text import our_reference
from ivy.bank_files.xml_messages import Node
from ivy.bank_files.xml_messages import read as read_message

Rail = Literal["ach", "iso20022"]

ACH_ACCOUNT = "900000000001"
"""Which account of Ivy's an ACH file is taken from: the bank knows it by the company's id."""


@dataclass(frozen=True, slots=True)
class Order:
    """One transfer; ``number`` is the other party's account number or IBAN."""

    end_to_end_id: str
    amount_minor: int
    number: str
    name: str
    trace: int = 0
    bank: str = ""
    savings: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """One file; ``name`` is what its answers are named after: its id, and whose it is.

    It ``collects`` where the money comes to the account.
    """

    name: str
    rail: Rail
    file_id: str
    created_at: datetime
    execute_on: date
    currency: str
    account: str
    orders: tuple[Order, ...]
    account_bank: str = ""
    company_id: str = ""
    description: str = "PAYOUT"
    collects: bool = False


def read(name: str, content: bytes) -> Orders:
    """Return what a file asks for; its name is the whole id that its header has no room for."""
    name = name.rpartition(".")[0]
    if content.startswith(b"<"):
        return (
            _pain_008(name, content)
            if pain008.MESSAGE.encode() in content
            else _pain_001(name, content)
        )
    return _nacha(name, content.decode("ascii").splitlines())


def _nacha(name: str, records: list[str]) -> Orders:
    header, batch = records[0], next(each for each in records if each[0] == "5")
    orders = [
        Order(
            end_to_end_id=addenda[3:83].split()[0],
            amount_minor=int(entry[29:39]),
            number=entry[12:29].strip(),
            name=entry[54:76].strip(),
            trace=int(entry[87:94]),
            bank=entry[3:12],
            savings=entry[1] == "3",
        )
        for entry, addenda in pairwise(records)
        if entry[0] == "6"
    ]
    return Orders(
        name=name,
        rail="ach",
        file_id=name.partition(".")[0],
        created_at=datetime.strptime(f"20{header[23:33]}+0000", "%Y%m%d%H%M%z"),
        execute_on=_day(batch[69:75]),
        currency="USD",
        account=ACH_ACCOUNT,
        orders=tuple(orders),
        account_bank=header[3:13].strip(),
        company_id=batch[40:50].strip(),
        description=batch[53:63].strip(),
        collects=batch[1:4] == "225",
    )


def _day(text: str) -> date:
    return date.fromisoformat(f"20{text[:2]}-{text[2:4]}-{text[4:]}")


def _pain_001(name: str, content: bytes) -> Orders:
    message = read_message(content, pain001.MESSAGE)
    created, payment = message.one("GrpHdr", "CreDtTm"), message.one("PmtInf")
    transfers = list(payment.all("CdtTrfTxInf"))
    day = payment.one("ReqdExctnDt", "Dt")
    return Orders(
        name=name,
        rail="iso20022",
        file_id=name.partition(".")[0],
        created_at=read_instant(created.text, created.line),
        execute_on=read_date(day.text, day.line),
        currency=transfers[0].one("Amt", "InstdAmt").attributes["Ccy"],
        account=payment.value("DbtrAcct", "Id", "IBAN"),
        orders=tuple(_order(each, each.one("Amt", "InstdAmt"), "Cdtr") for each in transfers),
        description=transfers[0].optional_value("RmtInf", "Ustrd") or "PAYOUT",
    )


def _pain_008(name: str, content: bytes) -> Orders:
    message = read_message(content, pain008.MESSAGE)
    created, payment = message.one("GrpHdr", "CreDtTm"), message.one("PmtInf")
    day = payment.one("ReqdColltnDt")
    return Orders(
        name=name,
        rail="iso20022",
        file_id=name.partition(".")[0],
        created_at=read_instant(created.text, created.line),
        execute_on=read_date(day.text, day.line),
        currency="EUR",
        account=payment.value("CdtrAcct", "Id", "IBAN"),
        orders=tuple(
            _order(each, each.one("InstdAmt"), "Dbtr") for each in payment.all("DrctDbtTxInf")
        ),
        description="RECOVERY",
        collects=True,
    )


def _order(node: Node, amount: Node, party: str) -> Order:
    return Order(
        end_to_end_id=our_reference(node.value("PmtId", "EndToEndId")),
        amount_minor=read_decimal(amount.text, amount.attributes["Ccy"], amount.line),
        number=node.value(f"{party}Acct", "Id", "IBAN"),
        name=node.value(party, "Nm"),
    )
