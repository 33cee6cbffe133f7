"""Builds the layers and synthesises the templates, unless nothing they depend on has changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from contextlib import contextmanager
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from local.errors import LocalError
from local.home import PROJECT, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASSEMBLY = PROJECT / "cdk.out"
BUILD = PROJECT / "build"
SYNTH_SECONDS = 300

INPUTS = (
    *("infra", "functions", "layers/ivy/python/ivy"),
    *("requirements/runtime.txt", "docs/openapi.json", "cdk.json"),
)
"""Everything that decides what is deployed; the CDK's own version is added to it."""

FINGERPRINT = "inputs.json"


def assembly() -> tuple[Path, bool]:
    """Return the cloud assembly of the working tree and whether it had to be made.

    Raises:
        LocalError: It cannot be made; the message holds what the synthesis printed.
    """
    with _alone():
        wanted = fingerprint()
        stamp = BUILD / FINGERPRINT
        if stamp.exists() and (ASSEMBLY / "manifest.json").exists():
            if json.loads(stamp.read_text()).get("digest") == wanted:
                return ASSEMBLY, False
            stamp.unlink()
        _synthesise()
        write_private(stamp, json.dumps({"digest": wanted}) + "\n")
        return ASSEMBLY, True


def fingerprint(root: Path = PROJECT) -> str:
    """Return a digest of everything that decides what is deployed."""
    digest = hashlib.sha256(sys.version.encode())
    for name in INPUTS:
        for path in _files(root / name):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)} {content}\n".encode())
    for found in sorted(_cdk()):
        digest.update(found.encode())
    return digest.hexdigest()


def schema_fingerprint(root: Path = PROJECT) -> str:
    """Return a digest of the database schema and of what applies it."""
    digest = hashlib.sha256()
    for name in ("layers/ivy/python/ivy/schema", "functions/database"):
        for path in _files(root / name):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(
            entry
            for entry in path.rglob("*")
            if entry.is_file() and "__pycache__" not in entry.parts
        )


def _cdk() -> list[str]:
    names = {"aws-cdk-lib", "constructs", "cdk-nag", "fastapi-offline"}
    return [f"{d.name}=={d.version}" for d in distributions() if d.name in names]


def _synthesise() -> None:
    """Run the CDK application in a process of its own.

    Its own process, because it keeps 200 MB and a Node process for as long as it lives.
    """
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "infra.app", "--target", "local", "--out", str(ASSEMBLY)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=SYNTH_SECONDS,
        check=False,
    )
    if done.returncode:
        raise LocalError(
            f"The templates cannot be synthesised:\n{(done.stderr or done.stdout).strip()[-4000:]}",
            "Correct what the last lines name (functions/ or infra/), then run it again.",
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two stacks that start together from building into each other's output."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
