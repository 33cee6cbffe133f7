"""Consumers without a database: their time, their messages, and a batch worked on at once."""

from __future__ import annotations

import json
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from ivy import observe, operations
from ivy.connectors import Approved, Asked, Outcome
from ivy.database import Tenant
from ivy.operations import Attempt, Question, Steps
from ivy.outbox import Task
from ivy.serve import consumer
from ivy.serve.queues import MESSAGE_MILLISECONDS, WRITING_MILLISECONDS


class Stdout:
    """Whatever standard output is at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


class Parcel(BaseModel):
    """What messages of these tests are."""

    number: int


class Context:
    """A function whose time runs out."""

    def __init__(self, *remaining: int) -> None:
        self._remaining = iter(remaining)

    def get_remaining_time_in_millis(self) -> int:
        return next(self._remaining)


@pytest.fixture(autouse=True)
def _metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Ivy")


@pytest.fixture
def logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[dict[str, Any]]]:
    """The structured lines written since it was last asked."""
    for handler in observe.logger().handlers:
        monkeypatch.setattr(handler, "stream", Stdout())
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines() if line]


def record(number: int, body: str | None = None) -> dict[str, Any]:
    task = Task(uuid.uuid4(), "charges", Tenant(1001, livemode=False), uuid.uuid4(), "")
    return {
        "messageId": str(number),
        "receiptHandle": "r",
        "body": task.message() if body is None else body,
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:charges",
        "awsRegion": "us-east-1",
    }


def parcels(*numbers: int) -> dict[str, Any]:
    return {"Records": [record(n, Parcel(number=n).model_dump_json()) for n in numbers]}


def failed(*numbers: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": str(n)} for n in numbers]}


def test_a_message_is_not_begun_that_could_not_be_finished() -> None:
    worked: list[Task] = []

    @consumer("charges")
    def handler(task: Task) -> None:
        worked.append(task)

    enough, short = MESSAGE_MILLISECONDS, MESSAGE_MILLISECONDS - 1
    answer = handler({"Records": [record(n) for n in range(3)]}, Context(enough, enough, short))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert len(worked) == 2


def test_a_message_may_be_a_model() -> None:
    worked: list[int] = []

    @consumer("parcels")
    def handler(parcel: Parcel) -> None:
        worked.append(parcel.number)

    assert handler(parcels(3, 1, 2), None) == failed()
    assert worked == [3, 1, 2]


def test_what_is_no_model_fails_by_itself_and_is_not_quoted(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    @consumer("parcels")
    def handler(parcel: Parcel) -> None:
        assert parcel.number == 5

    bodies = ["", "null", '{"number":"whispered"}', '{"number":5}']
    event = {"Records": [record(n, body) for n, body in enumerate(bodies)]}
    assert handler(event, None) == failed(0, 1, 2)
    written = logged()
    assert "whispered" not in json.dumps(written)
    assert [line["message_id"] for line in written if line.get("message") == "task.failed"] == [
        *"012"
    ]
    assert len([line for line in written if "TaskFailed" in line]) == 3


@pytest.mark.parametrize("parallel", [True, False])
def test_at_once_or_one_after_the_other(parallel: bool) -> None:
    """Ten that wait for each other all get through only if all of them are begun."""
    everyone = threading.Barrier(10, timeout=5 if parallel else 0.1)

    @consumer("parcels", parallel=parallel)
    def handler(parcel: Parcel) -> None:
        everyone.wait()
        assert parcel.number in range(10)

    assert handler(parcels(*range(10)), None) == failed(*() if parallel else range(10))


def test_at_once_each_message_fails_by_itself() -> None:
    @consumer("parcels", parallel=True)
    def handler(parcel: Parcel) -> None:
        if parcel.number % 2:
            raise LookupError(parcel.number)

    assert handler(parcels(*range(6)), None) == failed(1, 3, 5)


def test_at_once_each_message_has_its_own_correlation() -> None:
    everyone = threading.Barrier(3, timeout=5)
    seen: dict[str, str] = {}

    @consumer("charges", parallel=True)
    def handler(task: Task) -> None:
        everyone.wait()
        seen[task.correlation] = observe.correlation_id()

    tasks = [
        Task(uuid.uuid4(), "charges", Tenant(1001, livemode=False), uuid.uuid4(), name)
        for name in "abc"
    ]
    records = [record(n, task.message()) for n, task in enumerate(tasks)]
    assert handler({"Records": records}, None) == failed()
    assert seen == {"a": "a", "b": "b", "c": "c"}


@pytest.mark.parametrize("well", [True, False])
def test_who_is_only_woken_is_so_once_and_by_all(well: bool) -> None:
    woken: list[bool] = []

    @consumer("parcels")
    def handler() -> None:
        woken.append(well)
        if not well:
            raise LookupError

    assert handler(parcels(1, 2, 3), None) == (failed() if well else failed(1, 2, 3))
    assert woken == [well]


# -- messages that have something to ask


@dataclass(frozen=True)
class Connector:
    """Approves whatever it is asked about, by the name of who asks."""

    name: str
    asked: list[list[str]]
    on_behalf_of: list[str] = field(default_factory=list)
    before: list[bool] = field(default_factory=list)

    def carry_out(self, asked: Sequence[Asked]) -> list[Outcome]:
        self.on_behalf_of.append(observe.correlation_id())
        self.before.extend(each.asked_before for each in asked)
        self.asked.append([each.correlation for each in asked])
        return [Approved(reference=f"{self.name}-{each.correlation}") for each in asked]

    def __hash__(self) -> int:
        return hash(self.name)


def tasks(*correlations: str) -> dict[str, Any]:
    return {
        "Records": [
            record(number, replace(TASK, correlation=each).message())
            for number, each in enumerate(correlations)
        ]
    }


TASK = Task(uuid.uuid4(), "charges", Tenant(1001, livemode=False), uuid.uuid4(), "")


def question(connector: Connector, *, asked_before: bool = False) -> Question:
    attempt = Attempt(1, connector.name, cast("Any", None), asked_before=asked_before)
    return Question(cast("Any", connector), attempt, observe.correlation_id())


@pytest.fixture(autouse=True)
def _no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "Asked", Asked.model_construct)


def test_what_a_batch_has_to_ask_is_asked_at_once_and_each_gets_its_own_answer() -> None:
    near, far = Connector("near", []), Connector("far", [])
    passed: list[tuple[str, str]] = []

    @consumer("charges")
    def handler(task: Task) -> Steps:
        passed.append(("begun", observe.correlation_id()))
        if task.correlation == "nothing":
            return
        answer = yield question(far if task.correlation == "b" else near)
        assert isinstance(answer.outcome, Approved)
        passed.append((answer.outcome.reference, observe.correlation_id()))

    assert handler(tasks("a", "nothing", "b", "c"), None) == failed()
    assert passed == [
        *(("begun", each) for each in ("a", "nothing", "b", "c")),
        *(("near-a", "a"), ("far-b", "b"), ("near-c", "c")),
    ]
    assert (near.asked, far.asked) == ([["a", "c"]], [["b"]])


def test_who_fails_before_or_after_its_answer_fails_alone(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    near = Connector("near", [])

    @consumer("charges")
    def handler(task: Task) -> Steps:
        if task.correlation == "before":
            raise LookupError
        yield question(near)
        if task.correlation == "after":
            raise LookupError

    logged()
    assert handler(tasks("a", "before", "after", "b"), None) == failed(1, 2)
    assert near.asked == [["a", "after", "b"]]
    lines = [line for line in logged() if "message" in line]
    assert [(line["message"], line["correlation_id"]) for line in lines] == [
        *(("task.failed", "before"), ("task.done", "a"), ("task.failed", "after")),
        ("task.done", "b"),
    ]
    assert {line["subject"] for line in lines} == {TASK.subject.hex}


def test_more_than_one_question() -> None:
    near = Connector("near", [])

    @consumer("charges")
    def handler(task: Task) -> Steps:
        for _ in task.correlation:
            yield question(near)

    assert handler(tasks("a", "bbb", "cc"), None) == failed()
    assert near.asked == [["a", "bbb", "cc"], ["bbb", "cc"], ["bbb"]]


def test_an_answer_that_there_is_no_time_to_write_fails_alone(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    """Or a slow row under one of them would bring back all ten, also those that are done."""
    near = Connector("near", [])
    written: list[str] = []

    @consumer("charges")
    def handler(task: Task) -> Steps:
        yield question(near)
        written.append(task.correlation)

    enough, short = WRITING_MILLISECONDS, WRITING_MILLISECONDS - 1
    context = Context(*[MESSAGE_MILLISECONDS] * 3, enough, short, enough)
    logged()
    assert handler(tasks("a", "b", "c"), context) == failed(1)
    assert written == ["a", "c"]
    (line,) = [line for line in logged() if line.get("message") == "task.failed"]
    assert (line["error"], line["correlation_id"]) == ("TimeShortError", "b")


def test_what_is_asked_for_several_requests_is_not_said_to_be_for_the_last() -> None:
    near, far = Connector("near", []), Connector("far", [])

    @consumer("charges")
    def handler(task: Task) -> Steps:
        yield question(far if task.correlation == "b" else near)

    assert handler(tasks("a", "b", "c"), None) == failed()
    assert (near.on_behalf_of, far.on_behalf_of) == ([""], ["b"])


def test_whether_each_was_asked_before_is_said() -> None:
    near = Connector("near", [])

    @consumer("charges")
    def handler(task: Task) -> Steps:
        yield question(near, asked_before=task.correlation == "b")

    assert handler(tasks("a", "b", "c"), None) == failed()
    assert near.before == [False, True, False]


def test_what_is_declared() -> None:
    @consumer("parcels", timeout_seconds=30, parallel=True)
    def handler(parcel: Parcel) -> None:
        """Do nothing."""
        del parcel

    assert (handler.timeout_seconds, handler.visibility_timeout_seconds) == (30, 180)
    assert handler.parallel
