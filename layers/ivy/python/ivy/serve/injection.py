"""Which parameters of a handler the framework fills, and which are the request's."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ivy import events
from ivy.callers import Caller
from ivy.database import Database, Transaction, database
from ivy.models import Accept
from ivy.outbox import Task

_INJECTED = (Transaction, Database, Caller, Task, Accept)


@dataclass(frozen=True, slots=True)
class Parameters:
    """A handler's parameters: injected ones by type, the request's by name."""

    injected: dict[type[Any], str]
    request: tuple[inspect.Parameter, ...]
    returns: Any

    @property
    def opens_transactions(self) -> bool:
        """Whether the handler asks for the database, to open transactions itself."""
        return Database in self.injected

    @property
    def takes_messages(self) -> bool:
        """Whether a consumer looks at its messages, rather than only being woken by them."""
        return bool(self.request) or Task in self.injected

    @property
    def commits(self) -> bool:
        """Whether transactions are opened for the handler or by it."""
        return self.opens_transactions or Transaction in self.injected

    def fill(self, **by_type: Any) -> dict[str, Any]:
        """Return keyword arguments for those of the given values that the handler asks for.

        Each value is named after its type, in lower case.
        """
        wanted = {kind.__name__.lower(): name for kind, name in self.injected.items()}
        return {wanted[kind]: value for kind, value in by_type.items() if kind in wanted}


@cache
def parameters(function: Callable[..., Any]) -> Parameters:
    """Read a handler's signature."""
    hints = typing.get_type_hints(function, include_extras=True)
    injected: dict[type[Any], str] = {}
    request: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if hints[name] in _INJECTED:
            injected[hints[name]] = name
        else:
            request.append(
                parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            )
    return Parameters(injected, tuple(request), hints.get("return"))


def wake_publisher(function: Callable[..., Any]) -> None:
    """Let what a function has committed be published now; never raises."""
    if parameters(function).commits:
        events.wake(database())
