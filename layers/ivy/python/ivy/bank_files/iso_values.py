"""Amounts, dates and moments as ISO 20022 writes them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from ivy.bank_files import BankFileError
from ivy.money import currencies

MAX_TOTAL_MINOR = 10**18 - 1
"""No sum in a file is larger: ISO 20022 gives an amount 18 digits."""

_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DECIMAL = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,5}))?")


def decimal_text(amount_minor: int, currency: str) -> str:
    """Return an amount such as 12.50 EUR, 1250 JPY or 1.250 KWD, without the currency."""
    exponent = currencies()[currency].exponent
    sign, digits = "-" * (amount_minor < 0), f"{abs(amount_minor):0{exponent + 1}d}"
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else f"{sign}{digits}"


def read_decimal(text: str, currency: str, line: int) -> int:
    """Return an amount in minor units, zero or more.

    Raises:
        BankFileError: It is no plain decimal, has more decimals than its currency, or is too large.
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise BankFileError(line, "an amount is not a plain decimal")
    exponent = currencies()[currency].exponent
    decimals = found[2] or ""
    if decimals[exponent:].strip("0"):
        raise BankFileError(line, f"an amount has more decimals than {currency}")
    amount_minor = int(found[1] + decimals[:exponent].ljust(exponent, "0"))
    if amount_minor > MAX_TOTAL_MINOR:
        raise BankFileError(line, "an amount is too large")
    return amount_minor


def instant_text(at: datetime) -> str:
    """Return a moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def read_instant(text: str, line: int) -> datetime:
    """Return a moment, in UTC where it says no zone; raises BankFileError for no moment."""
    if _INSTANT.fullmatch(text):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    raise BankFileError(line, "not a date and time")


def read_date(text: str, line: int) -> date:
    """Return the day of a date, or of a moment in its zone; raises BankFileError for neither."""
    found = _DATE.fullmatch(text) or _INSTANT.fullmatch(text)
    if found:
        try:
            return date.fromisoformat(found[1])
        except ValueError:
            pass
    raise BankFileError(line, "not a date")


def require_currency(text: str, line: int) -> str:
    """Return the code of a currency that Ivy knows; raises BankFileError for another."""
    if text not in currencies():
        raise BankFileError(line, "a currency is not known")
    return text
