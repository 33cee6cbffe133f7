"""The same request, sent any number of times, charges once and reads the same."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, LiteralString

import pytest

from functions.api_keys import revoke
from functions.charges import create, process
from ivy import idempotency
from tests import invariants
from tests.conftest import Store
from tests.driving import Account, Platform, Reply
from tests.faults import dying

BODY = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"}
COPIES = 64
MAX_TRIES = 20

Send = Callable[..., Reply]


@pytest.fixture
def send(deployed: Platform, ada: Account) -> Send:
    def send(key: str | None, body: Any = None, account: Account = ada, **headers: str) -> Reply:
        keyed = {"Idempotency-Key": key} if key is not None else {}
        return deployed.request(
            create.handler, body or BODY, bearer=account.secret_key, headers=keyed | headers
        )

    return send


@pytest.fixture
def count(shared_store: Store) -> Iterator[Callable[[], int]]:
    """Count the charges made since the test began."""
    with shared_store.superuser() as connection:

        def charges() -> int:
            row = connection.execute("SELECT count(*) FROM charges").fetchone()
            assert row is not None
            return int(row[0])

        before = charges()
        yield lambda: charges() - before


def test_a_replay_is_byte_identical_even_after_the_charge_has_changed(
    deployed: Platform, send: Send, count: Callable[[], int]
) -> None:
    first = send("same")
    replay = send("same")
    deployed.drain(process.handler)
    later = send("same")
    assert (first.status, first.replayed) == (201, False)
    assert (replay.status, replay.replayed, replay.body) == (201, True, first.body)
    assert (later.status, later.replayed, later.body) == (201, True, first.body)
    assert replay.headers["content-type"] == first.headers["content-type"]
    assert count() == 1


def test_an_answer_that_an_event_tells_is_kept_once_and_read_byte_for_byte(
    deployed: Platform, send: Send, shared_store: Store
) -> None:
    body = BODY | {"description": 'Grüße “\\” / " 🜁', "metadata": {"ö": "1e3", "a": "\u00a0"}}
    first = send("told", body)
    with shared_store.superuser() as connection:
        kept = connection.execute(
            "SELECT keys.body, events.type FROM idempotency_keys AS keys"
            " JOIN events ON events.id = event_id JOIN charges ON charges.id = object_id"
            " WHERE charges.id = %s",
            (first.json()["id"].removeprefix("ch_"),),
        ).fetchone()
    assert kept == (None, "charge.pending")
    deployed.empty_table()
    replay = send("told", body)
    assert (replay.status, replay.replayed, replay.body) == (201, True, first.body)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_invalid"),
        ("k" * 256, "idempotency_key_invalid"),
        ("schlüssel", "idempotency_key_invalid"),
        ("tab\there", "idempotency_key_invalid"),
    ],
)
def test_a_request_without_a_usable_key_is_refused(
    send: Send, count: Callable[[], int], key: str | None, code: str
) -> None:
    for _ in range(2):
        refused = send(key)
        assert (refused.status, refused.code) == (400, code)
    assert count() == 0


def test_the_longest_key_is_accepted(send: Send) -> None:
    assert send("k" * 255).status == 201


def test_the_header_is_read_in_any_case(
    deployed: Platform, ada: Account, count: Callable[[], int]
) -> None:
    spellings = ("Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY", "iDEMPOTENCY-kEY")
    replies = [
        deployed.request(create.handler, BODY, bearer=ada.secret_key, headers={name: "spelling"})
        for name in spellings
    ]
    assert {reply.body for reply in replies} == {replies[0].body}
    assert [reply.replayed for reply in replies] == [False, True, True, True]
    assert count() == 1


def test_order_and_spacing_of_the_body_do_not_matter(send: Send, count: Callable[[], int]) -> None:
    first = send("order", BODY)
    turned = send("order", json.dumps(dict(reversed(BODY.items())), indent=3))
    assert (turned.status, turned.replayed, turned.body) == (201, True, first.body)
    assert count() == 1


@pytest.mark.parametrize("remembered", [True, False])
def test_another_body_is_refused_and_changes_nothing(
    deployed: Platform, send: Send, count: Callable[[], int], *, remembered: bool
) -> None:
    key = f"other-body-{remembered}"
    first = send(key)
    if not remembered:
        deployed.empty_table()
    other = send(key, BODY | {"amount": 10_001})
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    again = send(key)
    assert (again.status, again.replayed, again.body) == (201, True, first.body)
    assert count() == 1


def test_two_merchants_may_use_one_key(
    send: Send, ada: Account, bob: Account, count: Callable[[], int]
) -> None:
    hers, his = send("shared", account=ada), send("shared", account=bob)
    assert (hers.replayed, his.replayed) == (False, False)
    assert hers.json()["id"] != his.json()["id"]
    assert send("shared", account=bob).body == his.body
    assert count() == 2


@pytest.mark.parametrize(
    "wrong", [{"amount": "ten"}, {"amount": 1}, {"currency": "XXX"}, {"payment_method": "tok_no"}]
)
def test_a_refused_request_does_not_burn_its_key(
    send: Send, count: Callable[[], int], wrong: dict[str, Any]
) -> None:
    key = f"corrected-{wrong}"
    assert send(key, BODY | wrong).status == 422
    assert send(key, BODY | wrong).status == 422
    right = send(key)
    assert (right.status, right.replayed) == (201, False)
    assert count() == 1


def test_a_closed_mode_does_not_burn_the_key(
    deployed: Platform, ada: Account, count: Callable[[], int]
) -> None:
    def send(mode: str) -> Reply:
        headers = {"Idempotency-Key": "mode", "Ivy-Mode": mode}
        return deployed.request(create.handler, BODY, bearer=ada.access_token, headers=headers)

    assert (send("live").status, send("test").status, send("live").status) == (403, 201, 403)
    assert count() == 1


def test_a_revoked_key_moves_no_money_although_the_gateway_still_remembers_it(
    deployed: Platform, count: Callable[[], int]
) -> None:
    eve = deployed.open_account("eve@example.com")
    revoked = deployed.request(revoke.handler, bearer=eve.access_token, id=eve.key_id)
    assert revoked.status == 200
    sent = deployed.request(
        create.handler, BODY, bearer=eve.secret_key, headers={"Idempotency-Key": "revoked"}
    )
    assert (sent.status, sent.code) == (401, "credential_invalid")
    assert count() == 0


def test_a_failure_in_a_statement_that_nobody_reads_is_never_a_success(
    send: Send, shared_store: Store, count: Callable[[], int]
) -> None:
    with shared_store.superuser() as connection:
        connection.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no'; END$$;"
            "CREATE TRIGGER fails BEFORE INSERT ON outbox EXECUTE FUNCTION fail()"
        )
        failed = send("unread")
        connection.execute("DROP FUNCTION fail() CASCADE")
    assert failed.status == 500
    assert count() == 0
    assert (send("unread").status, count()) == (201, 1)


@pytest.fixture
def hasty(deployed: Platform, shared_store: Store) -> Iterator[None]:
    """Let transactions give up on a lock after 50 ms instead of 3 s."""
    role = f"ALTER ROLE ivy_app IN DATABASE {shared_store.name}"
    with shared_store.superuser() as admin:
        admin.execute(f"{role} SET lock_timeout = '50ms'".encode())
        deployed.forget()
        yield
        admin.execute(f"{role} RESET lock_timeout".encode())
        deployed.forget()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("ends", ["ROLLBACK", "COMMIT"])
def test_a_copy_that_waits_too_long_is_told_to_come_back(
    send: Send, shared_store: Store, ada: Account, ends: LiteralString
) -> None:
    """The first copy is a transaction of ours, for another body, that ends late."""
    claimed = idempotency.key(
        f"late-{ends}", method="POST", route="/v1/charges", path="/v1/charges", body={}
    )
    with shared_store.superuser() as first:
        first.execute("BEGIN")
        first.execute(
            "INSERT INTO idempotency_keys VALUES (%s, false, %s, %s, 201, '{}')",
            (ada.merchant_id, claimed.scope, claimed.fingerprint),
        )
        waiting = send(f"late-{ends}")
        assert (waiting.status, waiting.code) == (409, "idempotency_key_in_use")
        assert waiting.headers["retry-after"] == "1"
        assert waiting.json()["retryable"]
        first.execute(ends)
        assert send(f"late-{ends}").status == (422 if ends == "COMMIT" else 201)
        first.execute(
            "DELETE FROM idempotency_keys WHERE scope = %s AND body = '{}'", (claimed.scope,)
        )


def _race(send: Callable[[int], Reply]) -> list[Reply]:
    """Send copies at once, each from a process of its own that retries as it is told to."""
    start = multiprocessing.get_context("fork").Event()

    def client(number: int) -> dict[str, Any]:
        start.wait()
        for _ in range(MAX_TRIES):
            reply = send(number)
            if reply.status not in (409, 503):
                break
            time.sleep(int(reply.headers["retry-after"]))
        return asdict(reply) | {"body": reply.body.decode()}

    racing = [dying.start(partial(client, number)) for number in range(COPIES)]
    start.set()
    ends = [process.wait() for process in racing]
    return [Reply(**end.result | {"body": end.result["body"].encode()}) for end in ends]


@pytest.mark.parametrize("front", ["up", "down"])
def test_many_copies_at_once_charge_once(
    deployed: Platform, send: Send, shared_store: Store, count: Callable[[], int], front: str
) -> None:
    away = {"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1"} if front == "down" else {}
    with deployed.overriding(**away):
        replies = _race(lambda _: send(f"race-{front}"))
    assert {reply.status for reply in replies} == {201}
    assert {reply.body for reply in replies} == {replies[0].body}
    assert sorted(reply.replayed for reply in replies) == [False] + [True] * (COPIES - 1)
    assert count() == 1
    with shared_store.superuser() as connection:
        assert invariants.broken(connection) == {}


def test_copies_with_different_bodies_at_once_charge_one_of_them(
    send: Send, count: Callable[[], int]
) -> None:
    replies = _race(lambda number: send("quarrel", BODY | {"amount": 10_000 + number % 4}))
    won = [reply for reply in replies if reply.status == 201]
    lost = [reply for reply in replies if reply.status != 201]
    assert {reply.body for reply in won} == {won[0].body}
    assert [reply.replayed for reply in won].count(False) == 1
    assert len(won) == COPIES // 4
    assert {(reply.status, reply.code) for reply in lost} == {(422, "idempotency_key_reused")}
    assert count() == 1
