from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ivy import bank_numbers
from ivy import simulated_bank_accounts as simulated
from ivy.bank_accounts import NewBankAccount
from ivy.bank_numbers import AccountNumber, Bic, Iban, RoutingNumber

PUBLISHED = {
    "AT": "AT61 1904 3002 3457 3201",
    "BE": "BE68 5390 0754 7034",
    "CH": "CH93 0076 2011 6238 5295 7",
    "DE": "DE89 3704 0044 0532 0130 00",
    "ES": "ES91 2100 0418 4502 0005 1332",
    "FR": "FR14 2004 1010 0505 0001 3M02 606",
    "GB": "GB29 NWBK 6016 1331 9268 19",
    "GI": "GI75 NWBK 0000 0000 7099 453",
    "IE": "IE29 AIBK 9311 5212 3456 78",
    "IT": "IT60 X054 2811 1010 0000 0123 456",
    "MT": "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "NL": "NL91 ABNA 0417 1643 00",
    "NO": "NO93 8601 1117 947",
}
"""What the banks of each country publish as an example."""

ROUTING_NUMBERS = ("110000000", "021000021", "011401533", "091000019", "322271627")


def valid(kind: Any, text: object) -> Any:
    """Return a value as it is taken, or None."""
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return None


@pytest.mark.parametrize("country", PUBLISHED)
def test_published_ibans_are_taken_however_they_are_written(country: str) -> None:
    written = PUBLISHED[country]
    compact = written.replace(" ", "")
    for text in (written, compact, compact.lower()):
        assert valid(Iban, text) == compact
    assert country in bank_numbers.PAID_IN


@given(st.sampled_from(sorted(PUBLISHED)), st.integers(2, 40), st.sampled_from("0123456789"))
def test_an_iban_with_one_wrong_digit_is_refused(country: str, place: int, digit: str) -> None:
    compact = PUBLISHED[country].replace(" ", "")
    place = 2 + place % (len(compact) - 2)
    wrong = compact[:place] + digit + compact[place + 1 :]
    assert valid(Iban, wrong) == (compact if wrong == compact else None)


@given(st.integers(0, 7), st.sampled_from(ROUTING_NUMBERS), st.sampled_from("0123456789"))
def test_a_routing_number_with_one_wrong_digit_is_refused(
    place: int, number: str, digit: str
) -> None:
    wrong = number[:place] + digit + number[place + 1 :]
    assert valid(RoutingNumber, wrong) == (number if wrong == number else None)


@pytest.mark.parametrize(
    "number", ["000000000", "130000000", "11000000", "1100000000", "11000000O"]
)
def test_what_no_bank_has_is_no_routing_number(number: str) -> None:
    assert valid(RoutingNumber, number) is None


@given(st.text(max_size=45) | st.from_regex("[A-Z]{2}[0-9]{2}[A-Z0-9 ]{11,40}", fullmatch=True))
def test_any_text_is_taken_as_it_is_kept_or_refused(text: str) -> None:
    """The database's own rules hold for everything that is taken; the rest is refused."""
    for kind, most in ((Iban, 34), (Bic, 11), (RoutingNumber, 9), (AccountNumber, 17)):
        taken = valid(kind, text)
        if taken is not None:
            assert taken.isascii()
            assert taken.isalnum()
            assert taken == taken.upper()
            assert 4 < len(taken) <= most


@pytest.mark.parametrize(
    "text",
    ["१२३४५", "12345\n", " 12345", "1234", "1" * 18, "12-345", "\uff11\uff12\uff13\uff14\uff15"],
)
def test_what_is_no_account_number(text: str) -> None:
    assert valid(AccountNumber, text) is None


@pytest.mark.parametrize("country", sorted(bank_numbers.PAID_IN))
def test_every_country_has_a_currency_and_a_form(country: str) -> None:
    from stdnum import iban  # noqa: PLC0415 - as late as in the module itself

    assert bank_numbers.PAID_IN[country]
    if country != bank_numbers.BY_ROUTING_NUMBER:
        assert iban._ibandb.info(f"{country}00")[0][1], "stdnum knows the structure of its IBANs"


def test_a_number_is_not_shown_by_accident() -> None:
    new = NewBankAccount(
        country="DE", currency="EUR", account_holder_name="Ada", iban=PUBLISHED["DE"]
    )
    assert new.number == "DE89370400440532013000"
    assert "0532013" not in f"{new!r} {new}"


def test_accounts_for_tests_lead_where_they_say() -> None:
    assert simulated.return_code("000123456789") is None
    assert simulated.return_code("000123000001") == "R01"
    assert simulated.return_code("DE89370400440532013000") is None
    assert simulated.return_code("anybody's") is None
    codes = {*simulated.ACCOUNT_NUMBERS.values(), *simulated.IBANS.values()}
    returns = {"R01", "R02", "R03", "R04", "R16", "R20", "R23", "R29", "R31"}
    assert codes == {None, *returns, "AC01", "AC04", "AC06", "AG01"}
    for number, code in simulated.ACCOUNT_NUMBERS.items():
        assert valid(AccountNumber, number) == number
        assert code is None or number[-2:] == code[1:]
    assert all(valid(Iban, number) == number for number in simulated.IBANS)
    assert valid(RoutingNumber, simulated.ROUTING_NUMBER) is not None


def test_nobody_imports_the_arithmetic_before_it_is_needed() -> None:
    look = "import sys, ivy.bank_accounts; sys.exit('stdnum' in sys.modules)"
    subprocess.run([sys.executable, "-c", look], check=True)


def test_the_page_has_the_accounts_for_tests() -> None:
    page = (Path(__file__).parents[2] / "docs" / "payouts.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for number, code in {**simulated.ACCOUNT_NUMBERS, **simulated.IBANS}.items():
        (row,) = [row for row in rows if f"`{number}`" in row]
        assert (code or "arrives") in row
