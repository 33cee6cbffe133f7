"""Queues of work that a schedule hands out: sending it twice does no harm, losing it would."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from ivy import faults
from ivy.aws import client
from ivy.settings import settings

_SQS_BATCH = 10


class NotSentError(RuntimeError):
    """A queue did not take every message; whoever sends is to be run again."""


def send(queue: str, messages: Sequence[BaseModel]) -> None:
    """Send messages to the queue of a name, such as ``settlements``.

    Raises:
        NotSentError: Some may have been sent and others not.
    """
    for start in range(0, len(messages), _SQS_BATCH):
        answer = client("sqs").send_message_batch(
            QueueUrl=settings().required(f"{queue}_queue_url"),
            Entries=[
                {"Id": str(number), "MessageBody": message.model_dump_json()}
                for number, message in enumerate(messages[start : start + _SQS_BATCH])
            ],
        )
        faults.point("queues.after_send")
        if answer.get("Failed"):
            raise NotSentError(f"{queue} did not take {len(answer['Failed'])} messages")
