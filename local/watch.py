"""Puts edited files into the running functions, without deploying the stack again.

A function's file becomes its code; a file of the ``ivy`` package becomes a new layer version that
every function then uses. What a function *is* (its decorator) is in the templates, so a changed
declaration, a new file or a removed one deploys again, which takes longer and says so.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.errors import LocalError
from local.home import PREFIX, PROJECT
from local.shared_layers import link

if TYPE_CHECKING:
    from local.aws import Aws
    from local.home import Home
    from local.progress import Progress
    from local.stack import LocalStack

FUNCTIONS = PROJECT / "functions"
PACKAGE = PROJECT / "layers" / "ivy" / "python" / "ivy"
INFRA = PROJECT / "infra"
LAYER = "ivy"
CALLS_AT_ONCE = 8
QUIET_MS = 200
"""How long files must be still before a change is acted on: an editor writes in several steps."""


class Watcher:
    """A thread that follows the working tree for as long as the stack runs."""

    def __init__(self, stack: LocalStack, progress: Progress) -> None:
        self._stack = stack
        self._progress = progress
        self._updater = Updater(stack.aws, stack.home, stack.layers)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._declared = declarations()
        self._owed: set[Path] = set()

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; an update under way is finished first."""
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        from watchfiles import PythonFilter, watch  # noqa: PLC0415 - only when watching

        for changes in watch(
            *(FUNCTIONS, PACKAGE, INFRA),
            watch_filter=PythonFilter(extra_extensions=(".sql",)),
            step=QUIET_MS,
            stop_event=self._stop,
            raise_interrupt=False,
        ):
            try:
                self._apply({Path(path) for _, path in changes})
            except Exception as error:  # noqa: BLE001 - a bad edit must not end the stack
                self._progress.say(f"✗ Not updated: {error}", style="red")

    def _apply(self, changed: set[Path]) -> None:
        """Do the least that makes the running functions equal the working tree."""
        began = time.monotonic()
        changed = self._owed = self._owed | changed  # with what an earlier save left undone
        parse(changed)
        what = ", ".join(sorted(str(path.relative_to(PROJECT)) for path in changed))
        declared = declarations()
        if declared != self._declared or any(INFRA in path.parents for path in changed):
            self._progress.say(f"… {what}: the templates change, so the stack deploys again")
            self._stack.redeploy()
            self._declared = declared
        else:
            for path in changed & declared.keys():
                self._updater.function(path)
            if any(PACKAGE in path.parents for path in changed):
                self._updater.package()
            if any(path.suffix == ".sql" for path in changed):
                self._stack.migrate()
        self._owed = set()
        self._progress.say(f"✓ {what} updated in {time.monotonic() - began:.1f} s")


class Updater:
    """Replaces code in the deployed functions, and remembers that it did.

    CloudFormation does not know of these updates. A later deployment of an unchanged template
    would leave them in place, so the next start repeats them from the files of that moment.
    """

    def __init__(self, aws: Aws, home: Home, layers: Path | None = None) -> None:
        self._lambda = aws.client("lambda")
        self._home = home
        self._layers = layers

    def function(self, path: Path) -> None:
        """Make a file the code of its function."""
        from infra.layers import archive  # noqa: PLC0415 - only when something changed

        inside = path.relative_to(PROJECT).as_posix()
        name = function_name(inside)
        with tempfile.TemporaryDirectory() as folder:
            code = archive([(inside, path)], Path(folder) / "function.zip").read_bytes()
        held = self._lambda.get_function_configuration(FunctionName=name)["CodeSha256"]
        if held != _sha256(code):
            self._lambda.update_function_code(FunctionName=name, ZipFile=code)
        self._remember(inside)

    def package(self) -> None:
        """Publish the ``ivy`` package as a new layer version and let every function use it."""
        from infra import layers  # noqa: PLC0415 - only when something changed

        code = link(layers.build("local")[LAYER].archive.read_bytes(), self._layers)
        functions = self._functions()
        used = {arn for function in functions for arn in _layers(function) if _is_ivy(arn)}
        if {self._held(arn) for arn in used} != {_sha256(code)}:
            published = self._lambda.publish_layer_version(
                LayerName=next(iter(used)).split(":")[-2], Content={"ZipFile": code}
            )["LayerVersionArn"]
            wanted = {
                function["FunctionName"]: [published if arn in used else arn for arn in arns]
                for function in functions
                if used & set(arns := _layers(function))
            }
            with ThreadPoolExecutor(max_workers=CALLS_AT_ONCE) as pool:
                list(pool.map(self._point, wanted, wanted.values()))
        self._remember(LAYER)

    def _point(self, name: str, arns: list[str]) -> None:
        self._lambda.update_function_configuration(FunctionName=name, Layers=arns)

    def repeat(self) -> int:
        """Repeat every update of earlier runs; return how many there were."""
        swapped = self._home.read("swapped").get("paths", [])
        for inside in swapped:
            if inside == LAYER:
                self.package()
            elif (PROJECT / inside).exists():
                self.function(PROJECT / inside)
        return len(swapped)

    def _held(self, arn: str) -> str:
        version = self._lambda.get_layer_version_by_arn(Arn=arn)
        return str(version["Content"]["CodeSha256"])

    def _functions(self) -> list[dict[str, Any]]:
        pages = self._lambda.get_paginator("list_functions").paginate()
        return [function for page in pages for function in page["Functions"]]

    def _remember(self, inside: str) -> None:
        swapped = set(self._home.read("swapped").get("paths", []))
        if inside not in swapped:
            self._home.write("swapped", {"paths": sorted(swapped | {inside})})


def function_name(inside: str) -> str:
    """Return ``ivy-charges-create`` for ``functions/charges/create.py``."""
    noun, verb = Path(inside).parts[-2:]
    return f"{PREFIX}-{noun}-{Path(verb).stem}".replace("_", "-")


def declarations() -> dict[Path, str]:
    """Return what each function file declares, as text, without importing any of them."""
    return {path: declaration(path.read_text()) for path in sorted(FUNCTIONS.glob("*/*.py"))}


def declaration(source: str) -> str:
    """Return the text that decides a function's templates: how ``handler`` is made.

    A file that does not parse right now has none, which differs from whatever it had; the
    deployment that follows then names the error.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return f"syntax error: {error}"
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "handler":
            found += [ast.unparse(decorator) for decorator in node.decorator_list]
        elif isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "handler" for target in node.targets
        ):
            found.append(ast.unparse(node.value))
    return json.dumps(found)


def parse(changed: set[Path]) -> None:
    """Refuse files that are not Python at this moment; what runs goes on running.

    Raises:
        LocalError: One of them does not parse; the message says which, where and why.
    """
    for path in sorted(changed):
        if path.suffix != ".py" or not path.exists():
            continue
        try:
            ast.parse(path.read_text())
        except SyntaxError as error:
            place = f"{path.relative_to(PROJECT)}:{error.lineno}"
            raise LocalError(f"{place}: {error.msg}") from error


def _layers(function: dict[str, Any]) -> list[str]:
    return [layer["Arn"] for layer in function.get("Layers", ())]


def _is_ivy(arn: str) -> bool:
    """A layer's ARN ends in ``layer:<name>:<version>``; ours is named after the package."""
    return arn.split(":")[-2].lower().endswith(LAYER)


def _sha256(code: bytes) -> str:
    """Lambda's own notation of a digest."""
    return base64.b64encode(hashlib.sha256(code).digest()).decode()
