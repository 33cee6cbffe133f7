"""Queue consumers: each message by itself, and one bad message never stops the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ivy import observe
from ivy.database import database
from ivy.outbox import Task
from ivy.serve.declaration import Consumer
from ivy.serve.injection import parameters

MESSAGE_MILLISECONDS = 9_000
"""What one message may need: two questions to an acquirer that does not answer, and the writing."""


class TimeShortError(RuntimeError):
    """Too little time is left to begin another message; it comes back by itself."""


@dataclass(frozen=True, kw_only=True)
class QueueConsumer(Consumer):
    """A consumer that is its own Lambda handler and answers with the messages that failed."""

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Work through a batch; the failed messages come back later, the others are done."""
        from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415 - imported when needed
            process_partial_response,
        )

        failed = process_partial_response(
            event=event, record_handler=self._handle, processor=self._processor, context=context
        )
        return dict(failed)

    @cached_property
    def _processor(self) -> Any:
        from aws_lambda_powertools.utilities.batch import (  # noqa: PLC0415 - same
            BatchProcessor,
            EventType,
        )

        # A batch in which everything failed is reported like any other, not raised: on AWS the
        # effect is the same, and the reason is in the log line of each message.
        return BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def _handle(self, record: Any, lambda_context: Any = None) -> None:
        """Work on one message. The processor passes both by the names of these parameters."""
        observe.correlate("")  # not the request of the message before
        try:
            _check_time(lambda_context)
            task = Task.from_message(record.body)
            observe.correlate(task.correlation)
            wanted = parameters(self.function)
            opened = database() if wanted.opens_transactions else None
            self.function(**wanted.fill(task=task, database=opened))
        except Exception:
            observe.failure("task.failed", queue=self.queue, message_id=record.message_id)
            observe.count("TaskFailed", queue=self.queue)
            raise
        observe.line("task.done", queue=self.queue, subject=task.subject.hex)


def _check_time(context: Any) -> None:
    """Leave a message alone that could not be finished before the function is ended.

    Otherwise the slow answers to its neighbours would bring the whole batch back, again and again.
    """
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    if remaining is not None and remaining() < MESSAGE_MILLISECONDS:
        raise TimeShortError
