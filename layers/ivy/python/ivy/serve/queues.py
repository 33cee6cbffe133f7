"""Queue consumers: each message by itself, and one bad message never stops the others."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ivy import observe, operations
from ivy.database import database
from ivy.operations import Answer, Question, Steps
from ivy.outbox import Task
from ivy.serve.declaration import Consumer
from ivy.serve.injection import parameters, wake_publisher

MESSAGE_MILLISECONDS = 9_000
"""What is needed after a message has begun: two acquirers that do not answer, and the writing."""

WRITING_MILLISECONDS = 3_500
"""What is needed to write one answer: as long as a row may be waited for, and the rest."""


class TimeShortError(RuntimeError):
    """Too little time is left to go on with a message; it comes back by itself."""


@dataclass(frozen=True, kw_only=True)
class QueueConsumer(Consumer):
    """A consumer that is its own Lambda handler and answers with the messages that failed."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Work through a batch; the failed messages come back later, the others are done.

        A batch in which everything failed is reported like any other, not raised: the effect is the
        same, and the reason is in the log line of each message.
        """
        messages = [_Message(self, each["messageId"], each["body"]) for each in event["Records"]]
        if parameters(self.function).takes_messages:
            self._begin(messages, context)
            _answer(messages, context)
        else:  # only woken, by however many
            messages[0].begin(context)
            for other in messages[1:]:
                other.done = messages[0].done
        failed = [each.id for each in messages if not each.done]
        for _ in failed:
            observe.count("TaskFailed", queue=self.queue)
        wake_publisher(self.function)
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    def _begin(self, messages: list[_Message], context: Any) -> None:
        if not self.parallel:
            for each in messages:
                each.begin(context)
            return
        observe.logger()  # made once, before there are threads that would each make one
        with ThreadPoolExecutor(self.batch_size) as pool:
            list(pool.map(lambda each: each.begin(context), messages))


@dataclass(eq=False)
class _Message:
    """One message of a batch, and how far it has come.

    Attributes:
        question: What it has to be told before it can go on.
        done: Whether it need not come back.
    """

    consumer: QueueConsumer
    id: str
    body: str
    question: Question | None = None
    done: bool = False
    _steps: Steps | None = None
    _about: dict[str, str] = field(default_factory=dict)
    _correlation: str = ""

    def begin(self, context: Any) -> None:
        """Do what can be done without asking anybody. Never raises."""
        with self._step():
            _check_time(context, MESSAGE_MILLISECONDS)
            called = self._call()
            if isinstance(called, Generator):
                self._steps = called
                self.question = next(called, None)

    def go_on(self, answer: Answer, context: Any) -> None:
        """Do what follows from an answer. Never raises.

        An answer that there is no time to write is looked up when the message comes back.
        """
        self.question = None
        with self._step(), suppress(StopIteration):
            _check_time(context, WRITING_MILLISECONDS)
            assert self._steps is not None  # noqa: S101 - the question was theirs
            self.question = self._steps.send(answer)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Log the end of the message, or its failure."""
        observe.correlate(self._correlation)  # not the request of the message before
        queue = self.consumer.queue
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is, it is not the fault of the other messages
            observe.failure("task.failed", queue=queue, message_id=self.id, **self._about)
            return
        if self.question is None:
            self.done = True
            observe.line("task.done", queue=queue, **self._about)

    def _call(self) -> Any:
        """Hand the function the task or the model that the message is."""
        function = self.consumer.function
        wanted = parameters(function)
        opened = database() if wanted.opens_transactions else None
        if Task in wanted.injected:
            task = Task.from_message(self.body)
            self._correlation, self._about = task.correlation, {"subject": task.subject.hex}
            observe.correlate(task.correlation)
            return function(**wanted.fill(task=task, database=opened))
        content = {
            message.name: message.annotation.model_validate_json(self.body)
            for message in wanted.request
        }
        return function(**content, **wanted.fill(database=opened))


def _answer(messages: list[_Message], context: Any) -> None:
    """Ask what messages want to be told, for all of them at once, until none wants anything."""
    while waiting := {each: each.question for each in messages if each.question}:
        answers = operations.ask(list(waiting.values()))
        for each, answer in zip(waiting, answers, strict=True):
            each.go_on(answer, context)


def _check_time(context: Any, needed_milliseconds: int) -> None:
    """Leave a message alone that could not be finished before the function is ended.

    Otherwise the slow answers to its neighbours would bring the whole batch back, again and again.
    """
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is not None and remaining() < needed_milliseconds:
        raise TimeShortError
