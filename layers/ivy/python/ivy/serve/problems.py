"""The one place that turns an error into an answer: RFC 9457 problem+json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import psycopg
from pydantic_core import ErrorDetails

from ivy import card_numbers, errors, observe
from ivy.errors import FieldError, Problem

MEDIA_TYPE = "application/problem+json"

MAX_FIELDS = 100
"""Invalid fields named in one answer: 256 KB of them would exceed what Lambda may return."""

_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.TransactionTimeout,
)


def from_exception(error: Exception) -> Problem:
    """Return what the caller is told about an exception; what it says stays in the log."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, _BUSY):
        observe.failure("database.busy")
        return errors.Unavailable(retry_after_seconds=1)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        observe.failure("database.unreachable")
        return errors.Unavailable(retry_after_seconds=1)
    observe.failure("request.failed")
    return errors.Internal()


def from_validation(found: Iterable[ErrorDetails | Mapping[str, Any]]) -> Problem:
    """Return the problem that a failed validation is: every field at once, up to a hundred.

    A malformed id in the path is an object that does not exist.
    """
    fields: list[FieldError] = []
    for detail in islice(found, MAX_FIELDS):
        where, *rest = detail["loc"]
        if rest[2:] == ["[key]"]:  # pydantic's mark for an error in a key of a mapping
            rest.pop()
        if where == "path":
            return errors.ResourceMissing()
        if where == "query":
            pointer = "".join(f"?{part}" for part in rest[:1])
        else:
            pointer = "".join("/" + escape(str(part)) for part in rest)
        fields.append(FieldError(pointer, str(detail["type"]), str(detail["msg"])))
    return errors.RequestInvalid(fields=tuple(fields))


def escape(part: str) -> str:
    """Return a key or an index as RFC 6901 writes it in a pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def body(problem: Problem, *, base_url: str, instance: str, request_id: str) -> bytes:
    """Return the bytes of a problem document. A card number in any part of it is redacted.

    Args:
        problem: What happened.
        base_url: Where the API is reached, for the documentation link.
        instance: The path of the request.
        request_id: To quote when asking for help.
    """
    document: dict[str, Any] = {
        "type": f"{base_url}/v1/docs/errors#{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
        "request_id": request_id,
        "retryable": problem.retryable,
        **problem.facts,
    }
    if problem.param is not None:
        document["param"] = problem.param
    if problem.fields:
        document["errors"] = [
            {"pointer": field.pointer, "code": field.code, "detail": field.detail}
            for field in problem.fields
        ]
    return json.dumps(card_numbers.redacted(document)).encode()
