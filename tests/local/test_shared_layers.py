from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from local.shared_layers import is_layer, link

if TYPE_CHECKING:
    from pathlib import Path


def packed(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


LAYER = packed({"python/probe/__init__.py": "WHERE = __file__\n"})


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        (LAYER, True),
        (packed({"functions/charges/create.py": ""}), False),
        (packed({"python/a.py": "", "bin/tool": ""}), False),
        (b'{"Resources": {}}', False),
    ],
)
def test_only_what_belongs_on_pythons_path_is_a_layer(asset: bytes, *, expected: bool) -> None:
    assert is_layer(asset) is expected


def test_a_linked_layer_imports_what_was_unpacked_once(tmp_path: Path) -> None:
    folder = tmp_path / "shared's layers"
    linked = link(LAYER, folder)
    assert link(LAYER, folder) == linked
    (directory,) = folder.iterdir()
    opened = tmp_path / "layer_0"
    with zipfile.ZipFile(io.BytesIO(linked)) as archive:
        archive.extractall(opened)
    script = (
        f"import site; site.addsitedir({str(opened / 'python/lib/python3/site-packages')!r});"
        "import probe; print(probe.WHERE)"
    )
    printed = subprocess.run(
        [sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == str(directory / "python/probe/__init__.py")


def test_another_content_gets_another_place(tmp_path: Path) -> None:
    assert link(LAYER, tmp_path) != link(packed({"python/probe.py": ""}), tmp_path)


def test_without_a_shared_disk_the_layer_stays_as_it_is() -> None:
    assert link(LAYER, None) is LAYER
