"""``routes.txt``: the whole deployment on one page, reviewed whenever it changes.

After a change that is meant: ``IVY_APPROVE=1 pytest tests/infra/test_routes_listing.py``.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.catalogue import read_functions
from infra.target import target_named
from ivy.serve.declaration import (
    Authorizer,
    Command,
    ConnectorFunction,
    Consumer,
    Job,
    Route,
)

if TYPE_CHECKING:
    from infra.catalogue import Function

APPROVED = Path(__file__).with_name("routes.txt")
APPROVE = "IVY_APPROVE"
NOTHING_SWITCHED_ON = target_named("aws")
HEADER = "# what | file | who may | needs (functions need nothing that is not listed)"


def what(function: Function) -> str:
    declaration = function.declaration
    if isinstance(declaration, Route):
        once = " (idempotent)" if declaration.takes_key else ""
        return f"{declaration.method:6} {declaration.path}{once}"
    if isinstance(declaration, Consumer):
        return f"QUEUE  {declaration.queue}"
    if isinstance(declaration, Job):
        return f"JOB    {declaration.schedule or 'at deployment'}"
    if isinstance(declaration, ConnectorFunction):
        off = NOTHING_SWITCHED_ON.switched_off & set(declaration.needs)
        return f"ACQUIRER {declaration.acquirer}{' (if switched on)' if off else ''}"
    if isinstance(declaration, Command):
        return f"COMMAND {function.verb}"
    return "AUTHORISER"


def who(function: Function) -> str:
    declaration = function.declaration
    if isinstance(declaration, Command):
        return "operators"
    if not isinstance(declaration, Route):
        return "-"
    return "public" if declaration.public else str(declaration.scope or "any credential")


def order(function: Function) -> tuple[int, str, str]:
    kinds = (Route, Authorizer, ConnectorFunction, Consumer, Job, Command)
    rank = next(n for n, kind in enumerate(kinds) if isinstance(function.declaration, kind))
    path = function.declaration.path if isinstance(function.declaration, Route) else function.name
    return rank, path, what(function)


def listing(functions: list[Function]) -> str:
    rows = [
        (what(f), f.inside, who(f), " ".join(f.declaration.needs) or "-")
        for f in sorted(functions, key=order)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        " | ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def test_the_listing_is_the_approved_one() -> None:
    found = listing(read_functions())
    if os.environ.get(APPROVE):
        APPROVED.write_text(found)
    approved = APPROVED.read_text()
    if found != approved:
        changes = difflib.unified_diff(
            approved.splitlines(), found.splitlines(), "approved", "declared", lineterm="", n=0
        )
        pytest.fail(
            "The deployment changed. If that is meant, run this test once with "
            f"{APPROVE}=1 and commit routes.txt:\n" + "\n".join(changes)
        )
