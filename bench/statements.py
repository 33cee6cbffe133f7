"""The product's own statements, taken down as it sends them and turned into scripts for pgbench.

Nothing is written here a second time: the product's function runs against a connection that only
takes note. What differs from one charge to the next becomes an expression of the script: the
merchant, its account numbers, and new ids, which the server makes instead of the client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self, cast
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from bench.cluster import ROUND_TRIP_MS
from ivy.database import Tenant, Transaction

STAND_IN = 9_000_001
"""The merchant of a statement that is taken down; each run of the script puts another in."""

_OWNER = 10_000_000
_PLACE = re.compile(r"%\((\w+)\)[sb]")
_NEW_ID = "uuidv7()"


@dataclass
class _Notes:
    """What a connection must be able to do for a transaction to be taken down."""

    statements: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    shape: Any = None

    def execute(self, statement: str, values: Mapping[str, Any]) -> Self:
        """Take a statement down."""
        self.statements.append((statement, values))
        return self

    def cursor(self, *, row_factory: Any) -> Self:
        """Return itself: there is nothing to read but nothing."""
        self.shape = row_factory
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def fetchone(self) -> tuple[int] | None:
        """Return a zero where one value is asked for, no row otherwise."""
        return (0,) if self.shape is tuple_row else None

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []


@dataclass(frozen=True)
class Statements:
    """Statements of one transaction, ready for pgbench."""

    lines: tuple[str, ...]
    variables: tuple[str, ...]
    constants: Mapping[str, str]


def taken_down(
    tenant: Tenant, work: Callable[[Transaction], object], *, new_ids: bool = True
) -> Statements:
    """Return what a function of the product sends in a transaction of a tenant.

    Args:
        tenant: Of ``STAND_IN``, if each run is to choose its merchant; then it is ``:merchant``.
        work: The function, given the transaction.
        new_ids: Whether its ids are of something that it makes; otherwise they stay what they are.
    """
    notes = _Notes()
    tx = Transaction(cast("psycopg.Connection[Any]", notes))
    tx.choose(tenant)
    work(tx)
    return _statements(notes.statements, new_ids=new_ids)


def _statements(sent: list[tuple[str, Mapping[str, Any]]], *, new_ids: bool) -> Statements:
    lines, constants = [], {}
    variables: dict[str, str] = {}
    for number, (statement, values) in enumerate(sent):

        def place(
            found: re.Match[str], number: int = number, values: Mapping[str, Any] = values
        ) -> str:
            name, value = f"s{number}_{found[1]}", values[found[1]]
            stays = isinstance(value, UUID) and not new_ids
            written = None if stays else _varying(value, variables)
            if written is None:
                constants[name] = _text(value)
                written = f":{name}"
            return written

        filled = _PLACE.sub(place, statement).replace("%%", "%")
        lines.append(" ".join(filled.split()) + ";")
    return Statements(tuple(lines), tuple(variables.values()), constants)


def _varying(value: Any, variables: dict[str, str]) -> str | None:
    """Return what stands for a value that each run makes anew; None for one that stays."""
    written = None
    if value is None:
        written = "NULL"
    elif isinstance(value, UUID):
        written = _NEW_ID
    elif isinstance(value, list):
        written = _list(value)
    elif value in (STAND_IN, str(STAND_IN)):
        written = ":merchant"
    elif isinstance(value, int) and value // _OWNER == STAND_IN:
        code = value % _OWNER
        variables[f"account_{code}"] = f"\\set account_{code} :merchant * {_OWNER} + {code}"
        written = f":account_{code}"
    return written


def _list(values: list[Any]) -> str | None:
    """Return what stands for one column of many rows."""
    if isinstance(values[0], UUID):
        return f"ARRAY(SELECT {_NEW_ID} FROM generate_series(1, {len(values)}))"
    if values[0] is None:
        return f"array_fill(NULL::text, ARRAY[{len(values)}])"
    return None


def _text(value: Any) -> str:
    """Return a value as Postgres reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "{" + ",".join(_text(each) for each in value) + "}"
    return value.isoformat() if isinstance(value, date) else str(value)


def script(statements: Statements, merchants: int, *, slow: bool = False) -> str:
    """Return a pgbench script of one transaction that is sent in one piece.

    Args:
        statements: What is sent.
        merchants: How many merchants there are to choose from, at random; numbers from 1 on.
        slow: Whether the client is far away, and waits a millisecond for each round trip.
    """
    return "\n".join(
        [
            *round_trip(slow=slow),
            f"\\set merchant random(1, {merchants})",
            *statements.variables,
            "\\startpipeline",
            "BEGIN;",
            *statements.lines,
            "COMMIT;",
            "\\endpipeline\n",
        ]
    )


def round_trip(*, slow: bool) -> list[str]:
    """Return what a client far away waits for."""
    return [f"\\sleep {ROUND_TRIP_MS} ms"] if slow else []
