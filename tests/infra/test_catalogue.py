"""Reading declarations: what a file under functions/ must be."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest

from infra.catalogue import CatalogueError, read_functions

if TYPE_CHECKING:
    from pathlib import Path

    from infra.catalogue import Function

JOB = """
from ivy.serve import job

@job("rate(1 minute)")
def handler() -> None:
    '''Do nothing.'''
"""


def write(folder: Path, name: str, text: str) -> None:
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_names_come_from_the_path(tmp_path: Path) -> None:
    write(tmp_path, "bank_runs/close_day", JOB)
    (function,) = read_functions(tmp_path)
    assert function.name == function.declaration.name == "bank_runs/close_day"
    assert function.handler == "functions.bank_runs.close_day.handler"
    assert function.physical_name("shop") == "shop-bank-runs-close-day"
    assert function.construct_id == "BankRunsCloseDay"


@pytest.mark.parametrize("text", ["", "handler = print\n"])
def test_a_file_without_a_declaration_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, "odd/one", text)
    with pytest.raises(CatalogueError, match=r"functions/odd/one\.py"):
        read_functions(tmp_path)


def test_a_zip_holds_one_file_and_is_always_the_same(tmp_path: Path) -> None:
    write(tmp_path / "functions", "odd/two", JOB)
    (function,) = read_functions(tmp_path / "functions")
    digests = set()
    for build in ("a", "b"):
        path = function.zipped(tmp_path / build)
        assert zipfile.ZipFile(path).namelist() == ["functions/odd/two.py"]
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_physical_names_fit_and_differ(functions: list[Function]) -> None:
    names = [function.physical_name("ivy") for function in functions]
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 64
