"""Files that are made to do harm: refused early, with what they may cost bounded."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from ivy.bank_files import (
    MAX_FILE_BYTES,
    BankFileError,
    bai2,
    camt053,
    lines,
    nacha_returns,
    pain002,
    xml_messages,
)

CAMT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
PARSERS = [nacha_returns.parse, bai2.parse, camt053.parse, pain002.parse]
LOL = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))

MOST_BYTES = 64 * 1024 * 1024
MOST_SECONDS = 5


def reason(parse: Callable[[bytes], object], content: bytes) -> str:
    """Return why a file is refused, having seen what that took."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BankFileError) as caught:
        parse(content)
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES
    assert seconds < MOST_SECONDS
    return caught.value.reason


@pytest.mark.parametrize("parse", PARSERS)
def test_what_is_too_long_is_not_looked_at(parse: Callable[[bytes], object]) -> None:
    assert f"longer than {MAX_FILE_BYTES} bytes" in reason(parse, b" " * (MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 1000,
        b"\xff\xfe<\x00D\x00",
        b"\xef\xbb\xbf",
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"{}",
        b"\r\n\r\n",
        b"1" * 94,
        b"<" * 100,
        b"01," * 3000,
        b"," * 30_000,
        "Ж".encode("utf-16"),
        "<Document/>".encode("utf-16-le"),
    ],
)
def test_what_is_another_kind_of_file_is_refused(
    parse: Callable[[bytes], object], content: bytes
) -> None:
    with pytest.raises(BankFileError):
        parse(content)


@pytest.mark.parametrize(
    "declarations",
    [
        LOL,
        f'<!ENTITY a9 "{"x" * 9_000}">',
        '<!ENTITY a9 SYSTEM "file:///etc/passwd">',
        '<!ENTITY % a9 SYSTEM "https://example.com/x.dtd"> %a9;',
    ],
)
def test_entities_are_refused_before_they_are_declared(declarations: str) -> None:
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{declarations}]><Document xmlns="{CAMT}">&a9;</Document>'
    assert "document type" in reason(camt053.parse, bomb.encode())
    assert "document type" in reason(camt053.parse, b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>')


def test_depth_and_numbers_and_lengths_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = f'<Document xmlns="{CAMT}">'
    assert "nested deeper" in reason(camt053.parse, (begin + "<a>" * 1_000_000).encode())
    assert "more than 1000000 elements" in reason(
        camt053.parse, (begin + "<a/>" * 2_000_001).encode()
    )
    for piece in ("<a>" + "x" * 10_000, f'<a b="{"x" * 10_000}"/>', "<a " + "b='' " * 3_000):
        assert "without an element" in reason(camt053.parse, (begin + piece).encode())
    parts = "<a>" + "xxxxxxxxxx<!---->" * 100_000
    assert "a text of more than" in reason(camt053.parse, (begin + parts).encode())
    monkeypatch.setattr(xml_messages, "MAX_ELEMENTS", 100)
    content = (begin + "<a>" + "<b/>" * 99).encode()
    assert "more than 100 elements" in reason(camt053.parse, content)


def test_text_between_very_many_elements_costs_no_more_than_it_is_long() -> None:
    content = f'<Document xmlns="{CAMT}"><a>' + "<b/>\n  " * 100_000 + "x</a></Document>"
    assert "text beside its elements" in reason(camt053.parse, content.encode())


@pytest.mark.parametrize("parse", [nacha_returns.parse, bai2.parse])
def test_lines_are_bounded(parse: Callable[[bytes], object]) -> None:
    assert "lines" in reason(parse, b"\n" * (lines.MAX_LINES + 1))
    assert f"longer than {lines.MAX_LINE}" in reason(parse, b"1" * 10_000_000)


def test_fields_and_what_a_field_announces_are_bounded() -> None:
    begin = b"01,BANK,IVY,261125,1030,3,,,2/\n02,IVY,BANK,1,261127,,,2/\n03,1,USD,010,1,,"
    assert "fields" in reason(bai2.parse, begin + b"," * 9_000 + b"/\n")
    assert "fields" in reason(bai2.parse, begin + b"/\n" + b"88,1,2/\n" * 900_000)
    many = begin + b"D,999999999,015,1,,/\n49,1,2/"
    assert "availability that cannot be read" in reason(bai2.parse, many)


def test_a_reason_never_quotes_the_file() -> None:
    secret = b"4111111111111111"
    for content in (
        f'<Document xmlns="{CAMT}"><BkToCstmrStmt>'.encode() + secret,
        b"03," + secret,
        secret * 6,
    ):
        for parse in PARSERS:
            assert secret.decode() not in reason(parse, content)
