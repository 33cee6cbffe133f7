from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivy.bank_files import accounts, text
from tests.unit.bank_files.samples import IBAN, ODFI, OTHER_IBAN, RDFI, payout


@pytest.mark.parametrize(
    ("original", "plain"),
    [
        ("Müller & Söhne", "Muller & Sohne"),
        ("Straße", "Strasse"),
        ("Ærø Œuvre Þór Łódź Đoković Ħal", "AEro OEuvre Thor Lodz Dokovic Hal"),
        ("Ivy\u2019s \u201cshop\u201d \u2013 10 €", 'Ivy\'s "shop" - 10 EUR'),
        ("e\u0301", "e"),
        ("\ufb01ne", "fine"),
        ("株式会社 Ivy 한글", "???? Ivy ??"),
        ("a\tb\nc\u00a0d\x00e", "a b c d e"),
        ("  many   blanks  ", "many blanks"),
        ("\u202e\u200bhidden", "??hidden"),
    ],
)
def test_what_becomes_of_letters(original: str, plain: str) -> None:
    assert text.ascii_text(original, 100) == plain


@given(st.text(max_size=300), st.integers(0, 60))
def test_cleaned_text_fits_and_stays_as_it_is(original: str, longest: int) -> None:
    for clean in (text.ascii_text, text.sepa_text):
        once = clean(original, longest)
        assert len(once) <= longest
        assert once.isascii()
        assert not once or once.isprintable()
        assert clean(once, longest) == once
    assert all(each.isalnum() or each in "/-?:().,'+ " for each in text.sepa_text(original, 60))


@given(st.text(max_size=40) | st.integers(0, 2**128 - 1).map(payout))
def test_references_come_back(identifier: str) -> None:
    if not text._OURS_IN_SEPA.fullmatch(identifier):
        assert text.our_reference(text.sepa_reference(identifier)) == identifier


def test_check_digits() -> None:
    assert accounts.is_iban(IBAN)
    assert accounts.is_iban(OTHER_IBAN)
    assert accounts.is_routing_number(ODFI)
    assert accounts.is_routing_number(RDFI)
    assert accounts.is_bic("COBADEFF")
    assert accounts.is_bic("COBADEFFXXX")
    for wrong in ("", "COBADEFFX", "cobadeff", "COBADEFF\n"):
        assert not accounts.is_bic(wrong)
    for at, digit in enumerate(IBAN):
        if digit.isdigit():
            assert not accounts.is_iban(IBAN[:at] + str((int(digit) + 1) % 10) + IBAN[at + 1 :])
    for at, digit in enumerate(ODFI):
        wrong = ODFI[:at] + str((int(digit) + 1) % 10) + ODFI[at + 1 :]
        assert not accounts.is_routing_number(wrong)
