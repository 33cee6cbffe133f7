"""Credit transfers for a bank that takes ISO 20022: pain.001.001.09.

In EUR they are SEPA credit transfers, with shared charges and in the characters of the SEPA. An id
of ours has a hyphen for its underscore there; ``pain002`` and ``camt053`` read it back.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ivy.bank_files import (
    MAX_END_TO_END_ID,
    BankFileError,
    CreditTransfer,
    IbanAccount,
    PaymentFile,
    check,
    check_identifier,
)
from ivy.bank_files.accounts import is_bic, is_iban
from ivy.bank_files.iso_values import MAX_TOTAL_MINOR, decimal_text, instant_text
from ivy.bank_files.text import one_line, require_name, sepa_reference, sepa_text
from ivy.bank_files.xml_messages import put
from ivy.bank_files.xml_messages import write as write_message

MESSAGE = "pain.001.001.09"
MAX_SEPA_MINOR = 99_999_999_999
MAX_REMITTANCE = 140
MAX_NAME = 140
MAX_SEPA_NAME = 70


def write(file: PaymentFile) -> bytes:
    """Return a message with one payment instruction, in the order the transfers have.

    The message and the instruction have the file's id. Lines of remittance become one text.

    Raises:
        BankFileError: An account is not an IBAN, or an amount is more than the scheme carries.
    """
    check(file)
    check_identifier(file.originator.company_id, "company_id", MAX_END_TO_END_ID)
    debtor = _iban_account(file.originator.account, "the originator's account")
    sepa = file.currency == "EUR"
    total_minor = sum(each.amount_minor for each in file.transfers)
    if total_minor > MAX_TOTAL_MINOR:
        raise BankFileError(None, "the sum of the transfers is too large")
    count, total = str(len(file.transfers)), decimal_text(total_minor, file.currency)
    identifier = sepa_reference(file.file_id)
    originator = _name(file.originator.name, "the originator's name", sepa=sepa)

    content = ET.Element("CstmrCdtTrfInitn")
    header = put(content, "GrpHdr")
    put(header, "MsgId", identifier)
    put(header, "CreDtTm", instant_text(file.created_at))
    put(header, "NbOfTxs", count)
    put(header, "CtrlSum", total)
    party = put(header, "InitgPty")
    put(party, "Nm", originator)
    put(party, "Id/OrgId/Othr/Id", file.originator.company_id)

    payment = put(content, "PmtInf")
    put(payment, "PmtInfId", identifier)
    put(payment, "PmtMtd", "TRF")
    # One line in the statement for each, so that each can be matched by its end-to-end id.
    put(payment, "BtchBookg", "false")
    put(payment, "NbOfTxs", count)
    put(payment, "CtrlSum", total)
    if sepa:
        put(payment, "PmtTpInf/SvcLvl/Cd", "SEPA")
    put(payment, "ReqdExctnDt/Dt", file.execute_on.isoformat())
    put(payment, "Dbtr/Nm", originator)
    put(payment, "DbtrAcct/Id/IBAN", debtor.iban)
    _agent(payment, "DbtrAgt", debtor.bic, required=True)
    put(payment, "ChrgBr", "SLEV" if sepa else "SHAR")
    for transfer in file.transfers:
        _transfer(put(payment, "CdtTrfTxInf"), transfer, sepa=sepa)
    return write_message(MESSAGE, content)


def _transfer(place: ET.Element, transfer: CreditTransfer, *, sepa: bool) -> None:
    if sepa and transfer.amount_minor > MAX_SEPA_MINOR:
        raise BankFileError(None, "SEPA carries at most 999,999,999.99 EUR")
    creditor = _iban_account(transfer.creditor, "a creditor's account")
    put(place, "PmtId/EndToEndId", sepa_reference(transfer.end_to_end_id))
    amount = decimal_text(transfer.amount_minor, transfer.currency)
    put(place, "Amt/InstdAmt", amount, Ccy=transfer.currency)
    _agent(place, "CdtrAgt", creditor.bic, required=False)
    put(place, "Cdtr/Nm", _name(transfer.creditor_name, "a creditor's name", sepa=sepa))
    put(place, "CdtrAcct/Id/IBAN", creditor.iban)
    clean = sepa_text if sepa else one_line
    if remittance := clean(" ".join(transfer.remittance), MAX_REMITTANCE):
        put(place, "RmtInf/Ustrd", remittance)


def _agent(place: ET.Element, name: str, bic: str | None, *, required: bool) -> None:
    """Name a bank. The debtor's is required by the format, and may be left to its IBAN."""
    if bic is not None:
        put(place, f"{name}/FinInstnId/BICFI", bic)
    elif required:
        put(place, f"{name}/FinInstnId/Othr/Id", "NOTPROVIDED")


def _name(name: str, what: str, *, sepa: bool) -> str:
    cleaned = sepa_text(name, MAX_SEPA_NAME) if sepa else one_line(name, MAX_NAME)
    return require_name(cleaned, what)


def _iban_account(account: object, what: str) -> IbanAccount:
    if not isinstance(account, IbanAccount):
        raise BankFileError(None, f"{what} has no IBAN")
    if not is_iban(account.iban):
        raise BankFileError(None, f"{what} has no valid IBAN")
    if account.bic is not None and not is_bic(account.bic):
        raise BankFileError(None, f"{what} has no valid BIC")
    return account
