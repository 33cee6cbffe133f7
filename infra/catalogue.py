"""The functions that exist: every ``functions/<noun>/<verb>.py``, read as its declaration."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from infra.layers import BUILD, REPOSITORY, archive
from ivy.serve.declaration import Declaration

if TYPE_CHECKING:
    from types import ModuleType

    from infra.target import Target

FUNCTIONS = REPOSITORY / "functions"

LIVE = "live"
"""The alias of the published version, where there is one."""

D = TypeVar("D", bound=Declaration)


class CatalogueError(RuntimeError):
    """A file under functions/ is not a function; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Function:
    """One file that AWS invokes.

    Attributes:
        noun: Its folder, such as ``charges``.
        verb: Its file without the suffix, such as ``create``.
        source: The file.
        declaration: What the file says it is.
    """

    noun: str
    verb: str
    source: Path
    declaration: Declaration

    @property
    def name(self) -> str:
        """``charges/create``: what listings, events and logs call it."""
        return f"{self.noun}/{self.verb}"

    @property
    def construct_id(self) -> str:
        """``ChargesCreate``: what templates call it."""
        return f"{self.noun}_{self.verb}".title().replace("_", "")

    @property
    def inside(self) -> str:
        """The path of the one file inside the function's zip."""
        return f"functions/{self.noun}/{self.verb}.py"

    @property
    def handler(self) -> str:
        """The string Lambda resolves to the declaration."""
        return f"functions.{self.noun}.{self.verb}.handler"

    def physical_name(self, prefix: str) -> str:
        """``ivy-charges-create``: the name in AWS."""
        return f"{prefix}-{self.noun}-{self.verb}".replace("_", "-")

    def from_snapshot(self, target: Target) -> bool:
        """Whether a target starts it from a snapshot; the emulator would gain nothing by it."""
        return target.on_aws and self.declaration.snapshot

    def invoked(self, target: Target) -> str:
        """The name by which a target invokes it: a snapshot is of a version, never of the latest.

        ``ivy-charges-create:live`` or ``ivy-charges-get``.
        """
        name = self.physical_name(target.prefix)
        return f"{name}:{LIVE}" if self.from_snapshot(target) else name

    def zipped(self, build: Path = BUILD) -> Path:
        """Write the function's zip, exactly one file, and return its path."""
        return archive(
            [(self.inside, self.source)], build / f"{self.inside.removesuffix('.py')}.zip"
        )


def read_functions(folder: Path = FUNCTIONS) -> list[Function]:
    """Return every function below a folder in the order of their names.

    Raises:
        CatalogueError: a file has no ``handler``, or one that is not a declaration.
    """
    return [_read(path) for path in sorted(folder.glob("*/*.py"))]


def deployed(functions: list[Function], target: Target) -> list[Function]:
    """Return the functions that a target gets: those whose needs are all switched on."""
    return [f for f in functions if not target.switched_off & set(f.declaration.needs)]


def declared(functions: list[Function], kind: type[D]) -> list[tuple[Function, D]]:
    """Return the functions of one kind, each beside its declaration."""
    return [(f, f.declaration) for f in functions if isinstance(f.declaration, kind)]


def _read(path: Path) -> Function:
    noun, verb = path.parent.name, path.stem
    handler = getattr(_module(f"functions.{noun}.{verb}", path), "handler", None)
    if not isinstance(handler, Declaration):
        raise CatalogueError(
            f"functions/{noun}/{verb}.py has no `handler` made by @endpoint, @consumer, @job, "
            f"@authorizer or @connector: {handler!r}"
        )
    return Function(noun=noun, verb=verb, source=path, declaration=handler)


def _module(name: str, path: Path) -> ModuleType:
    """Import a file under the name it will have in Lambda, wherever it lies now."""
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CatalogueError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
