from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from ivy import money
from ivy.models import AmountMinor, CurrencyCode, Input, Metadata, Paragraphs, ShortText, Text, Time


def accepts(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("character", [*range(0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF])
def test_text_refuses_what_cannot_be_stored(character: int) -> None:
    assert not accepts(Text, f"a{chr(character)}b")


@pytest.mark.parametrize(
    "text", ["plain", "Ünïcödé", "日本", "🍃", "שלום\u200f!", "\u0645\u06cc\u200c\u062e", "a\xa0b"]
)
def test_text_accepts_what_people_write(text: str) -> None:
    assert TypeAdapter(Text).validate_python(text) == text


@pytest.mark.parametrize("turning", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_text_refuses_what_shows_it_as_another(turning: str) -> None:
    """A name in a report, or an amount beside it, must read as it is."""
    assert not accepts(Text, f"gro.{turning}knab")
    assert not accepts(Paragraphs, f"gro.{turning}knab")


@pytest.mark.parametrize("end", "\u2028\u2029\x85")
def test_text_has_one_line(end: str) -> None:
    assert not accepts(Text, f"a{end}b")


def test_short_text_has_limits() -> None:
    assert accepts(ShortText, "x" * 255)
    assert not accepts(ShortText, "x" * 256)
    assert not accepts(ShortText, "")


@pytest.mark.parametrize(
    ("metadata", "fine"),
    [
        ({}, True),
        ({f"k{n}": "" for n in range(50)}, True),
        ({f"k{n}": "" for n in range(51)}, False),
        ({"k" * 40: "v" * 500}, True),
        ({"k" * 41: "v"}, False),
        ({"": "v"}, False),
        ({"k": "v" * 501}, False),
        ({"k": 1}, False),
        ({"k": None}, False),
        ({"k": {"nested": "v"}}, False),
        ({"k\x00": "v"}, False),
        ({"k": "v\x00"}, False),
        ([["k", "v"]], False),
    ],
)
def test_metadata_limits(metadata: object, fine: bool) -> None:
    assert accepts(Metadata, metadata) is fine


@pytest.mark.parametrize(
    ("amount", "fine"),
    [
        (1, True),
        (money.MAX_AMOUNT_MINOR, True),
        (money.MAX_AMOUNT_MINOR + 1, False),
        (0, False),
        (-1, False),
        (1.0, False),
        ("1", False),
        (True, False),
        (float("inf"), False),
        (10**400, False),
        (None, False),
    ],
)
def test_amounts_are_positive_integers(amount: object, fine: bool) -> None:
    assert accepts(AmountMinor, amount) is fine


def test_currencies_are_read_in_either_case() -> None:
    assert TypeAdapter(CurrencyCode).validate_python("usd") == "USD"


@pytest.mark.parametrize(
    "wrong", ["US", "XXX", "XAU", "", "US$", "\uff35\uff33\uff24", 840, None, ["USD"]]
)
def test_other_currencies_are_refused(wrong: object) -> None:
    assert not accepts(CurrencyCode, wrong)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    class Timed(BaseModel):
        at: Time

    east = timezone(timedelta(hours=5, minutes=30))
    at = datetime(2026, 1, 1, 2, 0, 0, 123_999, tzinfo=east)
    assert Timed(at=at).model_dump_json() == '{"at":"2025-12-31T20:30:00.123Z"}'
    with pytest.raises(ValidationError):
        Timed.model_validate({"at": "2026-01-01T00:00:00"})


def test_unknown_fields_are_refused() -> None:
    class Asked(Input):
        name: str = ""

    with pytest.raises(ValidationError, match="extra_forbidden"):
        Asked.model_validate({"nmae": "typo"})
