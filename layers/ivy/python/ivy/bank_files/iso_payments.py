"""What is common to the messages that ask a bank for payments: ``pain001`` and ``pain008``.

In EUR they are of the SEPA, in its characters. An id of ours has a hyphen for its underscore there;
``pain002`` and ``camt053`` read it back.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ivy.bank_files import (
    MAX_END_TO_END_ID,
    BankFileError,
    IbanAccount,
    Payment,
    PaymentFile,
    check,
    check_identifier,
)
from ivy.bank_files.accounts import is_bic, is_iban
from ivy.bank_files.iso_values import MAX_TOTAL_MINOR, decimal_text, instant_text
from ivy.bank_files.text import one_line, require_name, sepa_reference, sepa_text
from ivy.bank_files.xml_messages import put

MAX_SEPA_MINOR = 99_999_999_999
MAX_REMITTANCE = 140
MAX_NAME = 140
MAX_SEPA_NAME = 70


def begin(file: PaymentFile, message: str, method: str) -> tuple[ET.Element, ET.Element]:
    """Return a message and its one instruction, with all that comes before the kind of payment.

    Both have the file's id, and say how much it is in all.

    Raises:
        BankFileError: No format can carry the file, or it is more than this one does.
    """
    check(file)
    check_identifier(file.originator.company_id, "company_id", MAX_END_TO_END_ID)
    total_minor = sum(each.amount_minor for each in file.transfers)
    if total_minor > MAX_TOTAL_MINOR:
        raise BankFileError(None, "the sum of the transfers is too large")
    if file.currency == "EUR" and max(each.amount_minor for each in file.transfers) > (
        MAX_SEPA_MINOR
    ):
        raise BankFileError(None, "SEPA carries at most 999,999,999.99 EUR")
    count, total = str(len(file.transfers)), decimal_text(total_minor, file.currency)
    content = ET.Element(message)
    header = put(content, "GrpHdr")
    put(header, "MsgId", sepa_reference(file.file_id))
    put(header, "CreDtTm", instant_text(file.created_at))
    put(header, "NbOfTxs", count)
    put(header, "CtrlSum", total)
    party = put(header, "InitgPty")
    put(party, "Nm", originator_name(file))
    put(party, "Id/OrgId/Othr/Id", file.originator.company_id)
    payment = put(content, "PmtInf")
    put(payment, "PmtInfId", sepa_reference(file.file_id))
    put(payment, "PmtMtd", method)
    # One line in the statement for each, so that each can be matched by its end-to-end id.
    put(payment, "BtchBookg", "false")
    put(payment, "NbOfTxs", count)
    put(payment, "CtrlSum", total)
    return content, payment


def originator_name(file: PaymentFile) -> str:
    """Return the name of whose account a file is about."""
    return _name(file.originator.name, "the originator's name", sepa=file.currency == "EUR")


def party_name(transfer: Payment, what: str) -> str:
    """Return the name of a party; ``what`` it is called where it cannot be written."""
    return _name(transfer.party_name, what, sepa=transfer.currency == "EUR")


def _name(name: str, what: str, *, sepa: bool) -> str:
    cleaned = sepa_text(name, MAX_SEPA_NAME) if sepa else one_line(name, MAX_NAME)
    return require_name(cleaned, what)


def agent(place: ET.Element, name: str, bic: str | None, *, required: bool) -> None:
    """Name a bank. Where the format requires one, it may be left to the account's IBAN."""
    if bic is not None:
        put(place, f"{name}/FinInstnId/BICFI", bic)
    elif required:
        put(place, f"{name}/FinInstnId/Othr/Id", "NOTPROVIDED")


def remittance(place: ET.Element, transfer: Payment) -> None:
    """Write what a payment is for, if anything is left of it; lines become one text."""
    clean = sepa_text if transfer.currency == "EUR" else one_line
    if text := clean(" ".join(transfer.remittance), MAX_REMITTANCE):
        put(place, "RmtInf/Ustrd", text)


def iban_account(account: object, what: str) -> IbanAccount:
    """Return an account that has a valid IBAN; refuse another."""
    if not isinstance(account, IbanAccount):
        raise BankFileError(None, f"{what} has no IBAN")
    if not is_iban(account.iban):
        raise BankFileError(None, f"{what} has no valid IBAN")
    if account.bic is not None and not is_bic(account.bic):
        raise BankFileError(None, f"{what} has no valid BIC")
    return account
