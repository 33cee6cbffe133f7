"""What is sent is accepted by the libraries that receivers use, and by nobody else's secret."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from ivy import sender, settings
from ivy.webhook_messages import Delivery
from tests.verifiers import EVERYBODY, Signed, accepting
from tests.webhook_target import Received, WebhookTarget

CURRENT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PREVIOUS = "whsec_" + "QUFB" * 16
STRANGER = "whsec_" + "QkJC" * 16

BODIES = [
    "{}",
    '{"id":"evt_1","data":{"amount":100}}',
    json.dumps({"name": "Zoë 你好 👋 \u2028"}, ensure_ascii=False),
    json.dumps({"name": "Zoë 你好 👋"}),
    '{"spaces" : [ 1 ,2]\n}',
    json.dumps({"large": "é" * 9000}, ensure_ascii=False),
    '{"dots":"a.b.c","number":1.10,"quote":"\\u0000\\""}',
]


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVY_TARGET", "local")
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


@pytest.fixture(scope="module")
def target() -> Iterator[WebhookTarget]:
    with WebhookTarget() as listening:
        yield listening


def received(target: WebhookTarget, body: str, *secrets: str) -> Received:
    delivery = Delivery(
        id=uuid.uuid4(),
        account="1001-test",
        endpoint=uuid.uuid4(),
        url=target.url("ok"),
        event=f"evt_{uuid.uuid4().hex}",
        number=1,
        body=body,
        api_version="2026-12-01",
    )
    assert sender.send(delivery, secrets).outcome == "delivered"
    return target.received[-1]


def held(got: Received, secret: str, body: str | None = None, **headers: str) -> Signed:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return Signed(secret, {**got.headers, **changed}, body or got.body.decode())


def test_every_library_accepts_every_body(target: WebhookTarget) -> None:
    signed = [held(received(target, body, CURRENT), CURRENT) for body in BODIES]
    assert [each.body for each in signed] == BODIES
    assert accepting(signed) == [EVERYBODY] * len(BODIES)


def test_during_a_rotation_both_secrets_verify(target: WebhookTarget) -> None:
    got = received(target, BODIES[1], CURRENT, PREVIOUS)
    assert got.headers["webhook-signature"].count("v1,") == 2
    assert accepting([held(got, CURRENT), held(got, PREVIOUS), held(got, STRANGER)]) == [
        EVERYBODY,
        EVERYBODY,
        set(),
    ]


def test_what_was_changed_is_accepted_by_nobody(target: WebhookTarget) -> None:
    got = received(target, BODIES[1], CURRENT)
    sent_at = int(got.headers["webhook-timestamp"])
    changed = [
        held(got, CURRENT, body=BODIES[1].replace("100", "900")),
        held(got, CURRENT, webhook_id="evt_0"),
        held(got, CURRENT, webhook_timestamp=str(sent_at - 1)),
        held(got, CURRENT, webhook_timestamp=str(sent_at - 400)),
        held(got, CURRENT, webhook_signature="v1,AAAA"),
    ]
    assert accepting(changed) == [set()] * len(changed)
