from __future__ import annotations

import pytest
from achkit import RETURN_CODES

from ivy.bank_files import reasons


@pytest.mark.parametrize(
    ("code", "failure_code"),
    [
        ("R01", "insufficient_funds"),
        ("R02", "account_closed"),
        ("R03", "no_account"),
        ("R04", "invalid_account_number"),
        ("R05", "not_authorized"),
        ("R16", "account_frozen"),
        ("R20", "non_transaction_account"),
        ("R23", "credit_refused"),
        ("R29", "not_authorized"),
        ("R31", "permissible_return"),
        ("R77", "returned"),
        ("", "returned"),
    ],
)
def test_ach_codes(code: str, failure_code: str) -> None:
    found = reasons.ach_failure(code)
    assert (found.code, found.failure_code) == (code, failure_code)


@pytest.mark.parametrize(
    ("code", "failure_code"),
    [
        ("AC01", "invalid_account_number"),
        ("AC04", "account_closed"),
        ("AC06", "account_frozen"),
        ("AG01", "non_transaction_account"),
        ("AC13", "non_transaction_account"),
        ("AM04", "insufficient_funds"),
        ("MD01", "not_authorized"),
        ("MS02", "stopped"),
        ("SL01", "stopped"),
        ("ZZ99", "rejected"),
        (None, "rejected"),
    ],
)
def test_iso_codes(code: str | None, failure_code: str) -> None:
    found = reasons.iso_failure(code)
    assert (found.code, found.failure_code) == (code or "", failure_code)


def test_every_failure_has_a_sentence_and_every_sentence_a_failure() -> None:
    used = {*reasons.ACH.values(), *reasons.ISO.values(), "returned", "rejected"}
    assert used == set(reasons.SENTENCES)
    for sentence in reasons.SENTENCES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")


def test_ach_codes_are_those_that_others_list() -> None:
    assert set(RETURN_CODES) <= set(reasons.ACH)
