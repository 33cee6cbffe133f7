"""Tables for people: a line for each row, columns as wide as what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a heading and rows as text, without spaces at the ends of lines."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
