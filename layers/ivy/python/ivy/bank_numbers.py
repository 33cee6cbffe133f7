"""What the numbers of bank accounts look like, and which countries and currencies can be paid.

The arithmetic is python-stdnum's. It takes ten milliseconds to import, so it is imported when the
first number is checked: by the one function that takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

BY_ROUTING_NUMBER = "US"
"""The country whose accounts have a routing number; all others have an IBAN."""

_SEPA = (
    "AD", "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI",
    "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MC", "MD", "ME", "MK", "MT", "NL",
    "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "SM", "VA",
)  # fmt: skip

PAID_IN: Mapping[str, tuple[str, ...]] = {
    BY_ROUTING_NUMBER: ("USD",),
    **dict.fromkeys(_SEPA, ("EUR",)),
    "GB": ("GBP", "EUR"),
}
"""The currencies that accounts of a country can be paid in.

British banks are in the schemes of SEPA, also since the country has left the Union.
"""

_BICS_BESIDE: Mapping[str, tuple[str, ...]] = {
    "FR": ("BL", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"),
    "GB": ("GG", "IM", "JE"),
}
"""Countries whose banks have a BIC of their own, and the IBANs of another."""

_FEDERAL_RESERVE = (range(1, 13), range(21, 33), range(61, 73), range(80, 81))
"""What a routing number begins with: a district, as a bank, a thrift, electronic, or cheques."""


def _routing_number(text: str) -> str:
    from stdnum.us import rtn  # noqa: PLC0415 - see above

    known = any(int(text[:2]) in prefixes for prefixes in _FEDERAL_RESERVE)
    if not known or not rtn.is_valid(text):
        raise PydanticCustomError("routing_number", "is not an ABA routing number")
    return text


def _iban(text: str) -> str:
    """Return an IBAN as machines write it; spaces and small letters are accepted."""
    from stdnum import iban  # noqa: PLC0415 - see above

    compact = text.replace(" ", "").upper()
    if not iban.is_valid(compact, check_country=False):  # its lists of banks lack the newest
        raise PydanticCustomError("iban", "is not a valid IBAN: one of its characters is wrong")
    return compact


def _bic(text: str) -> str:
    from stdnum import bic  # noqa: PLC0415 - see above

    if not bic.is_valid(text):
        raise PydanticCustomError("bic", "is not a BIC")
    return text.upper()


RoutingNumber = Annotated[
    str,
    StringConstraints(pattern="^[0-9]{9}$"),
    AfterValidator(_routing_number),
    Field(description="Of a US account: the ABA routing number.", examples=["110000000"]),
]
AccountNumber = Annotated[
    str,
    StringConstraints(pattern="^[0-9]{5,17}$"),
    Field(description="Of a US account. Never shown again.", examples=["000123456789"]),
]
Iban = Annotated[
    str,
    StringConstraints(pattern="^[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 ]{11,40}$"),
    AfterValidator(_iban),
    Field(
        description="Of any other account; spaces are accepted. Never shown again.",
        examples=["DE89370400440532013000"],
    ),
]
Bic = Annotated[
    str,
    StringConstraints(pattern="^[A-Za-z]{6}[A-Za-z0-9]{2}([A-Za-z0-9]{3})?$"),
    AfterValidator(_bic),
    Field(description="Of the bank of an IBAN, if it is known.", examples=["COBADEFFXXX"]),
]


def payable_country(country: str) -> str:
    """Refuse a country that nothing can be sent to."""
    if country not in PAID_IN:
        raise PydanticCustomError("country", "is not a country that Ivy pays to")
    return country


def payable_currency(currency: str, country: str | None) -> str:
    """Refuse a currency that the accounts of a country are not paid in; None is any country."""
    if country is not None and currency not in PAID_IN[country]:
        raise PydanticCustomError(
            "currency",
            "accounts in {country} are paid in {currencies}",
            {"country": country, "currencies": " or ".join(PAID_IN[country])},
        )
    return currency


def belonging(name: str, sent: str | None, country: str) -> str | None:
    """Refuse a number that the accounts of a country do not have, or the lack of one they have."""
    by_routing_number = country == BY_ROUTING_NUMBER
    needed = ("routing_number", "account_number") if by_routing_number else ("iban",)
    optional = ("account_type",) if by_routing_number else ("bic",)
    if sent is None and name in needed:
        raise PydanticCustomError("missing", "Field required for an account in this country")
    if sent is not None and name not in needed + optional:
        raise PydanticCustomError("not_allowed", "accounts in this country have no such number")
    if sent is not None and name == "iban" and not sent.startswith(country):
        raise PydanticCustomError("iban", "is not of this country")
    if sent is not None and name == "bic":
        banks_of = (country, *_BICS_BESIDE.get(country, ()))
        if sent[4:6] not in banks_of:
            raise PydanticCustomError("bic", "is of a bank in another country than the IBAN")
    return sent
