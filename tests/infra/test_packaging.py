"""What Lambda would have on its path is enough to import every handler."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest

from infra import layers
from infra.catalogue import read_functions
from ivy.needs import Need
from ivy.serve.declaration import DEPLOYED_AS

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six")
"""What the Lambda runtime brings by itself."""

OWN_LAYERS = (Need.REFERENCE, Need.STRIPE)
"""Needs that bring a layer of their own name."""

EVERYTHING = ("dependencies", "ivy", "stripe")

IMPORT = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
for module in json.loads(sys.argv[2]):
    importlib.import_module(module)
"""


def everything_imported(folder: Path) -> set[str]:
    """Modules that sources name anywhere, also inside functions, where imports are kept lazy."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        typing_only: set[ast.AST] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                typing_only.update(*(ast.walk(each) for each in node.body))
            elif node in typing_only:
                continue
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return found - {"__future__"}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the Lambda runtime brings, and nothing else of this environment."""
    folder = tmp_path_factory.mktemp("runtime")
    installed = Path(boto3.__file__).parents[1]
    for name in RUNTIME_PACKAGES:
        source = installed / name
        (folder / name).symlink_to(source) if source.exists() else (
            folder / f"{name}.py"
        ).symlink_to(installed / f"{name}.py")
    return folder


OF_THE_RUNTIME = {"snapshot_restore_py"}
"""What Lambda has beside boto3, and asks for only where a snapshot is taken."""


@pytest.fixture(scope="module")
def built() -> dict[str, layers.Layer]:
    return layers.build("local", stripe=True)


def refused(paths: list[Path], modules: set[str], deployed_as: str | None = None) -> str:
    """Import with an interpreter that knows the standard library and these paths; what it says.

    Where it is the environment of a function, that function is prepared for its first request.
    """
    of_function = {
        DEPLOYED_AS: deployed_as,
        "AWS_DEFAULT_REGION": "us-east-1",
        "IVY_IDEMPOTENCY_TABLE": "a-table",
    }
    done = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", IMPORT),
            *(json.dumps([str(path) for path in paths]), json.dumps(sorted(modules))),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={name: value for name, value in of_function.items() if deployed_as and value},
    )
    assert done.returncode == 0 or done.stderr
    return done.stderr


def test_every_handler_imports_with_its_layers_alone(
    built: dict[str, layers.Layer], runtime: Path, tmp_path: Path
) -> None:
    for function in read_functions():
        task = tmp_path / function.name
        zipfile.ZipFile(function.zipped(tmp_path)).extractall(task)
        names = ["dependencies", "ivy"]
        names += [need for need in OWN_LAYERS if need in function.declaration.needs]
        paths = [task, *(built[name].directory / "python" for name in names), runtime]
        modules = {function.handler.removesuffix(".handler"), *everything_imported(task)}
        assert refused(paths, modules, function.name) == "", function.name


def test_what_ivy_imports_later_is_there_too(built: dict[str, layers.Layer], runtime: Path) -> None:
    paths = [*(built[name].directory / "python" for name in EVERYTHING), runtime]
    modules = everything_imported(layers.IVY)
    assert {"fastapi", "mangum", "boto3", *OF_THE_RUNTIME} <= modules
    assert refused(paths, modules - OF_THE_RUNTIME) == ""


def test_the_check_sees_a_missing_module(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "needy.py").write_text("def later():\n    import fastapi\n")
    assert refused([tmp_path, runtime], {"needy"}) == ""
    assert "fastapi" in refused([tmp_path, runtime], everything_imported(tmp_path))
