"""Sending dead letters back, on the emulator's own SQS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local import dead_letters
from local.dead_letters import DeadLetters
from local.errors import LocalError
from local.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.aws import Aws


@pytest.fixture
def sqs(aws: Aws) -> Iterator[Any]:
    """Queues as the templates make them, and one that is not Ivy's."""
    client = aws.client("sqs")
    for name in ("ivy-charges", "ivy-webhooks", "other"):
        dead = client.create_queue(QueueName=f"{name}-dead-letters")["QueueUrl"]
        policy = {"deadLetterTargetArn": arn(client, dead), "maxReceiveCount": 3}
        client.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})
    client.create_queue(QueueName="ivy-jobs-dead-letters")
    yield client
    for url in client.list_queues()["QueueUrls"]:
        client.delete_queue(QueueUrl=url)


def arn(client: Any, url: str) -> str:
    held = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(held["Attributes"]["QueueArn"])


def url_of(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def bury(sqs: Any, count: int) -> list[str]:
    bodies = [f'{{"id": {number}}}' for number in range(count)]
    for body in bodies:
        sqs.send_message(
            QueueUrl=url_of(sqs, "ivy-charges-dead-letters"),
            MessageBody=body,
            MessageAttributes={"kind": {"DataType": "String", "StringValue": body}},
        )
    return bodies


def waiting(sqs: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while batch := sqs.receive_message(
        QueueUrl=url_of(sqs, name), MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        found += batch
    return found


def charges(sqs: Any) -> DeadLetters:
    return dead_letters.named(dead_letters.every(sqs), "charges")


def test_every_dead_letter_queue_is_counted(sqs: Any) -> None:
    bury(sqs, 3)
    counted = {each.name: each.count for each in dead_letters.every(sqs)}
    assert counted == {"charges": 3, "jobs": 0, "webhooks": 0}


def test_messages_return_as_they_were(sqs: Any) -> None:
    bodies = bury(sqs, 23)
    assert dead_letters.redrive(sqs, charges(sqs)) == 23
    back = waiting(sqs, "ivy-charges")
    assert sorted(each["Body"] for each in back) == sorted(bodies)
    assert all(each["MessageAttributes"]["kind"]["StringValue"] == each["Body"] for each in back)
    assert charges(sqs).count == charges(sqs).held == 0


def test_a_limit_leaves_the_rest(sqs: Any) -> None:
    bury(sqs, 13)
    assert dead_letters.redrive(sqs, charges(sqs), limit=11) == 11
    assert len(waiting(sqs, "ivy-charges")) == 11
    assert (charges(sqs).count, charges(sqs).held) == (2, 0)


class Dying:
    """SQS whose caller dies at the n-th call of one kind, before it or after it."""

    def __init__(self, sqs: Any, call: str, after: int, *, done: bool) -> None:
        self._sqs, self._call, self._left, self._done = sqs, call, after, done

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._sqs, name)
        if name != self._call:
            return real

        def dying(**arguments: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                if self._done:
                    real(**arguments)
                raise KeyboardInterrupt
            return real(**arguments)

        return dying


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", ["receive_message", "send_message", "delete_message"])
def test_whatever_dies_a_message_is_in_one_of_the_queues(
    sqs: Any, call: str, *, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "HOLD_SECONDS", 0)  # back at once, not after a minute
    bodies = bury(sqs, 12)
    with pytest.raises(KeyboardInterrupt):
        dead_letters.redrive(
            Dying(sqs, call, 0 if call == "receive_message" else 4, done=done), charges(sqs)
        )
    back = {each["Body"] for each in waiting(sqs, "ivy-charges")}
    left = {each["Body"] for each in waiting(sqs, "ivy-charges-dead-letters")}
    assert back | left == set(bodies)
    assert len(back & left) <= 1


def test_what_fails_again_at_once_is_not_sent_for_ever(sqs: Any) -> None:
    """Somebody puts each message back among the dead letters as soon as it is sent."""
    bury(sqs, 5)

    class Poisoned(Dying):
        def __getattr__(self, name: str) -> Any:
            real = getattr(self._sqs, name)
            if name == "delete_message":
                bury(sqs, 1)
            return real

    assert dead_letters.redrive(Poisoned(sqs, "", 0, done=False), charges(sqs)) == 5


def test_jobs_have_no_queue_to_go_back_to(sqs: Any) -> None:
    with pytest.raises(LocalError, match="Nothing can be sent back") as refused:
        dead_letters.named(dead_letters.every(sqs), "jobs")
    assert "next run of the schedule" in refused.value.fix


def test_an_unknown_queue_is_answered_with_those_there_are(sqs: Any) -> None:
    with pytest.raises(LocalError, match="no queue payouts") as refused:
        dead_letters.named(dead_letters.every(sqs), "payouts")
    assert refused.value.fix == "One of charges, webhooks."


def test_the_table_says_what_to_do_next() -> None:
    def some(name: str, count: int, held: int = 0) -> DeadLetters:
        return DeadLetters(name, f"http://{name}", f"http://source/{name}", count, held)

    assert dead_letters.table([some("charges", 0)]).endswith("There are no dead letters.")
    shown = dead_letters.table([some("charges", 0), some("refunds", 12, 3)])
    assert shown.splitlines() == [
        "charges      0",
        "refunds     12  and 3 received by somebody",
        "Correct the cause, then: `ivy redrive refunds`",
    ]


def test_a_stack_that_does_not_run_is_explained(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="does not run"):
        dead_letters.client(Home(tmp_path))
