"""Logs, metrics and the correlation id that follows one request through every queue.

One structured line per invocation, with ids as keys; never a body or a credential. Whatever looks
like a card number is taken out of every line on its way out, wherever in it that stands.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from ivy import card_numbers

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

NAMESPACE = "Ivy"

Unit = Literal["Count", "Seconds", "Milliseconds"]

_correlation: ContextVar[str] = ContextVar("correlation", default="")


def correlation_id() -> str:
    """Return the id of the request that everything happening now descends from."""
    return _correlation.get()


def correlate(correlation: str) -> None:
    """Take on a request's id: from the gateway, or from a queue message it led to."""
    _correlation.set(correlation)


@cache
def logger() -> Logger:
    """Return the process's logger: JSON lines on standard output."""
    from aws_lambda_powertools import Logger  # noqa: PLC0415 - imported when first needed

    return Logger(
        service=os.environ.get("POWERTOOLS_SERVICE_NAME", "ivy"),
        use_rfc3339=True,
        location=None,  # it would be this module's, on every line
        json_serializer=_written,
    )


def _written(fields: dict[str, Any]) -> str:
    """Return a log line as JSON: the one place that every line passes, whoever logged it."""
    if "Sampled=1" not in os.environ.get("_X_AMZN_TRACE_ID", ""):
        fields.pop("xray_trace_id", None)  # of a trace that nobody took there is nothing to find
    return json.dumps(
        card_numbers.redacted(fields),
        default=lambda other: card_numbers.redact(str(other)),
        separators=(",", ":"),
        ensure_ascii=False,
    )


def line(message: str, **fields: Any) -> None:
    """Log one line with its fields, the correlation id, and the memory that was needed so far."""
    logger().info(
        message,
        extra={"correlation_id": correlation_id(), "memory_mb": _most_memory_mb(), **fields},
    )


def _most_memory_mb() -> int:
    """Return the most megabytes this process has held; on AWS no other line says so."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most >> 20 if sys.platform == "darwin" else most >> 10


def failure(message: str, **fields: Any) -> None:
    """Log the exception being handled: its kind, its own words, and where it came from.

    The caller is told a code; the text stays here. Of a database error only the server's first
    line is kept, and of a failed validation only its size, because the rest quotes the row.
    """
    error = sys.exc_info()[1]
    logger().error(
        message,
        extra={
            "correlation_id": correlation_id(),
            "error": type(error).__name__,
            "detail": _detail(error),
            "stack": [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(error.__traceback__ if error else None)
            ],
            **fields,
        },
    )


def _detail(error: BaseException | None) -> str:
    diagnosis = getattr(error, "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        return str(diagnosis.message_primary)
    if isinstance(error, ValidationError):
        return f"{error.error_count()} fields of {error.title} are not valid"
    return str(error)


def count(metric: str, value: float = 1, unit: Unit = "Count", **dimensions: str) -> None:
    """Emit one CloudWatch metric, in embedded metric format on standard output."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric  # noqa: PLC0415 - when first needed

    with single_metric(metric, MetricUnit(unit), value, namespace=NAMESPACE) as emitted:
        for name, of in dimensions.items():
            emitted.add_dimension(name, of)
