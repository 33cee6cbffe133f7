from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ivy import card_numbers
from ivy.card_numbers import REDACTED, found, redact, redacted

# What the brands publish for tests.
NUMBERS = {
    "Visa, 13 digits": "4222222222222",
    "Visa": "4242424242424242",
    "Visa debit": "4000056655665556",
    "Visa, older": "4111111111111111",
    "Visa, another": "4012888888881881",
    "Mastercard": "5555555555554444",
    "Mastercard, 2 series": "2223003122003222",
    "Mastercard, older": "5105105105105100",
    "American Express": "378282246310005",
    "American Express, older": "371449635398431",
    "Discover": "6011111111111117",
    "Discover, older": "6011000990139424",
    "Diners Club, 14 digits": "36227206271667",
    "Diners Club, older": "30569309025904",
    "Diners Club, 16 digits": "3056930009020004",
    "JCB": "3566002020360505",
    "JCB, older": "3530111333300000",
    "Maestro": "6759649826438453",
    "Maestro, 19 digits": "6799990100000000019",
    "UnionPay": "6200000000000005",
    "UnionPay, 19 digits": "6205500000000000004",
    "of no brand": "1234567812345670",
}
VISA = NUMBERS["Visa"]

SEPARATORS = [
    *" \t\n-",
    *"\u00a0\u1680\u2002\u2009\u202f\u205f\u3000",  # spaces
    *"\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d\u058a\u1806",  # dashes
    *"\u200b\u200c\u200d\u2060\ufeff\u00ad",  # invisible
]
ZEROES = [*"0\u0660\u06f0\u0966\u09e6\u0e50\uff10\U0001d7ce"]


