"""Consumers: each message by itself, and the request it came from stays in sight."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from functions.charges import create, process
from functions.outbox import relay
from functions.refunds import create as refund
from functions.refunds import process as refund_process
from ivy import ids, outbox
from ivy.database import Tenant
from ivy.outbox import Task
from ivy.serve import consumer
from ivy.serve.declaration import Consumer
from ivy.settings import settings
from tests.conftest import Store
from tests.driving import CONSUMERS, Account, LambdaContext, Platform, Reply, sqs_event

Logged = Callable[[], list[dict[str, Any]]]
SECRET_TEXT = "nobody else's business"


def charge(platform: Platform, account: Account) -> Reply:
    return platform.request(
        create.handler,
        {"amount": 100, "currency": "USD", "payment_method": "tok_visa"},
        bearer=account.secret_key,
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )


def count(store: Store, question: str) -> int:
    with store.superuser() as root:
        found = root.execute(question.encode()).fetchone()
    assert found is not None
    return int(found[0])


def message(**changes: Any) -> str:
    fields = {
        "id": str(uuid.uuid4()),
        "queue": "charges",
        "merchant_id": 1001,
        "livemode": False,
        "subject": str(uuid.uuid4()),
        "correlation": "c",
    }
    return json.dumps(fields | changes)


POISON = [
    "",
    "not json",
    "[]",
    "null",
    "{}",
    "7",
    message(id="x"),
    message(subject=None),
    message(merchant_id="many"),
    message(),  # about a charge that nobody made
]


def test_one_bad_message_never_stops_the_others(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    for _ in range(3):
        charge(platform, ada)
    good = platform.messages()
    assert len(good) == 3
    batch = [POISON[0], good[0], *POISON[1:6], good[1], *POISON[6:], good[2]]
    failed = platform.hand_over(process.handler, *batch)
    assert failed == POISON
    assert count(store, "SELECT count(*) FROM charges WHERE status = 'succeeded'") == 3
    assert count(store, "SELECT count(*) FROM journal") == 3
    assert count(store, "SELECT count(*) FROM outbox") == 0


def test_poison_ends_in_the_dead_letter_queue(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    platform.send("poison")
    charge(platform, ada)
    platform.drain()
    assert platform.messages() == []
    assert platform.messages(dead=True) == ["poison"]
    assert count(store, "SELECT count(*) FROM charges WHERE status = 'succeeded'") == 1


def test_a_message_for_another_merchant_finds_nothing(platform: Platform, store: Store) -> None:
    """Only its own tenant's rows are open to a message, whatever it says its subject is."""
    ada, bob = platform.open_account(), platform.open_account("bob@example.com")
    charge(platform, ada)
    (body,) = platform.messages()
    stolen = json.dumps(json.loads(body) | {"merchant_id": bob.merchant_id})
    live = json.dumps(json.loads(body) | {"livemode": True})
    assert platform.hand_over(process.handler, stolen, live) == [stolen, live]
    assert count(store, "SELECT count(*) FROM attempts") == 0
    assert platform.hand_over(process.handler, body) == []


@pytest.mark.parametrize("consuming", CONSUMERS, ids=lambda consuming: consuming.queue)
def test_a_message_about_nothing_fails_with_every_consumer(
    platform: Platform, consuming: Consumer
) -> None:
    ada = platform.open_account()
    nothing = message(queue=consuming.queue, merchant_id=ada.merchant_id)
    assert platform.hand_over(consuming, nothing) == [nothing]


def test_a_refund_does_not_go_on_under_the_promise_of_another(
    platform: Platform, store: Store
) -> None:
    ada = platform.open_account()
    made = charge(platform, ada).json()
    platform.drain()
    for amount in (30, 40):
        platform.post(refund.handler, ada, {"charge": made["id"], "amount": amount})
    one, other = platform.messages("refunds")
    forged = json.dumps(json.loads(one) | {"id": json.loads(other)["id"]})
    asked = count(store, "SELECT count(*) FROM attempts")
    assert platform.hand_over(refund_process.handler, forged) == []
    assert count(store, "SELECT count(*) FROM attempts") == asked
    platform.drain()
    assert count(store, "SELECT sum(amount_refunded) FROM charges") == 70


def test_the_requests_id_reaches_the_consumers_log(platform: Platform, logged: Logged) -> None:
    ada = platform.open_account()
    request_ids = [charge(platform, ada).headers["request-id"] for _ in range(2)]
    messages = platform.messages()
    assert [json.loads(body)["correlation"] for body in messages] == request_ids
    logged()
    platform.hand_over(process.handler, "poison", messages[0], "poison", messages[1])
    written = [line for line in logged() if "message" in line]
    assert [(line["message"], line.get("correlation_id")) for line in written] == [
        ("task.failed", ""),
        ("task.failed", ""),  # not the request of the message before it
        ("task.done", request_ids[0]),
        ("task.done", request_ids[1]),
    ]
    assert [line.get("subject") for line in written[2:]] == [
        uuid.UUID(json.loads(body)["subject"]).hex for body in messages
    ]


