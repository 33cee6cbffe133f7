"""Direct debits for a bank of the SEPA: pain.008.001.08, in EUR.

They are of the scheme between businesses (B2B): the debtor has no right to its money back once it
was collected, and its bank collects only what the debtor has confirmed the mandate of to it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from ivy.bank_files import BankFileError, Payment, PaymentFile, check_identifier
from ivy.bank_files.iso_payments import (
    agent,
    begin,
    iban_account,
    originator_name,
    party_name,
    remittance,
)
from ivy.bank_files.iso_values import decimal_text
from ivy.bank_files.text import sepa_reference
from ivy.bank_files.xml_messages import put
from ivy.bank_files.xml_messages import write as write_message

MESSAGE = "pain.008.001.08"
_CREDITOR_ID = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{4,31}")


def write(file: PaymentFile) -> bytes:
    """Return a message with one instruction to collect, in the order the transfers have.

    Raises:
        BankFileError: It is not in EUR, an account is not an IBAN, a mandate or the creditor's
            identifier is missing, or an amount is more than the scheme carries.
    """
    if file.currency != "EUR":
        raise BankFileError(None, "SEPA collects EUR only")
    content, payment = begin(file, "CstmrDrctDbtInitn", "DD")
    creditor = iban_account(file.originator.account, "the originator's account")
    if not _CREDITOR_ID.fullmatch(file.originator.creditor_id):
        raise BankFileError(None, "the originator has no creditor identifier of the SEPA")
    kind = put(payment, "PmtTpInf")
    put(kind, "SvcLvl/Cd", "SEPA")
    put(kind, "LclInstrm/Cd", "B2B")
    put(kind, "SeqTp", "RCUR")
    put(payment, "ReqdColltnDt", file.execute_on.isoformat())
    put(payment, "Cdtr/Nm", originator_name(file))
    put(payment, "CdtrAcct/Id/IBAN", creditor.iban)
    agent(payment, "CdtrAgt", creditor.bic, required=True)
    put(payment, "ChrgBr", "SLEV")
    scheme = put(payment, "CdtrSchmeId/Id/PrvtId/Othr")
    put(scheme, "Id", file.originator.creditor_id)
    put(scheme, "SchmeNm/Prtry", "SEPA")
    for transfer in file.transfers:
        _transfer(put(payment, "DrctDbtTxInf"), transfer)
    return write_message(MESSAGE, content)


def _transfer(place: ET.Element, transfer: Payment) -> None:
    debtor = iban_account(transfer.party, "a debtor's account")
    if transfer.mandate is None:
        raise BankFileError(None, "a debit without a mandate")
    check_identifier(transfer.mandate.reference, "a mandate's reference")
    put(place, "PmtId/EndToEndId", sepa_reference(transfer.end_to_end_id))
    amount = decimal_text(transfer.amount_minor, transfer.currency)
    put(place, "InstdAmt", amount, Ccy=transfer.currency)
    mandate = put(place, "DrctDbtTx/MndtRltdInf")
    put(mandate, "MndtId", transfer.mandate.reference)
    put(mandate, "DtOfSgntr", transfer.mandate.signed_on.isoformat())
    agent(place, "DbtrAgt", debtor.bic, required=True)
    put(place, "Dbtr/Nm", party_name(transfer, "a debtor's name"))
    put(place, "DbtrAcct/Id/IBAN", debtor.iban)
    remittance(place, transfer)
