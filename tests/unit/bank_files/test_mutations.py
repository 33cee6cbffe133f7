"""A file with one thing changed means the same money, or is refused; it never means other money.

What no format protects, such as a letter of a name, may change. What is paid, returned or booked,
and how often, may not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, bai2, camt053, nacha_returns, pain002
from tests.unit.bank_files.samples import AT, report, returns, statement

ALPHABET = b"0123456789-+.,/<>&;\"' ABCDRTXZaz\n\r\t\x00\xff"


@dataclass(frozen=True)
class Format:
    parse: Callable[[bytes], Any]
    content: bytes
    money: Callable[[Any], object]


def booked(found: tuple[Any, ...]) -> object:
    return [
        (each.opening_minor, each.closing_minor, sorted(line.amount_minor for line in each.lines))
        for each in found
    ]


def came_back(found: Any) -> object:
    return [(each.amount_minor, each.direction) for each in found.entries]


def statuses(found: Any) -> object:
    """Every transfer that is known has the status it had."""
    had = {each.end_to_end_id: each.status for each in report().transfers}
    return all(had.get(each.end_to_end_id, each.status) == each.status for each in found.transfers)


SIGNED = [statement(), statement(-1, 1, 250, opening_minor=-77)]
FORMATS = {
    "ach": Format(nacha_returns.parse, nacha_returns.write(returns(4)), came_back),
    "pain": Format(pain002.parse, pain002.write(report()), statuses),
    "camt": Format(camt053.parse, camt053.write(SIGNED, message_id="m", created_at=AT), booked),
    "bai": Format(
        bai2.parse,
        bai2.write(SIGNED, sender="BANK", receiver="IVY", created_at=AT, number=3),
        booked,
    ),
}


def check(name: str, changed: bytes) -> None:
    known = FORMATS[name]
    try:
        found = known.parse(changed)
    except BankFileError:
        return
    assert known.money(found) == known.money(known.parse(known.content))


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_changed_file_means_the_same_or_nothing(name: str, data: st.DataObject) -> None:
    content = FORMATS[name].content
    at = data.draw(st.integers(0, len(content) - 1))
    until = data.draw(st.integers(at, min(at + 400, len(content))))
    change = data.draw(st.sampled_from(("replace", "insert", "delete", "repeat", "cut")))
    new = bytes(data.draw(st.lists(st.sampled_from(ALPHABET), min_size=1, max_size=4)))
    check(
        name,
        {
            "replace": content[:at] + new[:1] + content[at + 1 :],
            "insert": content[:at] + new + content[at:],
            "delete": content[:at] + content[until:],
            "repeat": content[:until] + content[at:],
            "cut": content[:at],
        }[change],
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_digit_may_be_another(name: str) -> None:
    content = FORMATS[name].content
    for at, byte in enumerate(content):
        if chr(byte).isdigit():
            other = b"%d" % ((byte - ord("0") + 1) % 10)
            check(name, content[:at] + other + content[at + 1 :])


@pytest.mark.parametrize("name", FORMATS)
def test_every_line_may_be_missing_doubled_or_late(name: str) -> None:
    lines = FORMATS[name].content.splitlines(keepends=True)
    for at in range(len(lines)):
        check(name, b"".join(lines[:at] + lines[at + 1 :]))
        check(name, b"".join(lines[: at + 1] + lines[at:]))
        check(name, b"".join(lines[:at] + lines[at : at + 2][::-1] + lines[at + 2 :]))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_refused(name: str) -> None:
    known = FORMATS[name]
    for length in range(len(known.content.rstrip())):
        with pytest.raises(BankFileError):
            known.parse(known.content[:length])