def test_a_failure_is_logged_counted_and_said_to_nobody(deployed: Platform, logged: Logged) -> None:
    @consumer("charges")
    def handler(task: Task) -> None:
        raise LookupError(SECRET_TEXT + task.correlation)

    deployed.enter(process.handler.needs)
    bodies = [message(correlation="one"), message(correlation="two")]
    event = sqs_event(dict(enumerate(bodies)))
    answer = handler(event, LambdaContext())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}, {"itemIdentifier": "1"}]}
    written = logged()
    failures = [line for line in written if line.get("message") == "task.failed"]
    assert [line["correlation_id"] for line in failures] == ["one", "two"]
    assert [line["message_id"] for line in failures] == ["0", "1"]
    counted = [line for line in written if "TaskFailed" in line]
    assert [line["queue"] for line in counted] == ["charges", "charges"]


def test_a_task_reads_back_from_its_message() -> None:
    task = Task(uuid.uuid4(), "charges", Tenant(7, livemode=True), uuid.uuid4(), "c-1")
    assert Task.from_message(task.message()) == task


# -- the outbox


def test_a_lost_message_is_sent_again_and_counts_once(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    charge(platform, ada)
    platform.lose_messages()
    assert platform.run(relay.handler).items() >= {"overdue": 0, "sent": 0}.items()
    platform.make_overdue()
    report = platform.run(relay.handler)
    assert (report["overdue"], report["sent"]) == (1, 1)
    assert report["overdue_seconds"] == 0  # late, but expected any moment
    assert platform.run(relay.handler)["overdue"] == 0  # its next turn is later
    platform.drain()
    assert count(store, "SELECT count(*) FROM journal") == 1
    platform.make_overdue()
    assert platform.run(relay.handler).items() >= {"overdue": 0, "overdue_seconds": 0}.items()


def test_work_is_stuck_five_minutes_after_it_was_to_be_done(
    platform: Platform, store: Store
) -> None:
    """Counted from when it is expected: what rests until a day is not stuck before that day."""
    ada = platform.open_account()
    late, resting = charge(platform, ada).json(), charge(platform, ada).json()
    with store.superuser() as root:
        for made, age in ((late, "6 minutes"), (resting, "-3 days")):
            root.execute(
                "UPDATE outbox SET created_at = now() - interval '6 minutes',"
                " expected_at = expected_at - %s::interval WHERE subject = %s",
                (age, UUID(hex=made["id"][3:])),
            )
    assert 60 <= platform.run(relay.handler)["overdue_seconds"] < 120


def test_the_wait_between_sends_doubles_to_an_hour(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    charge(platform, ada)
    waits = []
    for _ in range(9):
        platform.make_overdue()
        platform.run(relay.handler)
        waits.append(
            count(
                store,
                "SELECT round(extract(epoch FROM next_send_at - now()) / 60) FROM outbox",
            )
        )
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_two_relays_claim_different_work(platform: Platform, store: Store) -> None:
    from ivy.database import Database  # noqa: PLC0415 - two at once

    ada = platform.open_account()
    for _ in range(4):
        charge(platform, ada)
    platform.make_overdue()
    one, two = Database(store.url("ivy_jobs")), Database(store.url("ivy_jobs"))
    with one.transaction() as first, two.transaction() as second:
        taken = [{t.id for t in outbox.overdue(tx, limit=2)} for tx in (first, second)]
    assert [len(ids_) for ids_ in taken] == [2, 2]
    assert not taken[0] & taken[1]
    one.close()
    two.close()


def test_sending_never_raises(platform: Platform, logged: Logged) -> None:
    """The row is the promise; the message only a courtesy."""
    ada = platform.open_account()
    logged()
    with platform.cloud.failing("fail", "SendMessageBatch"):
        answer = charge(platform, ada)
    assert answer.status == 201
    written = logged()
    assert [line["queue"] for line in written if line.get("message") == "outbox.send_failed"]
    assert [line for line in written if "OutboxSendFailed" in line]
    assert platform.messages() == []
    platform.make_overdue()
    assert platform.run(relay.handler)["sent"] == 1


def test_messages_leave_in_batches_of_ten(platform: Platform) -> None:
    platform.enter(create.handler.needs)
    tasks = [
        Task(ids.new(ids.now()), "charges", Tenant(1, livemode=False), uuid.uuid4(), "")
        for _ in range(23)
    ]
    assert outbox.send(tasks) == 23
    assert sorted(platform.messages()) == sorted(task.message() for task in tasks)
    assert outbox.send([]) == 0


def test_messages_that_the_queue_refuses_are_counted(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, logged: Logged
) -> None:
    class Refusing:
        def send_message_batch(self, **_: Any) -> dict[str, Any]:
            return {"Failed": [{"Id": "0"}]}

    platform.enter(create.handler.needs)
    assert settings().charges_queue_url
    monkeypatch.setattr(outbox, "client", lambda _service: Refusing())
    tasks = [
        Task(uuid.uuid4(), "charges", Tenant(1, livemode=False), uuid.uuid4(), "") for _ in "ab"
    ]
    logged()
    assert outbox.send(tasks) == 1
    assert [line["OutboxSendFailed"] for line in logged() if "OutboxSendFailed" in line] == [[1.0]]
