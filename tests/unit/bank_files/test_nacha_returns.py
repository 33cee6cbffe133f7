from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, nacha_returns
from ivy.bank_files.nacha_returns import ReturnedEntry
from tests.unit.bank_files.ach_checker import complaints
from tests.unit.bank_files.samples import ODFI, returns

entries = st.builds(
    ReturnedEntry,
    code=st.sampled_from(("R01", "R02", "R03", "R04", "R16", "R20", "R23", "R29", "R31", "R85")),
    original_trace=st.integers(0, 9_999_999).map(lambda each: f"{ODFI[:8]}{each:07d}"),
    amount_minor=st.integers(0, 9_999_999_999),
    account_number=st.text("0123456789ABCabc-", min_size=1, max_size=17),
    receiver_bank=st.integers(0, 99_999_999).map(lambda each: f"{each:08d}"),
    name=st.text("ABC xyz", max_size=16).map(lambda each: " ".join(each.split())),
    company_id=st.text("ABC123", min_size=1, max_size=10),
    direction=st.sampled_from(("credit", "debit")),
    kind=st.sampled_from(("checking", "savings")),
    entry_class=st.sampled_from(("CCD", "CTX", "PPD")),
)


@given(st.lists(entries, min_size=1, max_size=12))
def test_returns_come_back_as_they_were_written(drawn: list[ReturnedEntry]) -> None:
    whole = replace(returns(), entries=tuple(drawn))
    content = nacha_returns.write(whole)
    assert nacha_returns.parse(content) == whole
    assert complaints(content) == []


def test_each_entry_says_what_it_returns_and_on_which_line() -> None:
    content = nacha_returns.write(returns())
    lines = content.decode().splitlines()
    found = nacha_returns.parse(content).entries
    assert [(each.code, each.trace, each.amount_minor) for each in found] == [
        ("R02", 1, 111),
        ("R16", 2, 222),
        ("R03", 3, 333),
    ]
    assert all(lines[each.line].startswith(f"799{each.code}") for each in found)


def test_lines_may_end_as_on_windows() -> None:
    content = nacha_returns.write(returns())
    assert nacha_returns.parse(content.replace(b"\n", b"\r\n")) == returns()
    assert nacha_returns.parse(content.rstrip(b"\n")) == returns()


def test_debits_that_came_back_are_read_as_well() -> None:
    """As an ACH operator gives them: its own number, mixed service class, batches from anywhere."""
    rows = [
        "101 12100024869100013412611250600A094101A BANK                 AN OPERATOR",
        f"5200{'ACME':36}123456789 WEBTRANSFER  261124261127   1021000020000007",
        f"6261210002481234567{'':10}0000012354{'RENT':15}{'PAUL JONES':22}S 1021000027611242",
        f"799R01121000240000042{'':6}02100002{'ASKED TWICE':44}021000027611242",
        f"82000000020012100024{12354:012d}{0:012d} 123456789{'':25}021000020000007",
        f"9000001000001000000020012100024{12354:012d}{0:012d}",
        *["9" * 94] * 4,
    ]
    found = nacha_returns.parse("\n".join(f"{row:94}" for row in rows).encode())
    (entry,) = found.entries
    assert (entry.code, entry.trace, entry.amount_minor) == ("R01", 42, 12_354)
    assert (entry.direction, entry.company_id, entry.entry_class) == ("debit", "123456789", "WEB")
    assert (found.origin, found.destination) == ("6910001341", ODFI)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "R61"},
        {"code": "R1"},
        {"code": "C01"},
        {"original_trace": "021000020000001"},
        {"original_trace": "12100024000000"},
        {"amount_minor": -1},
        {"amount_minor": 10_000_000_000},
        {"account_number": ""},
        {"receiver_bank": "1"},
        {"company_id": ""},
        {"entry_class": "COR"},
    ],
)
def test_an_entry_that_does_not_fit_is_not_written(change: dict[str, object]) -> None:
    entry = replace(returns().entries[0], **change)
    with pytest.raises(BankFileError):
        nacha_returns.write(replace(returns(), entries=(entry,)))


def test_a_file_that_does_not_fit_is_not_written() -> None:
    for change in ({"entries": ()}, {"origin": "021000022"}, {"modifier": "a"}):
        with pytest.raises(BankFileError):
            nacha_returns.write(replace(returns(), **change))


def test_ten_thousand_returns() -> None:
    assert nacha_returns.parse(nacha_returns.write(returns(10_000))) == returns(10_000)
