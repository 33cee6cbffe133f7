from __future__ import annotations

from dataclasses import replace
from datetime import date
from importlib.resources import files
from typing import Any

import pytest
import xmlschema
from defusedxml import ElementTree  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, IbanAccount, Mandate, PaymentFile, UsAccount, pain008
from tests.unit.bank_files.samples import IBAN, iban_file

SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.008.001.08}"
SCHEMA = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.008.001.08.xsd")))
MANDATE = Mandate("IVY-2026/17", date(2026, 11, 2))


def collecting(file: PaymentFile, **changed: Any) -> PaymentFile:
    """Return a file whose every payment has a mandate, and whatever else is named."""
    return replace(
        file,
        originator=replace(file.originator, creditor_id="DE98ZZZ09999999999"),
        transfers=tuple(replace(each, mandate=MANDATE, **changed) for each in file.transfers),
    )


def texts(content: bytes, name: str) -> list[str]:
    return [each.text for each in ElementTree.fromstring(content).iter(SPACE + name)]


def refusal(file: PaymentFile) -> str:
    with pytest.raises(BankFileError) as caught:
        pain008.write(file)
    assert caught.value.line is None
    return caught.value.reason


def test_the_official_schema_accepts_the_file() -> None:
    SCHEMA.validate(pain008.write(collecting(iban_file())).decode())


def test_the_schema_refuses_what_is_not_the_format() -> None:
    content = pain008.write(collecting(iban_file())).decode()
    assert not SCHEMA.is_valid(content.replace("<PmtMtd>DD</PmtMtd>", "<PmtMtd>TRF</PmtMtd>"))
    assert not SCHEMA.is_valid(content.replace("RCUR", "EVER"))


@given(st.text(min_size=1, max_size=300), st.text(max_size=300))
@settings(max_examples=40)
def test_whatever_is_written_in_names_and_remittance_the_schema_accepts(
    name: str, text: str
) -> None:
    file = collecting(iban_file(count=1), party_name=f"A{name}", remittance=(text,))
    SCHEMA.validate(pain008.write(file).decode())


def test_it_says_who_may_collect_what_from_whom() -> None:
    content = pain008.write(collecting(iban_file()))
    assert texts(content, "EndToEndId") == [f"po-{each:032x}" for each in (1, 2, 3)]
    assert texts(content, "InstdAmt") == ["10.01", "20.02", "30.03"]
    assert texts(content, "CtrlSum") == ["60.06"] * 2
    assert texts(content, "MndtId") == ["IVY-2026/17"] * 3
    assert texts(content, "DtOfSgntr") == ["2026-11-02"] * 3
    assert texts(content, "ReqdColltnDt") == ["2026-11-27"]
    assert texts(content, "Cd") == ["SEPA", "B2B"]
    ours, *theirs = texts(content, "IBAN")
    assert (ours, len(theirs)) == (IBAN, 3)
    assert IBAN not in theirs
    assert "DE98ZZZ09999999999" in texts(content, "Id")


def test_the_same_file_has_the_same_bytes() -> None:
    assert pain008.write(collecting(iban_file())) == pain008.write(collecting(iban_file()))


def test_what_the_scheme_does_not_carry_is_refused() -> None:
    file = collecting(iban_file())
    assert "EUR only" in refusal(collecting(iban_file("GBP")))
    assert "without a mandate" in refusal(
        replace(file, transfers=(replace(file.transfers[0], mandate=None),))
    )
    assert "creditor identifier" in refusal(
        replace(file, originator=replace(file.originator, creditor_id=""))
    )
    assert "at most 999,999,999.99" in refusal(collecting(iban_file(count=1), amount_minor=10**11))
    assert "a debtor's account has no IBAN" in refusal(
        collecting(iban_file(), party=UsAccount("021000021", "1"))
    )
    assert "no valid BIC" in refusal(collecting(iban_file(), party=IbanAccount(IBAN, "DEUT")))
    unnamed = replace(file.transfers[0], mandate=Mandate("has blanks", MANDATE.signed_on))
    assert "a mandate's reference" in refusal(replace(file, transfers=(unnamed,)))
