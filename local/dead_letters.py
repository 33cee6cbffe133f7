"""What consumers gave up on, counted; and sent back to be done after all.

AWS moves messages itself (``StartMessageMoveTask``); the emulator does not know how. So each
message is received, sent to its queue, and only then deleted: whatever dies in between, it may be
there twice, which consumers are made for, and is never lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.aws import Aws
from local.errors import LocalError
from local.home import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.home import Home

SUFFIX = "-dead-letters"
BATCH = 10
"""How many messages SQS hands out at once."""

HOLD_SECONDS = 60
"""How long a received message is hidden from others: more than sending a batch takes."""

WHY_NO_QUEUE = (
    "The dead letters of jobs have no queue to go back to: the next run of the schedule does the"
    " work. `ivy invoke outbox/relay` runs a job at once."
)


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """One dead-letter queue.

    Attributes:
        name: Of the queue whose messages these were, without the prefix: ``charges``.
        url: Its own address.
        source: The address of that queue; empty for what was in none.
        count: How many messages wait.
        held: How many somebody has received and not deleted, such as a redrive that died.
    """

    name: str
    url: str
    source: str
    count: int
    held: int


def client(home: Home) -> Any:
    """Return the SQS of a running stack.

    Raises:
        LocalError: The stack does not run.
    """
    return Aws(home.running()["emulator"]).client("sqs")


def every(sqs: Any) -> list[DeadLetters]:
    """Return every dead-letter queue of the stack, by name."""
    queues = {url: _attributes(sqs, url) for url in _urls(sqs)}
    sources = {
        json.loads(held["RedrivePolicy"])["deadLetterTargetArn"]: url
        for url, held in queues.items()
        if "RedrivePolicy" in held
    }
    return [
        DeadLetters(
            name=url.rpartition("/")[2].removeprefix(f"{PREFIX}-").removesuffix(SUFFIX),
            url=url,
            source=sources.get(held["QueueArn"], ""),
            count=int(held["ApproximateNumberOfMessages"]),
            held=int(held["ApproximateNumberOfMessagesNotVisible"]),
        )
        for url, held in sorted(queues.items())
        if url.endswith(SUFFIX)
    ]


def named(found: list[DeadLetters], name: str) -> DeadLetters:
    """Return the dead letters of one queue, which can be sent back.

    Raises:
        LocalError: There is no such queue, or nowhere to send them.
    """
    for each in found:
        if each.name == name:
            if not each.source:
                raise LocalError(f"Nothing can be sent back: {name}.", WHY_NO_QUEUE)
            return each
    names = ", ".join(each.name for each in found if each.source)
    raise LocalError(f"There is no queue {name}.", f"One of {names}.")


def redrive(sqs: Any, letters: DeadLetters, limit: int | None = None) -> int:
    """Send messages back to their queue; return how many.

    Not more than there were when it began: what fails again at once is not sent again.

    Args:
        sqs: The service.
        letters: Whose messages.
        limit: At most so many.
    """
    wanted = letters.count if limit is None else min(limit, letters.count)
    sent = 0
    while sent < wanted:
        received = sqs.receive_message(
            QueueUrl=letters.url,
            MaxNumberOfMessages=min(BATCH, wanted - sent),
            VisibilityTimeout=HOLD_SECONDS,
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not received:
            break
        for message in received:
            sqs.send_message(
                QueueUrl=letters.source,
                MessageBody=message["Body"],
                MessageAttributes=message.get("MessageAttributes", {}),
            )
            sqs.delete_message(QueueUrl=letters.url, ReceiptHandle=message["ReceiptHandle"])
            sent += 1
    return sent


def table(found: list[DeadLetters]) -> str:
    """Return the queues as lines for people, and how to go on."""
    width = max((len(each.name) for each in found), default=0)
    lines = [
        f"{each.name:<{width}}  {each.count:>5}"
        + (f"  and {each.held} received by somebody" if each.held else "")
        for each in found
    ]
    waiting = [each.name for each in found if each.count and each.source]
    if not any(each.count + each.held for each in found):
        lines.append("There are no dead letters.")
    elif waiting:
        lines.append(f"Correct the cause, then: `ivy redrive {waiting[0]}`")
    return "\n".join(lines)


def _urls(sqs: Any) -> Iterator[str]:
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"{PREFIX}-"):
        yield from page.get("QueueUrls", ())


def _attributes(sqs: Any, url: str) -> dict[str, str]:
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
        "Attributes"
    ]
    return found
