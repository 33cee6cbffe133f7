"""Bank accounts for tests: what a bank would answer to a payout to each of them.

In test mode every account with valid numbers can be added, and is verified with the amounts 32 and
45. What is not listed here takes payouts, as the first of each kind does.
"""

from __future__ import annotations

from collections.abc import Mapping

ROUTING_NUMBER = "110000000"
"""Of the bank of all US accounts below; any other one will do."""

ACCOUNT_NUMBERS: Mapping[str, str | None] = {
    "000123456789": None,
    "000123000001": "R01",
    "000123000002": "R02",
    "000123000003": "R03",
    "000123000004": "R04",
    "000123000016": "R16",
    "000123000020": "R20",
    "000123000023": "R23",
    "000123000029": "R29",
    "000123000031": "R31",
}
"""US account numbers, and the ACH return code that each leads to; None takes payouts."""

IBANS: Mapping[str, str | None] = {
    "DE89370400440532013000": None,
    "DE57370400440000000101": "AC01",
    "DE73370400440000000104": "AC04",
    "DE19370400440000000106": "AC06",
    "DE73370400440000000201": "AG01",
    "GB29NWBK60161331926819": None,
    "GB69NWBK60161300000101": "AC01",
    "GB85NWBK60161300000104": "AC04",
    "GB31NWBK60161300000106": "AC06",
    "GB85NWBK60161300000201": "AG01",
}
"""The same with IBANs, and the reason codes of SEPA: AC01, AC04, AC06, AG01."""


def return_code(number: str) -> str | None:
    """Return why a payout to an account number or IBAN comes back; None when it does not."""
    return {**ACCOUNT_NUMBERS, **IBANS}.get(number)
