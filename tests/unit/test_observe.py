from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from ivy import observe
from ivy.card_numbers import REDACTED

ROW = "what the row says"
CARD = "4242424242424242"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    written = StringIO()
    for handler in observe.logger().handlers:
        monkeypatch.setattr(handler, "stream", written)
    observe.correlate("c-1")
    yield written
    observe.correlate("")


def failing(output: StringIO, error: Exception) -> dict[str, Any]:
    def fail() -> None:
        raise error

    try:
        fail()
    except Exception:  # noqa: BLE001 - what is being tested
        observe.failure("it.failed", queue="charges")
    line: dict[str, Any] = json.loads(output.getvalue())
    return line


def test_a_line_is_json_with_its_fields_and_the_correlation(output: StringIO) -> None:
    observe.line("something", status=201)
    line = json.loads(output.getvalue())
    assert (line["message"], line["status"], line["correlation_id"]) == ("something", 201, "c-1")
    assert line["level"] == "INFO"
    assert line["timestamp"].startswith("2")


@pytest.mark.parametrize("sampled", [True, False])
def test_a_trace_is_named_where_there_is_one(
    output: StringIO, monkeypatch: pytest.MonkeyPatch, sampled: bool
) -> None:
    root = "1-5759e988-bd862e3fe1be46a994272793"
    header = f"Root={root};Parent=53995c3f42cd8ad8;Sampled={int(sampled)}"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    observe.line("something")
    line = json.loads(output.getvalue())
    assert line.get("xray_trace_id") == (root if sampled else None)


def test_a_failure_says_what_and_where(output: StringIO) -> None:
    line = failing(output, LookupError("lost it"))
    assert (line["level"], line["message"]) == ("ERROR", "it.failed")
    assert (line["error"], line["detail"], line["queue"]) == ("LookupError", "lost it", "charges")
    assert line["stack"][-1].endswith(" fail")
    assert __file__ in line["stack"][-1]


def test_a_failure_without_an_exception_is_still_a_line(output: StringIO) -> None:
    observe.failure("it.failed")
    assert json.loads(output.getvalue())["stack"] == []


class Quoting(psycopg.Error):
    """A database error of which the server sent more than its first line."""

    class Diagnosis:
        message_primary = "duplicate key value violates unique constraint"
        message_detail = f"Key (email)=({ROW}) already exists."

    diag = Diagnosis()  # type: ignore[assignment]  # what libpq would have filled in


def test_a_database_error_does_not_quote_its_row(output: StringIO) -> None:
    line = failing(output, Quoting(f"duplicate key\nDETAIL: Key (email)=({ROW})"))
    assert line["detail"] == "duplicate key value violates unique constraint"
    assert ROW not in output.getvalue()


def test_a_database_error_without_a_diagnosis_says_its_own_words(output: StringIO) -> None:
    line = failing(output, psycopg.OperationalError("connection refused"))
    assert line["detail"] == "connection refused"


def test_a_failed_validation_does_not_quote_its_input(output: StringIO) -> None:
    class Row(BaseModel):
        number: int

    try:
        Row.model_validate({"number": ROW})
    except ValueError:
        observe.failure("it.failed")
    assert json.loads(output.getvalue())["detail"] == "1 fields of Row are not valid"
    assert ROW not in output.getvalue()


def test_a_card_number_never_leaves_with_a_line(output: StringIO) -> None:
    """Wherever it stands: message, field, key, nested, in an object's text, from another caller."""

    class Shown:
        def __str__(self) -> str:
            return f"shown {CARD}"

    observe.line(f"paid with {CARD}", note=f"{CARD}!", deep={CARD: [CARD, {"x": CARD}]}, of=Shown())
    observe.logger().warning("by %s", CARD, extra={"more": (CARD,)})
    first, second = output.getvalue().splitlines()
    assert CARD not in first + second
    line = json.loads(first)
    assert (line["message"], line["note"]) == (f"paid with {REDACTED}", f"{REDACTED}!")
    assert line["deep"] == {REDACTED: [REDACTED, {"x": REDACTED}]}
    assert line["of"] == f"shown {REDACTED}"
    assert json.loads(second)["message"] == f"by {REDACTED}"
    assert json.loads(second)["more"] == [REDACTED]


def test_nor_with_an_exception(output: StringIO) -> None:
    line = failing(output, LookupError(f"no token {CARD}"))
    assert line["detail"] == f"no token {REDACTED}"
    try:
        int(f"no token {CARD}")
    except ValueError:
        observe.logger().exception("it.failed")  # with message and stack, as a library would
    traced = json.loads(output.getvalue().splitlines()[-1])
    assert traced["exception_name"] == "ValueError"
    assert f"no token {REDACTED}" in traced["exception"]
    assert CARD not in output.getvalue()


def test_what_identifies_a_request_stays(output: StringIO) -> None:
    known = "42424242-4242-4242-8242-424242424242"
    observe.correlate(known)
    observe.line("request", request_id=known, merchant=f"mer_{'0' * 32}")
    line = json.loads(output.getvalue())
    assert line["request_id"] == line["correlation_id"] == known
    assert line["merchant"] == f"mer_{'0' * 32}"
    assert 1 <= line["memory_mb"] < 100_000
    assert "location" not in line, "it would be observe's own"


def test_a_metric_is_one_embedded_line(capsys: pytest.CaptureFixture[str]) -> None:
    observe.count("OutboxOldestAge", 7.5, unit="Seconds", queue="charges")
    emitted = json.loads(capsys.readouterr().out)
    (directive,) = emitted["_aws"]["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "Ivy",
        "Dimensions": [["queue"]],
        "Metrics": [{"Name": "OutboxOldestAge", "Unit": "Seconds"}],
    }
    assert (emitted["OutboxOldestAge"], emitted["queue"]) == ([7.5], "charges")
