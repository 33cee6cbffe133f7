"""Looking at the stack's documents, on the emulator's own S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.errors import UsageError
from local.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws import Aws


@pytest.fixture
def files(aws: Aws) -> Iterator[Files]:
    s3 = aws.client("s3")
    for name in ("ivy-documents-1", "assets"):
        s3.create_bucket(Bucket=name)
    written = {"bank/out/b.ach": b"101 1", "bank/out/a.ach": b"101 22", "bank/in/c": b"\xff"}
    for key, content in written.items():
        s3.put_object(Bucket="ivy-documents-1", Key=key, Body=content)
    yield Files(aws)
    for key in written:
        s3.delete_object(Bucket="ivy-documents-1", Key=key)
    for name in ("ivy-documents-1", "assets"):
        s3.delete_bucket(Bucket=name)


def test_each_file_is_listed_with_its_size(files: Files) -> None:
    lines = [line.split()[2:] for line in files.table("bank/out").split("\n")]
    assert sorted(lines) == [["5", "bank/out/b.ach"], ["6", "bank/out/a.ach"]]
    assert len(files.table("").split("\n")) == 3
    with pytest.raises(UsageError, match="no file under 'reports/'"):
        files.table("reports/")


def test_a_file_is_printed_whatever_is_in_it(files: Files) -> None:
    assert files.newest("bank/out/b") == "101 1"
    assert files.newest("bank/in") == "\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UsageError, match="no file under 'reports/'"):
        files.newest("reports/")
