"""Layers: what is in them, what is not, and that the same content is the same archive."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from infra import layers
from infra.target import target_named

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 12_000_000
"""Each worker of the emulator unzips its own copy, and each cold start on AWS loads it."""

UNCHECKED_HASH = 0b01
FORBIDDEN = ("boto3", "botocore", "s3transfer", "urllib3", "pytest", "cffi", "pycparser")


@pytest.fixture(scope="module")
def built() -> dict[str, layers.Layer]:
    return layers.build("local")


def test_no_aws_library_and_nothing_that_never_runs(built: dict[str, layers.Layer]) -> None:
    names = {path.name for path in (built["dependencies"].directory / "python").iterdir()}
    assert {"fastapi", "psycopg", "psycopg_binary", "pydantic", "argon2"} <= names
    assert names.isdisjoint(FORBIDDEN)


def test_slim(built: dict[str, layers.Layer]) -> None:
    assert built["dependencies"].archive.stat().st_size < MOST_BYTES


JUDGE = """
import sys
sys.path[:0] = sys.argv[1:]
from ivy.bank_accounts import NewBankAccount
who = {"account_holder_name": "Ada"}
NewBankAccount(country="DE", currency="EUR", iban="DE89370400440532013000", bic="COBADEFF", **who)
us = {"routing_number": "110000000", "account_number": "12345"}
NewBankAccount(country="US", currency="USD", **us, **who)
"""


def test_what_is_left_of_stdnum_is_enough(built: dict[str, layers.Layer]) -> None:
    paths = [str(built[name].directory / "python") for name in ("dependencies", "ivy")]
    subprocess.run([sys.executable, "-I", "-S", "-c", JUDGE, *paths], check=True, timeout=60)
    stdnum = built["dependencies"].directory / "python" / "stdnum"
    assert sorted(each.name for each in stdnum.iterdir() if each.is_dir()) == [
        "__pycache__",
        "iso7064",
        "us",
    ]


@pytest.mark.parametrize("name", ["dependencies", "ivy"])
def test_every_module_is_compiled_and_trusted_without_a_look(
    built: dict[str, layers.Layer], name: str
) -> None:
    sources = list(built[name].directory.rglob("*.py"))
    assert sources
    for source in sources:
        compiled = importlib.util.cache_from_source(str(source))
        with open(compiled, "rb") as file:  # noqa: PTH123 - the path is a string already
            head = file.read(8)
        assert head[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(head[4:], "little") == UNCHECKED_HASH


def test_licences_and_entry_points_stay(built: dict[str, layers.Layer]) -> None:
    python = built["dependencies"].directory / "python"
    assert list(python.glob("opentelemetry_api-*.dist-info/entry_points.txt"))
    assert list(python.glob("psycopg-*.dist-info/licenses/*"))


def test_reference_carries_what_the_page_needs(built: dict[str, layers.Layer]) -> None:
    names = zipfile.ZipFile(built["reference"].archive).namelist()
    for asset in layers.SWAGGER_ASSETS:
        assert f"python/ivy_reference/{asset}" in names


def test_built_once_per_content(
    built: dict[str, layers.Layer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a layer was built again")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert layers.build("local") == built


def test_the_same_archive_from_another_folder(tmp_path: Path) -> None:
    digests = set()
    for folder in ("a", "b"):
        layer = layers._build(
            target_named("local"), tmp_path / folder, "ivy", layers._files(layers.IVY), layers._ivy
        )
        digests.add(hashlib.sha256(layer.archive.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_without_uv_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(layers.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(layers.LayerError, match=r"requirements/uv\.txt"):
        layers.uv()
