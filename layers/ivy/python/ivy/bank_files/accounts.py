"""Whether an account number can exist: its form and its check digits, not whether it does."""

from __future__ import annotations

import re

_ROUTING = re.compile(r"[0-9]{9}")
_ROUTING_WEIGHTS = (3, 7, 1, 3, 7, 1, 3, 7, 1)
_US_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,17}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_IBAN_MODULUS = 97


def is_routing_number(text: str) -> bool:
    """Say whether text is a routing number of the United States with a right check digit."""
    if not _ROUTING.fullmatch(text):
        return False
    weighed = (int(digit) * weight for digit, weight in zip(text, _ROUTING_WEIGHTS, strict=True))
    return sum(weighed) % 10 == 0


def is_us_account_number(text: str) -> bool:
    """Say whether text fits the account field of an ACH entry."""
    return _US_ACCOUNT.fullmatch(text) is not None


def is_iban(text: str) -> bool:
    """Say whether text is an IBAN, in capitals and without blanks, with right check digits."""
    if not _IBAN.fullmatch(text):
        return False
    digits = "".join(str(int(each, 36)) for each in text[4:] + text[:4])
    return int(digits) % _IBAN_MODULUS == 1


def is_bic(text: str) -> bool:
    """Say whether text has the form of a BIC, of 8 or 11 characters."""
    return _BIC.fullmatch(text) is not None
