"""ACH credits or debits for a bank in the United States, as a NACHA file.

A transfer with at most one line of remittance is a CCD entry, one with more a CTX entry. Both carry
the end-to-end id first in their addenda: it is the only part of a payment that the receiver's bank
must hand on as it is. Both are between companies: a debit by CCD wants an agreement with one.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from ivy.bank_files import BankFileError, Payment, PaymentFile, UsAccount, check
from ivy.bank_files.accounts import is_routing_number, is_us_account_number
from ivy.bank_files.ach_records import (
    MAX_RECORDS,
    MODIFIERS,
    Batch,
    Entry,
    Header,
    number,
    render,
    words,
)
from ivy.bank_files.text import ascii_text, require_name

MAX_ADDENDA = 9_999
ADDENDA_TEXT = 80
_PAID = {"checking": 22, "savings": 32}
_COLLECTED = {"checking": 27, "savings": 37}
_COMPANY_ID = re.compile(r"[A-Z0-9]{1,10}")


def write(
    file: PaymentFile,
    *,
    modifier: str | None = None,
    description: str = "PAYOUT",
    collects: bool = False,
) -> bytes:
    """Return a file: at most a CCD batch and a CTX batch, in order of trace.

    Args:
        file: In USD, between accounts in the United States.
        modifier: Tells the files of one day apart, A to Z or 0 to 9. Left out, it follows from the
            file's id, and two files of a day may have the same.
        description: What receivers see as the reason, at most ten characters.
        collects: Whether it takes the money from the receivers, as debits.

    Raises:
        BankFileError: A payment does not fit: an amount of more than ten digits, say.
    """
    check(file)
    bank = _us_account(file.originator.account, "the originator's account")
    company_id = file.originator.company_id
    if file.currency != "USD":
        raise BankFileError(None, "ACH carries USD only")
    if not _COMPANY_ID.fullmatch(company_id):
        raise BankFileError(None, "company_id must have 1 to 10 capitals and digits")
    odfi = bank.routing_number[:8]
    company_name = require_name(ascii_text(file.originator.name, 23), "the originator's name")
    ordered = sorted(file.transfers, key=lambda transfer: transfer.trace)
    codes = _COLLECTED if collects else _PAID
    split: dict[str, list[Entry]] = {"CCD": [], "CTX": []}
    records = 0
    for transfer in ordered:
        several = len(transfer.remittance) > 1
        entry = (_ctx if several else _ccd)(transfer, odfi, codes)
        split["CTX" if several else "CCD"].append(entry)
        records += 1 + len(entry.addenda)
        if records > MAX_RECORDS:
            raise BankFileError(None, f"a file holds at most {MAX_RECORDS} records")
    header = Header(
        destination=bank.routing_number,
        origin=company_id,
        created_at=file.created_at,
        modifier=derived_modifier(file.file_id) if modifier is None else modifier,
        destination_name=file.originator.bank_name,
        origin_name=company_name,
        reference=file.file_id[-8:],
    )
    return render(
        header,
        [
            Batch(company_name, company_id, each, description, file.execute_on, odfi, entries)
            for each, entries in split.items()
            if entries
        ],
    )


def derived_modifier(file_id: str) -> str:
    """Return the modifier that a file has if none is given."""
    return MODIFIERS[zlib.crc32(file_id.encode()) % len(MODIFIERS)]


def _ccd(transfer: Payment, odfi: str, codes: Mapping[str, int]) -> Entry:
    name = words(_party_name(transfer), 22)
    information = " ".join((transfer.end_to_end_id, *transfer.remittance))
    return _entry(transfer, odfi, codes, name, [ascii_text(information, ADDENDA_TEXT)])


def _ctx(transfer: Payment, odfi: str, codes: Mapping[str, int]) -> Entry:
    lines = [transfer.end_to_end_id]
    for line in transfer.remittance:
        text = ascii_text(line, len(line) * 2)
        lines += [text[at : at + ADDENDA_TEXT] for at in range(0, len(text), ADDENDA_TEXT)]
        if len(lines) > MAX_ADDENDA:
            raise BankFileError(None, f"remittance needs more than {MAX_ADDENDA} addenda")
    name = f"{number(len(lines), 4, 'addenda')}{words(_party_name(transfer), 16)}"
    return _entry(transfer, odfi, codes, name, lines)


def _entry(
    transfer: Payment, odfi: str, codes: Mapping[str, int], name: str, lines: Sequence[str]
) -> Entry:
    account = _us_account(transfer.party, "the receiver's account")
    sequence = number(transfer.trace, 7, "a trace")
    return Entry(
        code=codes[account.kind],
        bank=account.routing_number,
        account=account.account_number,
        amount_minor=transfer.amount_minor,
        identification=transfer.end_to_end_id[-15:],
        name=name,
        trace=odfi + sequence,
        addenda=tuple(
            f"705{words(line, ADDENDA_TEXT)}{ordinal:04d}{sequence}"
            for ordinal, line in enumerate(lines, start=1)
        ),
    )


def _party_name(transfer: Payment) -> str:
    return require_name(ascii_text(transfer.party_name, 22), "a receiver's name")


def _us_account(account: object, what: str) -> UsAccount:
    if not isinstance(account, UsAccount):
        raise BankFileError(None, f"{what} is not one of the United States")
    if not is_routing_number(account.routing_number):
        raise BankFileError(None, f"{what} has no valid routing number")
    if not is_us_account_number(account.account_number):
        raise BankFileError(None, f"{what} must have 1 to 17 letters, digits and hyphens")
    return account
