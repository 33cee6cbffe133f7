"""Build what functions share: third-party wheels, the ``ivy`` package, the API reference.

What only one of them needs is a layer of its own, such as the package that speaks to Stripe.

Plain functions without CDK, so that the local stack can call them alone. Each layer is built once
per content into a directory named after its hash, beside a zip whose bytes depend on nothing but
that content::

    build/layers/dependencies-local-3f2a9c1b7d40/python/…
    build/layers/dependencies-local-3f2a9c1b7d40.zip

Bytecode is compiled with unchecked hashes, because ``/opt`` is read-only and a layer without it
spends half a second of every cold start compiling. Only the target's own minor version can make
it: see docs/decisions/layers.md for what happens when this machine does not have that one.
"""

from __future__ import annotations

import email
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.target import Target, target_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / "build"
REQUIREMENTS = REPOSITORY / "requirements" / "runtime.txt"
STRIPE_REQUIREMENTS = REQUIREMENTS.with_name("stripe.txt")
IVY = REPOSITORY / "layers" / "ivy" / "python" / "ivy"
OPENAPI = REPOSITORY / "docs" / "openapi.json"

DIGEST_CHARACTERS = 12
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip can hold: the same content is the same archive on every machine."""

BUILD_SECONDS = 300

PRUNED = (
    "bin",  # console scripts point at the interpreter that installed them
    "cffi",  # argon2's compiled module needs _cffi_backend only
    "pycparser",  # same: used when cffi builds, never when it runs
    "pydantic/mypy.py",  # a type checker's plugin
    "anyio/pytest_plugin.py",  # a test runner's plugin
    "fastapi/.agents",  # documentation
    "aws_lambda_powertools/event_handler",  # FastAPI is the HTTP engine
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/kafka",
    "stripe/params",  # types of requests, for type checkers
)
KEPT_ALONE = {
    "stdnum": (  # of the numbers of the world, those of bank accounts alone
        *("__init__.py", "exceptions.py", "numdb.py", "util.py", "iso7064"),
        *("iban.py", "iban.dat", "bic.py", "us/__init__.py", "us/rtn.py"),
    ),
}
"""Packages of which little is used, and what that is."""

PRUNED_SUFFIXES = (".pyi", ".pyx", ".pxd", ".c", ".h")
KEPT_METADATA = ("METADATA", "entry_points.txt", "licenses")
SWAGGER_WHEEL = "fastapi-offline"
"""Carries Swagger UI 5: the older releases that other wheels carry cannot show OpenAPI 3.1."""

SWAGGER_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js")


class LayerError(RuntimeError):
    """A layer cannot be built; the message says what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One built layer: a directory that holds ``python/…``, and the same as a zip."""

    name: str
    directory: Path
    archive: Path
    digest: str


def build(target: str, out: Path | None = None, *, stripe: bool = False) -> dict[str, Layer]:
    """Build the layers of a target that are not built yet and return all of them by name.

    Args:
        target: ``local`` (this machine and interpreter) or ``aws`` (Python 3.13 on arm64).
        out: Where builds are kept, ``build/`` of the repository when left out.
        stripe: Whether the layer of the one function that speaks to Stripe is wanted.

    Raises:
        LayerError: uv is missing, or it could not install the locked wheels.
    """
    chosen = target_named(target)
    folder = (out or BUILD) / "layers"
    locks = {"dependencies": REQUIREMENTS, **({"stripe": STRIPE_REQUIREMENTS} if stripe else {})}
    return {
        **{
            name: _build(chosen, folder, name, [lock], partial(_wheels, lock))
            for name, lock in locks.items()
        },
        "ivy": _build(chosen, folder, "ivy", _files(IVY), _ivy),
        "reference": _build(chosen, folder, "reference", _reference_inputs(), _reference),
    }


def archive(files: Iterable[tuple[str, Path]], path: Path) -> Path:
    """Write a zip of (name inside, file) pairs whose bytes depend on their content alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, source in sorted(files):
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.external_attr = (0o755 if source.suffix == ".so" else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, source.read_bytes())
    partial.replace(path)
    return path


def uv() -> str:
    """Return the path of uv, or fail saying how to get it."""
    beside = Path(sys.executable).parent / "uv"
    found = os.environ.get("UV") or (str(beside) if beside.exists() else shutil.which("uv"))
    if found is None:
        raise LayerError(
            "uv is not installed: run `python -m pip install -r requirements/uv.txt`, or `make dev`"
        )
    return found


def _build(
    target: Target,
    folder: Path,
    name: str,
    inputs: list[Path],
    fill: Callable[[Target, Path], None],
) -> Layer:
    """Fill a directory once per content; a half-made one is never visible under its name."""
    digest = _digest(target, inputs)
    directory = folder / f"{name}-{target.name}-{digest}"
    packed = directory.with_name(f"{directory.name}.zip")
    if not packed.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as work:
            staged = Path(work) / "layer"
            python = staged / "python"
            python.mkdir(parents=True)
            fill(target, python)
            _compile(target, python)
            _publish(staged, directory)
        archive(((str(p.relative_to(directory)), p) for p in _files(directory)), packed)
    return Layer(name=name, directory=directory, archive=packed, digest=digest)


