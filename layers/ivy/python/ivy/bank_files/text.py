"""Names and remittance in the characters that a bank's system takes.

Letters lose their accents, other scripts become question marks, and text is cut where a field ends.
Only text is ever changed so: identifiers, account numbers and amounts are written whole or refused.
"""

from __future__ import annotations

import re
import unicodedata

from ivy.bank_files import BankFileError

MAX_TEXT = 10_000
"""Of longer text only the beginning is looked at."""

_SPELT = (
    "\u00dfss \u1e9eSS \u00e6ae \u00c6AE \u0153oe \u0152OE \u00feth \u00deTh \u00f8o \u00d8O "
    "\u0111d \u0110D \u00f0d \u00d0D \u0142l \u0141L \u0131i \u0127h \u0126H \u014bn \u014aN "
    '\u2018\' \u2019\' \u201a\' \u201c" \u201d" \u201e" \u00ab" \u00bb" '
    "\u2010- \u2011- \u2012- \u2013- \u2014- \u2212- \u20acEUR \u00a3GBP \u00a5JPY"
)
_LETTERS = str.maketrans({each[0]: each[1:] for each in _SPELT.split()})
"""What has no accent to lose."""

_NOT_SEPA = re.compile(r"[^A-Za-z0-9/\-?:().,'+ ]")
_SEPA = str.maketrans({"&": "+", '"': "'", "_": "-", ";": ",", "[": "(", "]": ")"})
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OURS = re.compile(r"([a-z]{2,4})_([0-9a-f]{32})")
_OURS_IN_SEPA = re.compile(r"([a-z]{2,4})-([0-9a-f]{32})")


def ascii_text(text: str, longest: int) -> str:
    """Return text in printable ASCII: what ACH and BAI2 take."""
    bare = text[:MAX_TEXT].translate(_LETTERS)
    return one_line(bare if bare.isascii() else "".join(map(_plain, bare)), longest)


def sepa_text(text: str, longest: int) -> str:
    """Return text in the characters that every bank of the SEPA must take."""
    plain = ascii_text(text, MAX_TEXT).translate(_SEPA)
    return one_line(_NOT_SEPA.sub(".", plain), longest)


def one_line(text: str, longest: int) -> str:
    """Return text that XML can hold, on one line, without blanks at the ends, and cut."""
    printable = "".join(each if each.isprintable() else " " for each in _NOT_XML.sub(" ", text))
    return " ".join(printable.split())[:longest].rstrip()


def require_name(cleaned: str, what: str) -> str:
    """Return a cleaned name; raises BankFileError where nothing legible is left of it."""
    if not any(each.isalnum() for each in cleaned):
        raise BankFileError(None, f"{what} has no character that this format can carry")
    return cleaned


def sepa_reference(identifier: str) -> str:
    """Return an id of ours as SEPA files spell it: banks need not take an underscore."""
    ours = _OURS.fullmatch(identifier)
    return f"{ours[1]}-{ours[2]}" if ours else identifier


def our_reference(reference: str) -> str:
    """Return what ``sepa_reference`` was given."""
    ours = _OURS_IN_SEPA.fullmatch(reference)
    return f"{ours[1]}_{ours[2]}" if ours else reference


def _plain(character: str) -> str:
    """Return what is left of a character in ASCII: one question mark where that is nothing."""
    parts = unicodedata.normalize("NFKD", character)
    kept = [each for each in parts if not unicodedata.combining(each)]
    if not any(each.isascii() for each in kept):
        return "?" if kept else ""
    return "".join(each if each.isascii() else "?" for each in kept)
