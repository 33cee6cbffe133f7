"""A Python of its own for the emulator, with nothing of the project in it.

The emulator runs every function on the interpreter that runs the emulator itself. On the
project's interpreter a function would import the project's working tree and every development
tool; on this one it sees what Lambda gives it: the standard library, boto3 and its layers. (And
the emulator's own few packages, which the layers precede on the path.)
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PROVIDED = ("ministack", "boto3")
"""The emulator, and what Lambda's own runtime brings."""

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def prepare(directory: Path) -> Path:
    """Make, or bring up to date, a small virtual environment of links into this one.

    Returns:
        Its Python.
    """
    needed = sorted(entry for found in _closure(PROVIDED) for entry in _entries(found))
    python = directory / "bin" / "python"
    stamp = directory / "links.txt"
    wanted = "\n".join([sys.version, sys.executable, *map(str, needed)])
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    if directory.exists():
        shutil.rmtree(directory)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = directory / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    python.parent.mkdir()
    base = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # noqa: SLF001 - what venv uses
    (directory / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\n"
    )
    python.symlink_to(base)
    for entry in needed:
        (packages / entry.name).symlink_to(entry)
    stamp.write_text(wanted)
    return python


def _closure(names: tuple[str, ...]) -> list[Distribution]:
    """Return the named distributions and all that they require."""
    waiting, found = list(names), dict[str, Distribution]()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # required on another platform only
        waiting += [
            match.group()
            for requirement in found[name].requires or ()
            if "extra ==" not in requirement and (match := _NAME.match(requirement))
        ]
    return list(found.values())


def _entries(found: Distribution) -> set[Path]:
    """Return the top-level files and directories that a distribution installed."""
    root = Path(str(found.locate_file("")))
    tops = {file.parts[0] for file in found.files or ()}
    return {root / top for top in tops if top not in {"..", "__pycache__"}}
