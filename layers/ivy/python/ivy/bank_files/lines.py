"""Text files of records, one on each line: within bounds, and in plain ASCII."""

from __future__ import annotations

from collections.abc import Iterator

from ivy.bank_files import MAX_FILE_BYTES, BankFileError

MAX_LINES = 1_000_000
MAX_LINE = 20_000


def read_lines(content: bytes) -> Iterator[tuple[int, str]]:
    """Return each line with its number, without what ends it.

    Raises:
        BankFileError: It is empty, too long, or has anything but printable ASCII.
    """
    if not content:
        raise BankFileError(None, "the file is empty")
    if len(content) > MAX_FILE_BYTES:
        raise BankFileError(None, f"longer than {MAX_FILE_BYTES} bytes")
    if content.count(b"\n") > MAX_LINES:
        raise BankFileError(None, f"more than {MAX_LINES} lines")
    begin = 0
    for line in range(1, MAX_LINES + 2):
        end = content.find(b"\n", begin)
        row = content[begin : end if end >= 0 else len(content)].removesuffix(b"\r")
        if len(row) > MAX_LINE:
            raise BankFileError(line, f"longer than {MAX_LINE} characters")
        if not row.isascii() or (row and not row.decode("ascii").isprintable()):
            raise BankFileError(line, "not printable ASCII")
        yield line, row.decode("ascii")
        begin = end + 1
        if end < 0 or begin == len(content):
            return
