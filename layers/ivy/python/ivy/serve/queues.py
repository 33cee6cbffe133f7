"""Queue consumers: each message by itself, and one bad message never stops the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ivy import observe
from ivy.database import database
from ivy.outbox import Task
from ivy.serve.declaration import Consumer
from ivy.serve.injection import parameters, wake_publisher

MESSAGE_MILLISECONDS = 9_000
"""What one message may need: two questions to an acquirer that does not answer, and the writing."""


class TimeShortError(RuntimeError):
    """Too little time is left to begin another message; it comes back by itself."""


@dataclass(frozen=True, kw_only=True)
class QueueConsumer(Consumer):
    """A consumer that is its own Lambda handler and answers with the messages that failed."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Work through a batch; the failed messages come back later, the others are done.

        A batch in which everything failed is reported like any other, not raised: the effect is the
        same, and the reason is in the log line of each message.
        """
        records = event["Records"]
        done = self._done(records, context)
        failed = [
            record["messageId"] for record, well in zip(records, done, strict=True) if not well
        ]
        for _ in failed:
            observe.count("TaskFailed", queue=self.queue)
        wake_publisher(self.function)
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    def _done(self, records: list[dict[str, Any]], context: Any) -> list[bool]:
        """Say of each message whether it is done."""
        handle = partial(self._handle, context=context)
        if not parameters(self.function).takes_messages:
            return [handle(records[0])] * len(records)
        if self.parallel:
            observe.logger()  # made once, before there are threads that would each make one
            with ThreadPoolExecutor(self.batch_size) as pool:
                return list(pool.map(handle, records))
        return [handle(record) for record in records]

    def _handle(self, record: dict[str, Any], context: Any) -> bool:
        """Work on one message; returns whether it is done."""
        observe.correlate("")  # not the request of the message before
        about = {"queue": self.queue, "message_id": record["messageId"]}
        try:
            _check_time(context)
            about |= self._work(record["body"])
        except Exception:  # noqa: BLE001 - whatever it is, it is not the fault of the other messages
            observe.failure("task.failed", **about)
            return False
        observe.line("task.done", **about)
        return True

    def _work(self, body: str) -> dict[str, str]:
        """Hand the function the task or the model that a message is; returns what to log."""
        wanted = parameters(self.function)
        opened = database() if wanted.opens_transactions else None
        if Task in wanted.injected:
            task = Task.from_message(body)
            observe.correlate(task.correlation)
            self.function(**wanted.fill(task=task, database=opened))
            return {"subject": task.subject.hex}
        content = {
            message.name: message.annotation.model_validate_json(body) for message in wanted.request
        }
        self.function(**content, **wanted.fill(database=opened))
        return {}


def _check_time(context: Any) -> None:
    """Leave a message alone that could not be finished before the function is ended.

    Otherwise the slow answers to its neighbours would bring the whole batch back, again and again.
    """
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is not None and remaining() < MESSAGE_MILLISECONDS:
        raise TimeShortError
