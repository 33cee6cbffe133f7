"""Objects by their ids: the one that is asked for, or a problem that names it."""

from __future__ import annotations

from typing import Any, LiteralString, TypeVar
from uuid import UUID

from ivy import errors, ids
from ivy.database import Transaction
from ivy.models import Object

Found = TypeVar("Found", bound=Object)


def one(
    tx: Transaction, shape: type[Found], statement: LiteralString, object_id: UUID, **values: Any
) -> Found:
    """Return the object of an id.

    Args:
        tx: Of the tenant whose object it is.
        shape: Its model, with an ``id`` and what kind of ``object`` it is.
        statement: Finds it by the parameter ``id``, and may lock it.
        object_id: Which one.
        values: Further parameters of the statement.

    Raises:
        ResourceMissing: The tenant has no such object in this mode.
    """
    found = tx.row(shape, statement, id=object_id, **values)
    if found is not None:
        return found
    fields = shape.model_fields
    (prefix,) = (each for each in fields["id"].metadata if isinstance(each, ids.Prefix))
    kind = str(fields["object"].default).replace("_", " ")
    raise errors.ResourceMissing(f"No {kind} {prefix.write(object_id)}.")
