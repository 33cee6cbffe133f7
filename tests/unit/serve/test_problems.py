from __future__ import annotations

import json

import psycopg
import pytest

from ivy import errors
from ivy.errors import FieldError
from ivy.serve import problems


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ResourceMissing("No."), "resource_missing"),
        (psycopg.errors.LockNotAvailable("x"), "unavailable"),
        (psycopg.errors.QueryCanceled("x"), "unavailable"),
        (psycopg.errors.DeadlockDetected("x"), "unavailable"),
        (psycopg.errors.SerializationFailure("x"), "unavailable"),
        (psycopg.errors.TransactionTimeout("x"), "unavailable"),
        (psycopg.OperationalError("x"), "unavailable"),
        (psycopg.InterfaceError("x"), "unavailable"),
        (psycopg.errors.UniqueViolation("x"), "internal_error"),
        (psycopg.errors.CheckViolation("x"), "internal_error"),
        (RuntimeError("x"), "internal_error"),
    ],
)
def test_what_each_exception_becomes(error: Exception, code: str) -> None:
    problem = problems.from_exception(error)
    assert problem.code == code
    assert problem.detail != "x"
    assert (problem.retry_after_seconds == 1) is (code == "unavailable")


def test_pointers_are_escaped_and_queries_marked() -> None:
    problem = problems.from_validation(
        [
            {"loc": ("body", "a/b", "~", 0), "type": "t", "msg": "m"},
            {"loc": ("body",), "type": "t", "msg": "m"},
            {"loc": ("body", "metadata", "k", "[key]"), "type": "t", "msg": "m"},
            {"loc": ("body", "metadata", "[key]"), "type": "t", "msg": "m"},
            {"loc": ("query", "created_at[gte]"), "type": "t", "msg": "m"},
        ]
    )
    assert [field.pointer for field in problem.fields] == [
        "/a~1b/~0/0",
        "",
        "/metadata/k",
        "/metadata/[key]",
        "?created_at[gte]",
    ]


def test_a_bad_path_is_a_missing_object() -> None:
    problem = problems.from_validation([{"loc": ("path", "id"), "type": "id", "msg": "m"}])
    assert isinstance(problem, errors.ResourceMissing)


def test_a_document() -> None:
    problem = errors.RequestInvalid("Two.", param="p", fields=(FieldError("/a", "c", "d"),))
    body = problems.body(
        problem, base_url="https://x.example/api", instance="/api/v1/charges", request_id="r-1"
    )
    assert json.loads(body) == {
        "type": "https://x.example/api/v1/docs/errors#request_invalid",
        "title": "The request is not valid",
        "status": 422,
        "detail": "Two.",
        "instance": "/api/v1/charges",
        "code": "request_invalid",
        "request_id": "r-1",
        "retryable": False,
        "param": "p",
        "errors": [{"pointer": "/a", "code": "c", "detail": "d"}],
    }
    plain = json.loads(problems.body(errors.Internal(), base_url="", instance="", request_id=""))
    assert plain.keys().isdisjoint({"param", "errors"})
