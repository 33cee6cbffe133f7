"""Credit transfers for a bank that takes ISO 20022: pain.001.001.09.

In EUR they are SEPA credit transfers, with shared charges.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ivy.bank_files import Payment, PaymentFile
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

MESSAGE = "pain.001.001.09"


def write(file: PaymentFile) -> bytes:
    """Return a message with one payment instruction, in the order the transfers have.

    Raises:
        BankFileError: An account is not an IBAN, or an amount is more than the scheme carries.
    """
    content, payment = begin(file, "CstmrCdtTrfInitn", "TRF")
    debtor = iban_account(file.originator.account, "the originator's account")
    sepa = file.currency == "EUR"
    if sepa:
        put(payment, "PmtTpInf/SvcLvl/Cd", "SEPA")
    put(payment, "ReqdExctnDt/Dt", file.execute_on.isoformat())
    put(payment, "Dbtr/Nm", originator_name(file))
    put(payment, "DbtrAcct/Id/IBAN", debtor.iban)
    agent(payment, "DbtrAgt", debtor.bic, required=True)
    put(payment, "ChrgBr", "SLEV" if sepa else "SHAR")
    for transfer in file.transfers:
        _transfer(put(payment, "CdtTrfTxInf"), transfer)
    return write_message(MESSAGE, content)


def _transfer(place: ET.Element, transfer: Payment) -> None:
    creditor = iban_account(transfer.party, "a creditor's account")
    put(place, "PmtId/EndToEndId", sepa_reference(transfer.end_to_end_id))
    amount = decimal_text(transfer.amount_minor, transfer.currency)
    put(place, "Amt/InstdAmt", amount, Ccy=transfer.currency)
    agent(place, "CdtrAgt", creditor.bic, required=False)
    put(place, "Cdtr/Nm", party_name(transfer, "a creditor's name"))
    put(place, "CdtrAcct/Id/IBAN", creditor.iban)
    remittance(place, transfer)
