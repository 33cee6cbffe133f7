"""Whatever happens to DynamoDB costs speed: one key is still one charge, and reads the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from functions.charges import create
from ivy import aws
from ivy.serve import front, http
from tests import invariants
from tests.cloud import Cloud
from tests.conftest import Store
from tests.driving import Account, Platform, Reply

BODY = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"}
MAX_TRIES = 5
NOBODY = "http://127.0.0.1:1"

Disturbance = Callable[[Platform], AbstractContextManager[None]]


def failing(fault: Any, *operations: str) -> Disturbance:
    return lambda platform: platform.cloud.failing(fault, *operations)


@contextmanager
def hanging(platform: Platform) -> Iterator[None]:
    """Never answer; the functions give up after a fifth of a second instead of seconds."""
    with pytest.MonkeyPatch.context() as patch, platform.overriding():
        patch.setattr(aws, "HASTY_SECONDS", 0.2)
        with platform.cloud.failing("hang", "PutItem", "UpdateItem", "DeleteItem"):
            yield


DISTURBANCES: dict[str, Disturbance] = {
    "nothing": lambda _: nullcontext(),
    "stopped": lambda platform: platform.overriding(AWS_ENDPOINT_URL_DYNAMODB=NOBODY),
    "hanging": hanging,
    "throttled on put": failing("throttle", "PutItem"),
    "throttled on update": failing("throttle", "UpdateItem"),
    "throttled on delete": failing("throttle", "DeleteItem"),
    "failing": failing("fail", "PutItem", "UpdateItem", "DeleteItem"),
    "the claim lost": failing("lose_request", "PutItem"),
    "the completion lost": failing("lose_request", "UpdateItem"),
    "the release lost": failing("lose_request", "DeleteItem"),
    "the answer to the claim lost": failing("lose_answer", "PutItem"),
    "the first answer to the claim lost": failing("lose_one_answer", "PutItem"),
    "the answer to the completion lost": failing("lose_answer", "UpdateItem"),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wait for a copy that is still running nor before a second try at AWS."""
    monkeypatch.setattr(front, "WAIT_SECONDS", 0)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.fixture
def pay(deployed: Platform, ada: Account) -> Callable[..., Reply]:
    def pay(key: str, body: Any = None) -> Reply:
        """Send until there is an answer that is not worth retrying."""
        for _ in range(MAX_TRIES):
            reply = _send(deployed, ada, key, body or BODY)
            if reply.status not in (409, 503):
                return reply
            deployed.pass_in_progress_window()
        raise AssertionError(f"still {reply.status} after {MAX_TRIES} tries")

    return pay


def _send(platform: Platform, account: Account, key: str, body: Any = None) -> Reply:
    headers = {"Idempotency-Key": key}
    return platform.request(
        create.handler, body or BODY, bearer=account.secret_key, headers=headers
    )


@pytest.mark.parametrize("after", [None, "emptied"])
@pytest.mark.parametrize("disturbed", DISTURBANCES)
def test_one_charge_and_one_answer(
    deployed: Platform,
    shared_store: Store,
    pay: Callable[..., Reply],
    disturbed: str,
    after: str | None,
) -> None:
    key = f"{disturbed} {after}"
    with DISTURBANCES[disturbed](deployed):
        refused = pay(key, BODY | {"amount": 1})
        first = pay(key)
        again = pay(key)
        other = pay(key, BODY | {"amount": 20_000})
    if after == "emptied":
        deployed.empty_table()
    later = pay(key)

    assert (refused.status, first.status, other.status) == (422, 201, 422)
    assert other.code == "idempotency_key_reused"
    for replay in (again, later):
        assert (replay.status, replay.replayed, replay.body) == (201, True, first.body)
    with shared_store.superuser() as connection:
        made = connection.execute(
            "SELECT count(*) FROM charges WHERE id = %s", (first.json()["id"][3:],)
        ).fetchone()
        kept = connection.execute("SELECT count(*) FROM idempotency_keys").fetchone()
        charges = connection.execute("SELECT count(*) FROM charges").fetchone()
        assert (made, charges) == ((1,), kept)
        assert invariants.broken(connection) == {}


@pytest.mark.parametrize("after", [None, "emptied"])
def test_a_decline_is_replayed_as_the_problem_that_it_was(
    deployed: Platform, ada: Account, monkeypatch: pytest.MonkeyPatch, after: str | None
) -> None:
    """The client waits too short at first; from the outcome on, it is the answer for good."""
    monkeypatch.setattr(http, "WAIT_SECONDS", 0)
    body = BODY | {"payment_method": "tok_declined", "wait": True}
    key = f"declined {after}"
    pending = _send(deployed, ada, key, body)
    assert (pending.status, pending.json()["status"]) == (201, "pending")
    deployed.drain()
    decided = _send(deployed, ada, key, body)
    if after == "emptied":
        deployed.empty_table()
    later = _send(deployed, ada, key, body)
    for answer in (decided, later):
        assert (answer.status, answer.code, answer.replayed) == (402, "charge_declined", True)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["charge"] == pending.json()["id"]
        assert answer.json()["decline_code"] == "generic_decline"
    assert later.body == decided.body