def luhn(digits: str) -> bool:
    """Luhn as its patent tells it, from right to left."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = unicodedata.digit(digit) * (1 + index % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def completed(digits: str) -> str:
    """Return digits and their check digit."""
    return next(digits + check for check in "0123456789" if luhn(digits + check))


numbers = st.text("0123456789", min_size=12, max_size=18).map(completed)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_the_numbers_that_brands_publish(number: str) -> None:
    assert luhn(number)
    assert found(number)
    assert redact(f"card {number}, please") == f"card {REDACTED}, please"
    for digit in "0123456789":
        assert found(number[:-1] + digit) is (digit == number[-1])


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "3782 822463 10005",
        "6205 5000 0000 0000 004",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2",
        "4242\u20134242\u00a04242-4242",
        "\uff14\uff12\uff14\uff12 \uff14\uff12\uff14\uff12 4242 4242",
        "4242\u200b4242\u200b4242\u200b4242",
        "\u0664\u0662" * 8,
    ],
)
def test_ways_to_write_one(text: str) -> None:
    assert redact(text) == REDACTED


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"{VISA} 12/29 123", "{} 12/29 123"),
        (f"{VISA} 12 29 123", "{} 12 29 123"),
        ("100 4242 4242 4242 4242 12", "100 {} 12"),
        ("4242 4242 4242 4242 2nd try", "{} 2nd try"),
        (f"pan={VISA}&cvc=123", "pan={}&cvc=123"),
        (f"card_{VISA}", "card_{}"),
        (f"order-{VISA}", "order-{}"),
        (f"+{VISA}", "+{}"),
        (f"({VISA})", "({})"),
        (f"{VISA}.00", "{}.00"),
        (f"カード{VISA}です", "カード{}です"),
        (f"é{VISA}é", "é{}é"),
        (f"{VISA}@example.com", "{}@example.com"),
        (f"{VISA},{VISA}\n{VISA}.", "{},{}\n{}."),
        (f"11111111111111111111 {VISA}", "11111111111111111111 {}"),
    ],
)
def test_only_the_number_is_taken_out(text: str, kept: str) -> None:
    assert redact(text) == kept.replace("{}", REDACTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "424242424242",  # 12 digits; their check digit is wrong anyway
        completed("12345678901"),  # 12, and right
        completed("1234567890123456789"),  # 20, and right
        f"ch_{'0' * 32}",
        "ch_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        f"x{VISA}",
        f"{VISA}x",
        f"0x{VISA}",
        f"{VISA}e5",
        f"DE89{VISA}",
        f"{VISA}4242",
        f"1{VISA}",
        "4242  4242 4242 4242",
        "4242--4242-4242-4242",
        "4242.4242.4242.4242",
        "4242,4242,4242,4242",
        "4242/4242/4242/4242",
        "4242 4242 x 4242 4242",
        "4242 4242x 4242 4242",
        "42424242-4242-4242-8242-424242424242",  # a UUID, if an unlikely one
        "42424242-4242-4242-A242-424242424242",
        "2026-11-24T09:30:00.000Z",
        "\u2463\u2461" * 8,  # digits in circles are not decimal digits
    ],
)
def test_what_is_none(text: str) -> None:
    assert not found(text)
    assert redact(text) is text


@given(
    numbers,
    st.data(),
    st.sampled_from(["", "card: ", "é", "_", "x ", "12345678901234567890,", "\U0001f4b3", "№"]),
    st.sampled_from(["", ".", " x", "_", ", thanks", "カ", "\x00", "\ud800"]),
)
def test_a_number_is_found_however_it_is_written(
    number: str, data: st.DataObject, before: str, after: str
) -> None:
    zero = data.draw(st.sampled_from(ZEROES))
    separators = data.draw(st.lists(st.sampled_from(["", *SEPARATORS]), min_size=19, max_size=19))
    written = "".join(
        digit + separator
        for digit, separator in zip(
            (chr(ord(zero) + int(digit)) for digit in number), separators, strict=False
        )
    )
    written = written.rstrip("".join(SEPARATORS))
    assert found(before + written + after)
    assert redact(before + written + after) == before + REDACTED + after


@given(numbers, st.integers(0, 18), st.integers(1, 9))
def test_one_wrong_digit_and_it_is_none(number: str, index: int, off_by: int) -> None:
    index %= len(number)
    wrong = number[:index] + str((int(number[index]) + off_by) % 10) + number[index + 1 :]
    assert not found(wrong)


def places(text: str) -> set[int]:
    """Every index inside a card number, by trying every substring."""
    inside: set[int] = set()
    for start in range(len(text)):
        for end in range(start + 13, min(len(text), start + 37) + 1):
            piece = text[start:end]
            digits = re.sub(r"[ -]", "", piece)
            if (
                re.fullmatch(r"[0-9]([ -]?[0-9]){12,18}", piece)
                and not re.match(r"[0-9A-Za-z]", text[start - 1 : start])
                and not re.match(r"[0-9A-Za-z]", text[end : end + 1])
                and luhn(digits)
            ):
                inside |= set(range(start, end))
    return inside


@given(
    st.text("0123456789 -x,", max_size=60)
    | st.lists(
        st.sampled_from([" ", "-", ",", "  ", "x"])
        | numbers
        | st.text("0123456789", min_size=1, max_size=6),
        max_size=24,
    ).map("".join)
)
@example("4242 4242 4242 4242 4242 4242")
@settings(max_examples=500, deadline=None)
def test_it_is_found_exactly_where_trying_everything_finds_it(text: str) -> None:
    inside = places(text)
    assert found(text) is bool(inside)
    pieces = re.split(re.escape(REDACTED), redact(text))
    outside = "".join(char for index, char in enumerate(text) if index not in inside)
    assert "".join(pieces) == outside
    assert not found(redact(text))


HOSTILE = {
    "one row of digits": "1" * 2**18,
    "a letter after them": "1" * (2**18 - 1) + "a",
    "each digit apart": "1 " * 2**17,
    "apart, then a letter": "1 " * (2**17 - 1) + "1a",
    "words": "1a " * 87_381,
    "the longest groups": ("1" * 19 + " ") * 13_107,
    "too long groups": ("1" * 20 + "-") * 12_483,
    "broken off late": ("1" * 18 + " 1a ") * 11_915,
    "almost a UUID": "ffffffff-1111-ffff-1111-fffffffffff-" * 7_281,
    "hexadecimal": "0123456789abcdef" * 2**14,
    "dashes": "-" * 2**18,
    "foreign": "\u0661" * 2**17,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(text: str) -> None:
    """Were the time its square, these 256 KB would not end within the hour."""
    assert redact(text) == text


def test_every_number_of_a_large_text_is_taken_out() -> None:
    assert redact(f"{VISA}," * 15_000) == f"{REDACTED}," * 15_000


def test_redacting_goes_into_everything() -> None:
    number = int(VISA)
    value = {"a": [VISA, {"b": f"x {VISA}"}], VISA: (VISA, None, True), "n": 7, "id": VISA + "x"}
    assert redacted(value) == {
        "a": [REDACTED, {"b": f"x {REDACTED}"}],
        REDACTED: [REDACTED, None, True],
        "n": 7,
        "id": VISA + "x",
    }
    assert redacted(number) == number


@given(numbers)
def test_our_own_ids_are_none(number: str) -> None:
    for identifier in (f"ch_{number.zfill(32)}", f"tok{number}", number.zfill(32)):
        assert not found(identifier)


def test_the_bounds_are_those_of_iso_7812() -> None:
    assert (card_numbers.MIN_DIGITS, card_numbers.MAX_DIGITS) == (13, 19)
