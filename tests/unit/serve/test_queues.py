from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ivy.database import Tenant
from ivy.outbox import Task
from ivy.serve import consumer
from ivy.serve.queues import MESSAGE_MILLISECONDS

if TYPE_CHECKING:
    import pytest


class Context:
    """A function whose time runs out."""

    def __init__(self, *remaining: int) -> None:
        self._remaining = iter(remaining)

    def get_remaining_time_in_millis(self) -> int:
        return next(self._remaining)


def record(number: int) -> dict[str, Any]:
    task = Task(uuid.uuid4(), "charges", Tenant(1001, livemode=False), uuid.uuid4(), "")
    return {
        "messageId": str(number),
        "receiptHandle": "r",
        "body": task.message(),
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:charges",
        "awsRegion": "us-east-1",
    }


def test_a_message_is_not_begun_that_could_not_be_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Ivy")
    worked: list[Task] = []

    @consumer("charges")
    def handler(task: Task) -> None:
        worked.append(task)

    enough, short = MESSAGE_MILLISECONDS, MESSAGE_MILLISECONDS - 1
    answer = handler({"Records": [record(n) for n in range(3)]}, Context(enough, enough, short))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert len(worked) == 2