def _publish(staged: Path, directory: Path) -> None:
    """Move a finished build to its name; losing the race to an equal build is fine."""
    try:
        staged.rename(directory)
    except OSError:
        if not directory.is_dir():
            raise


def _digest(target: Target, inputs: list[Path]) -> str:
    """Hash what decides a layer's content: the files, the target, and this recipe."""
    told = hashlib.sha256()
    told.update(f"{target.python}|{target.platform}|{_interpreter(target) is not None}".encode())
    for path in (Path(__file__), *sorted(inputs)):
        told.update(path.name.encode())
        told.update(hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:DIGEST_CHARACTERS]


def _files(folder: Path) -> list[Path]:
    """Every file below a folder except this machine's own bytecode of a source tree."""
    own_bytecode = folder == IVY
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (own_bytecode and path.suffix == ".pyc")
    ]


def _wheels(lock: Path, target: Target, python: Path) -> None:
    """Install the locked wheels for the target, hashes checked, and drop what never runs."""
    command = [
        *(uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary", ":all:", "--link-mode", "copy", "--target", str(python)),
        *("--python", sys.executable, "--requirements", str(lock)),
    ]
    if target.platform is not None:
        command += ["--python-platform", target.platform, "--python-version", target.python]
    done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
        command, check=False, capture_output=True, text=True, timeout=BUILD_SECONDS
    )
    if done.returncode:
        raise LayerError(f"uv could not install requirements/{lock.name}:\n{done.stderr.strip()}")
    _prune(python)


def _prune(python: Path) -> None:
    for unused in PRUNED:
        path = python / unused
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for package, kept in KEPT_ALONE.items():
        _prune_others(python / package, {python / package / each for each in kept})
    for path in list(python.rglob("*")):
        if path.is_file() and path.suffix in PRUNED_SUFFIXES:
            path.unlink()
    for metadata in python.glob("*.dist-info"):
        _prune_metadata(metadata)
    (python / ".lock").unlink(missing_ok=True)  # uv's own


def _prune_others(package: Path, kept: set[Path]) -> None:
    """Remove every file of a package that is not kept, nor in a folder that is."""
    for path in [*package.rglob("*")]:
        if path.is_file() and kept.isdisjoint((path, *path.parents)):
            path.unlink()
    for folder in sorted((each for each in package.rglob("*") if each.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def _prune_metadata(metadata: Path) -> None:
    """Keep what is read at run time (version, entry points) and the licences."""
    for path in metadata.iterdir():
        if path.name in KEPT_METADATA:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    described = metadata / "METADATA"
    headers = email.message_from_string(described.read_text(encoding="utf-8"))
    kept = [f"{key}: {headers[key]}" for key in ("Metadata-Version", "Name", "Version")]
    described.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _ivy(target: Target, python: Path) -> None:
    del target  # pure Python
    shutil.copytree(IVY, python / "ivy", ignore=shutil.ignore_patterns("__pycache__"))


def _swagger_folder() -> Path:
    try:
        wheel = importlib.metadata.distribution(SWAGGER_WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise LayerError(
            f"{SWAGGER_WHEEL} is not installed: run `make dev`, or install requirements/dev.txt"
        ) from error
    entry = next(f for f in wheel.files or [] if f.name == SWAGGER_ASSETS[0])
    return Path(str(wheel.locate_file(entry))).parent


def _reference_inputs() -> list[Path]:
    assets = [_swagger_folder() / name for name in SWAGGER_ASSETS]
    return [*assets, *([OPENAPI] if OPENAPI.exists() else [])]


def _reference(target: Target, python: Path) -> None:
    del target  # data only
    folder = python / "ivy_reference"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        '"""The API reference: openapi.json and the Swagger UI assets."""\n', encoding="utf-8"
    )
    for path in _reference_inputs():
        shutil.copyfile(path, folder / path.name)


def _interpreter(target: Target) -> str | None:
    """An interpreter of the target's minor version on this machine, if there is one."""
    if target.python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(f"python{target.python}")
    if found is None:
        return None
    # A version manager leaves shims on PATH for versions it would not start.
    probe = subprocess.run([found, "-c", ""], check=False, capture_output=True)  # noqa: S603 - no shell
    return found if probe.returncode == 0 else None


def _compile(target: Target, python: Path) -> None:
    """Compile to bytecode that is trusted as it is, with tracebacks naming /opt/python."""
    interpreter = _interpreter(target)
    if interpreter is None:
        return
    subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [
            *(interpreter, "-m", "compileall", "-q", "-f", "-j", "0"),
            *("--invalidation-mode", "unchecked-hash"),
            *("-s", str(python), "-p", "/opt/python", str(python)),
        ],
        check=True,
        timeout=BUILD_SECONDS,
    )
