"""The custom resource always answers CloudFormation, and says whether migrations worked."""

from __future__ import annotations

import io
import json
import urllib.request
from typing import Any

import boto3
import pytest

from infra import run_migrations
from infra.migrations import RUNNER, schema_digest

INLINE_LIMIT_BYTES = 4096
REQUEST = {
    "RequestType": "Update",
    "ResponseURL": "https://answers.example/put",
    "StackId": "stack",
    "RequestId": "request",
    "LogicalResourceId": "Migrations",
}


class FakeLambda:
    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer
        self.invoked: list[str] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert json.loads(Payload)
        self.invoked.append(FunctionName)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    def put(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert (request.full_url, request.get_method()) == (REQUEST["ResponseURL"], "PUT")
        assert timeout > 0
        assert isinstance(request.data, bytes)
        sent.append(json.loads(request.data))
        return io.BytesIO()

    monkeypatch.setenv("MIGRATE_FUNCTION", "ivy-database-migrate")
    monkeypatch.setattr(urllib.request, "urlopen", put)
    return sent


def lambda_answers(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | Exception
) -> FakeLambda:
    fake = FakeLambda(answer)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: fake)
    return fake


def test_success(monkeypatch: pytest.MonkeyPatch, answered: list[dict[str, Any]]) -> None:
    fake = lambda_answers(monkeypatch, {"Payload": io.BytesIO(b"{}")})
    run_migrations.handler(REQUEST, None)
    assert fake.invoked == ["ivy-database-migrate"]
    (answer,) = answered
    assert answer["Status"] == "SUCCESS"
    assert {k: answer[k] for k in ("StackId", "RequestId", "LogicalResourceId")} == {
        k: REQUEST[k] for k in ("StackId", "RequestId", "LogicalResourceId")
    }


@pytest.mark.parametrize(
    "answer",
    [
        {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "no table"}')},
        ConnectionError("no answer: no table"),
    ],
)
def test_failure_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, answered: list[dict[str, Any]], answer: Any
) -> None:
    lambda_answers(monkeypatch, answer)
    run_migrations.handler(REQUEST, None)
    (told,) = answered
    assert told["Status"] == "FAILED"
    assert "no table" in told["Reason"]


def test_deleting_the_stack_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, answered: list[dict[str, Any]]
) -> None:
    fake = lambda_answers(monkeypatch, ConnectionError())
    run_migrations.handler({**REQUEST, "RequestType": "Delete"}, None)
    assert fake.invoked == []
    assert [a["Status"] for a in answered] == ["SUCCESS"]


def test_fits_inline() -> None:
    assert RUNNER.stat().st_size < INLINE_LIMIT_BYTES


def test_any_change_of_the_schema_runs_migrations_again(tmp_path: Any) -> None:
    seen = {schema_digest(tmp_path)}
    for name, text in (("0001_a.sql", "x"), ("0001_a.sql", "y"), ("0002_b.sql", "")):
        (tmp_path / name).write_text(text)
        seen.add(schema_digest(tmp_path))
    assert len(seen) == 4
