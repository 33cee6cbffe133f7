"""What the codes mean with which banks refuse or return a payment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a payment did not arrive, or was not collected.

    Attributes:
        code: The bank's own, such as R03 or AC04; empty if it gave none.
        failure_code: Ivy's: the same for every bank.
        sentence: What it means, in words.
    """

    code: str
    failure_code: str
    sentence: str


SENTENCES = {
    "account_closed": "The account has been closed.",
    "account_frozen": "The account is frozen or blocked.",
    "account_holder_deceased": "The holder of the account has died.",
    "amount_not_allowed": "The bank does not carry this amount.",
    "bank_not_found": "The bank could not be found by its code.",
    "credit_refused": "The receiver refused the payment.",
    "currency_not_accepted": "The account does not take this currency.",
    "duplicate_payment": "The bank took the payment for a duplicate.",
    "file_rejected": "The bank could not process the instruction.",
    "insufficient_funds": "The account to be debited did not hold enough money.",
    "invalid_account_number": "The account number is not valid at the bank.",
    "name_mismatch": "The name does not belong to the account.",
    "no_account": "There is no such account at the bank.",
    "non_transaction_account": "The account cannot receive this kind of payment.",
    "not_authorized": "The account's holder says that the payment was not authorised.",
    "permissible_return": "The receiver's bank returned the payment by agreement.",
    "regulatory": "The payment was stopped for a legal or regulatory reason.",
    "returned": "The receiver's bank returned the payment.",
    "returned_by_request": "The payment was returned because that was asked for.",
    "rejected": "The bank rejected the payment.",
    "stopped": "The payment was stopped on request.",
}
"""What each of Ivy's failure codes says."""

ACH = {
    "R01": "insufficient_funds",
    "R02": "account_closed",
    "R03": "no_account",
    "R04": "invalid_account_number",
    "R05": "not_authorized",
    "R06": "returned_by_request",
    "R07": "not_authorized",
    "R08": "stopped",
    "R09": "insufficient_funds",
    "R10": "not_authorized",
    "R11": "not_authorized",
    "R12": "account_closed",
    "R13": "bank_not_found",
    "R14": "account_holder_deceased",
    "R15": "account_holder_deceased",
    "R16": "account_frozen",
    "R17": "file_rejected",
    "R20": "non_transaction_account",
    "R23": "credit_refused",
    "R24": "duplicate_payment",
    "R29": "not_authorized",
    "R31": "permissible_return",
}
"""Return reason codes of the ACH network."""

ISO = {
    "AC01": "invalid_account_number",
    "AC02": "invalid_account_number",
    "AC03": "invalid_account_number",
    "AC04": "account_closed",
    "AC06": "account_frozen",
    "AC07": "account_closed",
    "AC13": "non_transaction_account",
    "AG01": "non_transaction_account",
    "AG02": "non_transaction_account",
    "AM01": "amount_not_allowed",
    "AM02": "amount_not_allowed",
    "AM03": "currency_not_accepted",
    "AM04": "insufficient_funds",
    "AM05": "duplicate_payment",
    "AM09": "amount_not_allowed",
    "AM12": "amount_not_allowed",
    "AM14": "amount_not_allowed",
    "BE01": "name_mismatch",
    "CUST": "returned_by_request",
    "DS02": "stopped",
    "DUPL": "duplicate_payment",
    "FF01": "file_rejected",
    "FOCR": "returned_by_request",
    "LEGL": "regulatory",
    "MD01": "not_authorized",
    "MD07": "account_holder_deceased",
    "MS02": "stopped",
    "RC01": "bank_not_found",
    "RC03": "bank_not_found",
    "RC04": "bank_not_found",
    "RR01": "regulatory",
    "RR02": "regulatory",
    "RR03": "regulatory",
    "RR04": "regulatory",
    "SL01": "stopped",
}
"""External status and return reason codes of ISO 20022."""


def ach_failure(code: str) -> Failure:
    """Return what an ACH return code means; ``returned`` for one that is not known."""
    return _failure(code, ACH.get(code, "returned"))


def iso_failure(code: str | None) -> Failure:
    """Return what an ISO 20022 reason means; ``rejected`` for one that is not known, or None."""
    return _failure(code or "", ISO.get(code or "", "rejected"))


def _failure(code: str, failure_code: str) -> Failure:
    return Failure(code, failure_code, SENTENCES[failure_code])
