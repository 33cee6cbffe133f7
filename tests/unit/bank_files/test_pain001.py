from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
import xmlschema
from defusedxml import ElementTree  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, IbanAccount, PaymentFile, UsAccount, pain001
from ivy.money import currencies
from tests.unit.bank_files.samples import IBAN, iban_file, payout

SPACE = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
SCHEMA = xmlschema.XMLSchema(str(files("sepaxml").joinpath("schemas", "pain.001.001.09.xsd")))


def texts(content: bytes, name: str) -> list[str]:
    return [each.text for each in ElementTree.fromstring(content).iter(SPACE + name)]


def refusal(file: PaymentFile) -> str:
    with pytest.raises(BankFileError) as caught:
        pain001.write(file)
    assert caught.value.line is None
    return caught.value.reason


@pytest.mark.parametrize("currency", ["EUR", "USD", "JPY", "KWD"])
def test_the_official_schema_accepts_the_file(currency: str) -> None:
    SCHEMA.validate(pain001.write(iban_file(currency)).decode())


def test_the_schema_refuses_what_is_not_the_format() -> None:
    content = pain001.write(iban_file()).decode()
    assert not SCHEMA.is_valid(content.replace("<PmtMtd>TRF</PmtMtd>", "<PmtMtd>XXX</PmtMtd>"))
    assert not SCHEMA.is_valid(content.replace("ChrgBr", "Charges"))


@given(st.text(min_size=1, max_size=300), st.text(max_size=300))
@settings(max_examples=40)
def test_whatever_is_written_in_names_and_remittance_the_schema_accepts(
    name: str, text: str
) -> None:
    for currency in ("EUR", "USD"):
        file = iban_file(currency, count=1)
        transfer = replace(file.transfers[0], party_name=f"A{name}", remittance=(text,))
        SCHEMA.validate(pain001.write(replace(file, transfers=(transfer,))).decode())


@pytest.mark.parametrize(
    ("currency", "amounts", "total"),
    [
        ("EUR", ["10.01", "20.02", "30.03"], "60.06"),
        ("JPY", ["1001", "2002", "3003"], "6006"),
        ("KWD", ["1.001", "2.002", "3.003"], "6.006"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    currency: str, amounts: list[str], total: str
) -> None:
    content = pain001.write(iban_file(currency))
    assert texts(content, "InstdAmt") == amounts
    assert texts(content, "CtrlSum") == [total, total]
    assert texts(content, "NbOfTxs") == ["3", "3"]


@given(
    st.lists(st.integers(1, 99_999_999_999), min_size=1, max_size=9),
    st.sampled_from(("EUR", "JPY", "KWD")),
)
def test_the_control_sum_is_the_sum(amounts_minor: list[int], currency: str) -> None:
    file = iban_file(currency, len(amounts_minor))
    transfers = tuple(
        replace(each, amount_minor=amount)
        for each, amount in zip(file.transfers, amounts_minor, strict=True)
    )
    content = pain001.write(replace(file, transfers=transfers))
    total = sum(map(Decimal, texts(content, "InstdAmt")))
    assert {Decimal(each) for each in texts(content, "CtrlSum")} == {total}
    assert total.scaleb(currencies()[currency].exponent) == sum(amounts_minor)


def test_euros_go_through_the_sepa_and_others_do_not() -> None:
    euros, dollars = pain001.write(iban_file()), pain001.write(iban_file("USD"))
    assert texts(euros, "Cd") == ["SEPA"]
    assert texts(euros, "ChrgBr") == ["SLEV"]
    assert texts(dollars, "Cd") == []
    assert texts(dollars, "ChrgBr") == ["SHAR"]


def test_identifiers_are_whole_and_in_the_characters_of_the_sepa() -> None:
    content = pain001.write(iban_file())
    assert texts(content, "EndToEndId") == [payout(n).replace("_", "-") for n in (1, 2, 3)]
    other = replace(iban_file().transfers[0], end_to_end_id="ORDER_12")
    content = pain001.write(replace(iban_file(), transfers=(other,)))
    assert texts(content, "EndToEndId") == ["ORDER_12"]


def test_names_are_cleaned_and_cut() -> None:
    content = pain001.write(iban_file(name="Gößwein & Søn; Łódź \u682a" + "x" * 500))
    assert texts(content, "Nm")[-1] == ("Gosswein + Son, Lodz ?" + "x" * 500)[:70]
    content = pain001.write(iban_file("USD", name="Gößwein\x00\ufffe & Søn " + "x" * 500))
    assert texts(content, "Nm")[-1] == ("Gößwein & Søn " + "x" * 500)[:140]


def test_the_same_input_gives_the_same_bytes() -> None:
    assert pain001.write(iban_file()) == pain001.write(iban_file())
    assert pain001.write(iban_file()).startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n')


def test_what_does_not_fit_is_refused() -> None:
    file = iban_file(count=1)

    def with_transfer(**changes: Any) -> PaymentFile:
        return replace(file, transfers=(replace(file.transfers[0], **changes),))

    def with_account(account: IbanAccount | UsAccount) -> PaymentFile:
        return replace(file, originator=replace(file.originator, account=account))

    assert "999,999,999.99 EUR" in refusal(with_transfer(amount_minor=100_000_000_000))
    assert "has no IBAN" in refusal(with_transfer(party=UsAccount("021000021", "1")))
    assert "no valid IBAN" in refusal(with_transfer(party=IbanAccount(IBAN[:-1] + "1")))
    assert "no valid BIC" in refusal(with_transfer(party=IbanAccount(IBAN, "DEUT")))
    assert "no character" in refusal(with_transfer(party_name="\u682a"))
    assert "no valid IBAN" in refusal(with_account(IbanAccount(IBAN.lower())))
    assert "company_id" in refusal(
        replace(file, originator=replace(file.originator, company_id="two words"))
    )


def test_ten_thousand_transfers() -> None:
    content = pain001.write(iban_file(count=10_000))
    assert texts(content, "NbOfTxs") == ["10000", "10000"]
    assert texts(content, "CtrlSum")[0] == f"{Decimal(1_001 * 10_000 * 10_001 // 2).scaleb(-2)}"
    assert len(set(texts(content, "EndToEndId"))) == 10_000