def test_the_first_answer_comes_even_from_a_front_that_is_away(
    deployed: Platform, ada: Account
) -> None:
    """No retry is needed, except where the claim itself was left behind."""
    for disturbed in sorted(set(DISTURBANCES) - {"the answer to the claim lost"}):
        with DISTURBANCES[disturbed](deployed):
            reply = _send(deployed, ada, f"at once: {disturbed}")
        assert (reply.status, reply.replayed) == (201, False), disturbed


def test_a_front_that_failed_is_not_asked_again_in_the_same_request(
    deployed: Platform, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that hangs would otherwise cost its time limit twice."""
    asked: list[str] = []

    def note(self: front.Front, status: str, text: str = "") -> Any:
        asked.append(status)
        return record(self, status, text)

    record = front.Front._record
    monkeypatch.setattr(front.Front, "_record", note)
    with deployed.cloud.failing("throttle", "PutItem"):
        assert _send(deployed, ada, "asked once").status == 201
    assert asked == ["INPROGRESS"]


def test_the_front_answers_replays_without_postgres(
    deployed: Platform, shared_store: Store, ada: Account
) -> None:
    first = _send(deployed, ada, "without postgres")
    url = shared_store.url("ivy_app")
    deployed.connect_role("ivy_app", url.replace("127.0.0.1:", "127.0.0.1:1"))
    try:
        replay = _send(deployed, ada, "without postgres")
        new = _send(deployed, ada, "new without postgres")
    finally:
        deployed.connect_role("ivy_app", url)
    assert (replay.status, replay.replayed, replay.body) == (201, True, first.body)
    assert (new.status, new.code) == (503, "unavailable")
    assert _send(deployed, ada, "new without postgres").status == 201


def test_an_emptied_front_is_filled_again_by_a_replay(deployed: Platform, ada: Account) -> None:
    first = _send(deployed, ada, "filled")
    deployed.empty_table()
    assert deployed.records() == []
    assert _send(deployed, ada, "filled").body == first.body
    [record] = deployed.records()
    assert record["status"] == {"S": "COMPLETED"}
    assert _send(deployed, ada, "filled").body == first.body


@pytest.mark.parametrize("deleted", [True, False])
def test_a_record_that_expired_early_is_answered_by_postgres(
    deployed: Platform, ada: Account, *, deleted: bool
) -> None:
    """DynamoDB deletes late, or a clock is wrong: both are the same as a lost record."""
    deployed.empty_table()
    first = _send(deployed, ada, f"early {deleted}")
    [record] = deployed.records()
    if deleted:
        deployed.empty_table()
    else:
        record["expiration"] = {"N": "1"}
        deployed.client("dynamodb").put_item(TableName=deployed.name, Item=record)
    replay = _send(deployed, ada, f"early {deleted}")
    assert (replay.status, replay.replayed, replay.body) == (201, True, first.body)


def _leave_claimed(platform: Platform, account: Account, key: str) -> None:
    """Leave the record of a request whose process died before it reached Postgres."""
    platform.empty_table()
    assert _send(platform, account, key, BODY | {"amount": 1}).status == 422
    with platform.cloud.failing("lose_request", "DeleteItem"):
        assert _send(platform, account, key, BODY | {"amount": 1}).status == 422
    [record] = platform.records()
    assert record["status"] == {"S": "INPROGRESS"}


def test_a_claim_of_a_dead_process_holds_others_off_for_its_window_only(
    deployed: Platform, ada: Account
) -> None:
    _leave_claimed(deployed, ada, "dead")
    held = _send(deployed, ada, "dead", BODY | {"amount": 1})
    assert (held.status, held.code) == (409, "idempotency_key_in_use")
    assert held.headers["retry-after"] == "1"
    deployed.pass_in_progress_window()
    assert _send(deployed, ada, "dead", BODY | {"amount": 1}).status == 422


def test_a_claim_of_a_dead_process_does_not_decide_that_a_key_was_reused(
    deployed: Platform, ada: Account
) -> None:
    """The corrected request is asked to come back, not refused: nothing has happened yet."""
    _leave_claimed(deployed, ada, "corrected")
    held = _send(deployed, ada, "corrected")
    assert (held.status, held.code) == (409, "idempotency_key_in_use")
    deployed.pass_in_progress_window()
    assert _send(deployed, ada, "corrected").status == 201


def test_the_table_is_used_at_all(deployed: Platform, cloud: Cloud, ada: Account) -> None:
    """The control of this file: with a working table a copy never reaches Postgres twice."""
    deployed.empty_table()
    with cloud.failing("lose_request", "UpdateItem"):
        assert _send(deployed, ada, "used").status == 201
    held = _send(deployed, ada, "used")
    assert (held.status, held.code) == (409, "idempotency_key_in_use")
    deployed.pass_in_progress_window()
    assert _send(deployed, ada, "used").replayed
