"""Card numbers: recognised wherever they stand in a text, so that none is stored or logged.

A card number is 13 to 19 decimal digits, of any script, whose last is the Luhn check digit. The
digits may stand in groups with one space, dash or invisible character between two groups. A group
that touches a Latin letter is part of a word, such as an id or a hexadecimal string, and a UUID is
never one. In a longer row of groups every sequence of whole groups is tried, because an expiry
date and a security code often follow the number.

One number of this form in ten has a right check digit by chance, so a time in milliseconds or a
shop's own order number can be taken for a card number; a letter before its first digit prevents
that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

REDACTED = "[card number]"
MIN_DIGITS, MAX_DIGITS = 13, 19

_WORD = r"[A-Za-z\d]"
# Unicode's spaces, its dashes and minus sign, and the marks that are not seen at all.
_BETWEEN = (
    r"[\s\-\u2010-\u2015\u2043\u2212\u2e3a\u2e3b\u301c\u3030\ufe31\ufe32\ufe58\ufe63\uff0d"
    r"\u00ad\u058a\u05be\u1806\u200b-\u200d\u2060\ufeff]"
)
_GROUP = rf"\d{{1,{MAX_DIGITS}}}+(?!{_WORD})"
# Possessive throughout: nothing is ever tried twice, so hostile text costs no more than its length.
_ROW = re.compile(
    rf"(?<!{_WORD})(?:"
    rf"[0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}(?!{_WORD})"
    rf"|(?P<groups>(?=(?:\d|{_BETWEEN}){{{MIN_DIGITS}}}){_GROUP}(?:{_BETWEEN}{_GROUP})*+))"
)
_DIGITS = re.compile(r"\d+")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""A digit doubled, and the digits of the result added."""


def found(text: str) -> bool:
    """Say whether a text contains a card number."""
    return next(_places(text), None) is not None


def redact(text: str) -> str:
    """Return a text with ``REDACTED`` in place of every card number."""
    kept, end = [], 0
    for start, stop in _places(text):
        if start >= end:
            kept += [text[end:start], REDACTED]
        end = max(end, stop)
    return "".join([*kept, text[end:]]) if kept else text


def redacted(value: Any) -> Any:
    """Return a value of dicts, lists and texts with every text in it redacted, keys included."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redacted(key): redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def _places(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number, in the order of their starts; they may overlap."""
    if len(text) < MIN_DIGITS:  # most names and values of a request or a log line
        return
    for row in _ROW.finditer(text):
        if row["groups"]:
            for start, stop in _sequences(row["groups"]):
                yield row.start() + start, row.start() + stop


def _sequences(row: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sequence of whole groups in a row that is a card number."""
    groups = [group.span() for group in _DIGITS.finditer(row)]
    digits = [int(digit) for start, stop in groups for digit in row[start:stop]]
    if len(digits) < MIN_DIGITS:
        return
    # sums[p][n] is what Luhn's sum of the first n digits would be if every other digit, beginning
    # with one at position p, counted once: so each sequence costs one subtraction.
    sums = [
        list(
            accumulate(
                (
                    digit if index % 2 == parity else _DOUBLED[digit]
                    for index, digit in enumerate(digits)
                ),
                initial=0,
            )
        )
        for parity in (0, 1)
    ]
    ends = list(accumulate((stop - start for start, stop in groups), initial=0))
    for first, (start, _) in enumerate(groups):
        for last in range(first, len(groups)):
            begin, end = ends[first], ends[last + 1]
            if end - begin > MAX_DIGITS:
                break
            if end - begin >= MIN_DIGITS:
                counted = sums[(end - 1) % 2]
                if (counted[end] - counted[begin]) % 10 == 0:
                    yield start, groups[last][1]
