"""Files from banks in the encodings that they come in."""

from __future__ import annotations

import codecs
from datetime import UTC, date, datetime

import pytest

from ivy import bank_readings
from ivy.bank_files import BankFileError, bai2, camt053
from ivy.bank_files.statements import Statement, StatementLine

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = date(2026, 11, 30)
LINES = (StatementLine(500, DAY, "REF", None, "A LINE"),)
CAMT = camt053.write(
    [Statement("DE75512108001245126199", "EUR", "S", DAY, 0, 500, LINES)],
    message_id="M", created_at=NOON,
)  # fmt: skip
BAI = bai2.write(
    [Statement("900000000001", "USD", "", DAY, 0, 500, LINES)],
    sender="BANK", receiver="IVY", created_at=NOON, number=7,
)  # fmt: skip


@pytest.mark.parametrize("content", [CAMT, BAI])
def test_a_mark_of_utf_8_changes_nothing(content: bytes) -> None:
    assert bank_readings.read(codecs.BOM_UTF8 + content) == bank_readings.read(content)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("content", [CAMT, BAI])
def test_wider_characters_are_refused_by_their_name(content: bytes, encoding: str) -> None:
    with pytest.raises(BankFileError, match="in UTF-16: let the bank send UTF-8"):
        bank_readings.read(content.decode().encode(encoding))
