"""What a file from a bank says, in whichever of its formats it came. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ivy.bank_files import (
    BankFileError,
    bai2,
    camt053,
    nacha_returns,
    pain002,
    reasons,
)
from ivy.bank_files.statements import Statement, StatementLine

Kind = Literal["nacha_returns", "pain.002", "camt.053", "bai2"]
Outcome = Literal["paid", "came_back"]
"""``paid`` by whoever was to pay: a debit's payer is the other side."""

_BEGINNING_BYTES = 2_000
"""In which an XML message names its format."""

_OF_A_FILE: dict[str | None, Outcome] = {"ACSC": "paid", "RJCT": "came_back"}
"""What is final; a transfer that is accepted or being settled is neither paid nor back."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a bank says of one transfer, or of a whole file where no transfer is named.

    Attributes:
        trace: What an ACH return names the transfer by.
        end_to_end_id: What everything else does.
        file_id: The file it was in, where the bank says so.
        amount_minor: How much came back, where the bank says so.
        currency: In which currency, where the format or the account says so.
        code: The bank's own, such as R03.
        line: Where in the file.
    """

    outcome: Outcome
    trace: int | None = None
    end_to_end_id: str | None = None
    file_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    code: str = ""
    failure_code: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that was read: what it says of transfers, and of accounts."""

    kind: Kind
    said: tuple[Said, ...] = ()
    statements: tuple[Statement, ...] = ()


def read(content: bytes) -> Reading:
    """Return what a file says.

    Raises:
        BankFileError: It is malformed, or of no kind that is known here.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        raise BankFileError(1, "in UTF-16: let the bank send UTF-8")
    beginning = content[:_BEGINNING_BYTES].lstrip()
    if beginning.startswith(b"<"):
        if b"camt.053" in beginning:
            return Reading("camt.053", statements=camt053.parse(content))
        if b"pain.002" in beginning:
            return Reading("pain.002", said=tuple(_reported(pain002.parse(content))))
    elif beginning.startswith(b"101"):
        returned = nacha_returns.parse(content).entries
        return Reading("nacha_returns", said=tuple(map(_returned, returned)))
    elif beginning.startswith(b"01,"):
        return Reading("bai2", statements=bai2.parse(content))
    raise BankFileError(1, "not a kind of file that is known here")


def said_by(
    kind: Kind, line: StatementLine, currency: str, *, collects: bool = False
) -> Said | None:
    """Return what a line of a statement says of the transfer that it names, if it says anything.

    Money that left was paid; where the transfer ``collects``, money that came was. What moves the
    other way came back, but a bank that gives BAI2 says why in a file of returns, and that is
    waited for.
    """
    if line.end_to_end_id is None:
        return None
    if (line.amount_minor > 0) == collects:
        return Said(
            "paid",
            end_to_end_id=line.end_to_end_id,
            amount_minor=abs(line.amount_minor),
            currency=currency,
            line=line.line,
        )
    if kind == "bai2":
        return None
    code = _code_in(line.description)
    known = reasons.iso_failure(code).failure_code if code else "returned"
    return Said(
        "came_back",
        end_to_end_id=line.end_to_end_id,
        amount_minor=abs(line.amount_minor),
        currency=currency,
        code=code,
        failure_code=known,
        line=line.line,
    )


def _code_in(description: str) -> str:
    """Return the reason that a bank writes into the text of a return."""
    return next((word for word in description.split() if word in reasons.ISO), "")


def _returned(entry: nacha_returns.ReturnedEntry) -> Said:
    return Said(
        "came_back",
        trace=entry.trace,
        amount_minor=entry.amount_minor,
        currency="USD",  # ACH knows no other
        code=entry.code,
        failure_code=reasons.ach_failure(entry.code).failure_code,
        line=entry.line,
    )


def _reported(report: pain002.Report) -> Iterator[Said]:
    """Yield what a report says of transfers; of all of them where it names none."""
    file_id = report.original_message_id
    for each in report.transfers:
        if (outcome := _OF_A_FILE.get(each.status)) is not None:
            yield _final(outcome, each.reason or report.reason, file_id, each)
    if not report.transfers and (outcome := _OF_A_FILE.get(report.status)) is not None:
        yield _final(outcome, report.reason, file_id, None)


def _final(
    outcome: Outcome, reason: str | None, file_id: str, transfer: pain002.Transfer | None
) -> Said:
    refused = outcome == "came_back"
    return Said(
        outcome,
        end_to_end_id=transfer.end_to_end_id if transfer else None,
        file_id=file_id,
        code=(reason or "") if refused else "",
        failure_code=reasons.iso_failure(reason).failure_code if refused else None,
        line=transfer.line if transfer else None,
    )
