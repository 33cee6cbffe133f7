"""Layers unpacked once per content and shared by every worker, as ``/opt`` is on Lambda.

The emulator unpacks every layer again for each worker it starts: 1,400 files, which takes a slow
disk longer than everything else a cold start does. So a layer is unpacked here, once, and what the
emulator is given in its place holds one path configuration file that leads there. Functions import
the same bytes, in the same order of precedence, from one place.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

PACKAGES = "python/"
LINK = "python/lib/python3/site-packages/layer.pth"
"""The emulator makes every directory of this form a site directory, as Lambda does."""

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def is_layer(asset: bytes) -> bool:
    """Tell whether this is a zip of what Lambda would put on Python's path below ``/opt``."""
    if not zipfile.is_zipfile(io.BytesIO(asset)):
        return False
    with zipfile.ZipFile(io.BytesIO(asset)) as packed:
        return all(name.startswith(PACKAGES) for name in packed.namelist())


def link(archive: bytes, folder: Path | None) -> bytes:
    """Unpack a layer below a folder unless it is there, and return a layer that leads to it.

    Without a folder it is returned as it is: functions in containers do not see this disk.
    """
    if folder is None:
        return archive
    directory = folder / hashlib.sha256(archive).hexdigest()[:16]
    if not directory.exists():
        folder.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=".unpack-"))
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(staged)
        with suppress(OSError):  # another start has just put the same there
            os.rename(staged, directory)  # noqa: PTH104 - must not replace
        shutil.rmtree(staged, ignore_errors=True)
    line = f"import sys; sys.path.insert(0, {str(directory / PACKAGES)!r})\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr(zipfile.ZipInfo(LINK, ZIP_EPOCH), line)
    return content.getvalue()
