"""Lists: newest first, one page at a time, stable while new objects arrive.

An id carries its moment of creation, so a page is a range of ids and the filters on ``created_at``
are bounds of that range: one index serves them all, and page 10,000 costs what page 1 does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, LiteralString, Protocol, TypeVar
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ivy import ids
from ivy.database import Transaction
from ivy.models import Input, Moment, Object

MAX_PAGE = 100
DEFAULT_PAGE = 10

Item = TypeVar("Item")

_WORD = re.compile("[a-z_]{1,30}", re.ASCII)
_FIRST_ID = UUID(int=0)
_LAST_ID = UUID(int=(1 << 128) - 1)

Cursor = Annotated[str, Field(pattern="^cur_[a-z]+_[0-9a-f]{32}$")]
"""Of which kind the objects of the list are, and the last one that was given."""


class Page(Input):
    """The query of a list.

    ``of`` is what the ids of its objects begin with: no other list's cursor is taken.
    """

    of: ClassVar[str]

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[Cursor | None, Field(description="`next_cursor` of the page before.")] = None
    created_gt: Annotated[Moment | None, Field(alias="created_at[gt]")] = None
    created_gte: Annotated[Moment | None, Field(alias="created_at[gte]")] = None
    created_lt: Annotated[Moment | None, Field(alias="created_at[lt]")] = None
    created_lte: Annotated[Moment | None, Field(alias="created_at[lte]")] = None

    @field_validator("cursor")
    @classmethod
    def _of_this_list(cls, cursor: str | None) -> str | None:
        if cursor is not None and cursor.split("_")[1] != cls.of:
            raise PydanticCustomError("cursor", "is the cursor of another list")
        return cursor

    @property
    def last_id(self) -> UUID | None:
        """The last id of the page before."""
        return None if self.cursor is None else UUID(hex=self.cursor.rpartition("_")[2])

    @property
    def rows(self) -> LiteralString:
        """The clause for as many rows as the page has, and one more.

        It is a number and no parameter: a plan that knows no limit is one for a tenth of all rows.
        """
        return f" LIMIT {int(self.limit) + 1}"

    def bounds(self) -> tuple[UUID, UUID]:
        """Return the lowest id wanted, and the id below which the page starts."""
        lowest = max(
            _FIRST_ID if self.created_gte is None else _from(self.created_gte),
            _FIRST_ID if self.created_gt is None else _after(self.created_gt),
        )
        below = min(
            self.last_id or _LAST_ID,
            _LAST_ID if self.created_lt is None else _from(self.created_lt),
            _LAST_ID if self.created_lte is None else _after(self.created_lte),
        )
        return lowest, below


def _from(moment: datetime) -> UUID:
    """Return the first id of the first whole millisecond that is not before a moment."""
    return _after(moment) if moment.microsecond % 1000 else ids.first_at(moment)


def _after(moment: datetime) -> UUID:
    """Return the first id of the millisecond that follows a moment."""
    return UUID(int=ids.first_at(moment).int + (1 << 80))


class Listing(Object, Generic[Item]):
    """One page. ``next_cursor`` leads to the next while ``has_more`` is true."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool
    next_cursor: Cursor | None


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


Found = TypeVar("Found", bound=_Identified)


def read(
    tx: Transaction,
    shape: type[Found],
    select: LiteralString,
    query: Page,
    matching: Mapping[LiteralString, Any] | None = None,
    *,
    identity: LiteralString = "id",
    **values: Any,
) -> Listing[Found]:
    """Return one page of a list, newest first.

    Args:
        tx: Of the tenant whose list it is.
        shape: Of an item.
        select: The statement up to its conditions: it ends in ``WHERE`` or ``AND``.
        query: Which page.
        matching: Columns, and what they have to be; None for any. What is not asked is left out of
            the statement: one plan serves all values, and could not know that it is absent. A word
            such as a status is part of the statement: there may be an index for it alone.
        identity: The column of the ids that the list is in the order of.
        values: Parameters of ``select``.
    """
    lowest, below = query.bounds()
    asked = {column: value for column, value in (matching or {}).items() if value is not None}
    words = {
        column
        for column, value in asked.items()
        if isinstance(value, str) and _WORD.fullmatch(value)
    }
    found = tx.rows(
        shape,
        select
        + f" {identity} >= %(lowest)s AND {identity} < %(below)s"
        + "".join(
            f" AND {column} = '{value}'" if column in words else f" AND {column} = %({column})s"
            for column, value in asked.items()
        )
        + f" ORDER BY {identity} DESC"
        + query.rows,
        **values,
        **asked,
        lowest=lowest,
        below=below,
    )
    return listing(shape, found, query.limit)


def listing(shape: type[Found], found: Sequence[Found], limit: int) -> Listing[Found]:
    """Return a page from up to ``limit + 1`` rows; the extra one says that there are more."""
    data = list(found[:limit])
    more = len(found) > limit
    return Listing[shape](  # type: ignore[valid-type]  # the schema names the item at run time
        data=data, has_more=more, next_cursor=_cursor(shape, data[-1].id) if more else None
    )


def _cursor(shape: Any, last: UUID) -> str:
    """Return where the next page begins, with what the ids of a shape begin with."""
    (kind,) = (
        each.prefix for each in shape.model_fields["id"].metadata if isinstance(each, ids.Prefix)
    )
    return f"cur_{kind}_{last.hex}"
