"""Secrets of endpoints: encrypted where they lie, several in an overlap, gone when forgotten."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ivy import webhook_secrets
from ivy.needs import Need
from tests.environment import WEBHOOK_SECRETS, Environment

DAY = timedelta(hours=24)
NEEDS = (Need.WEBHOOK_SECRETS_READ,)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def endpoint() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture(autouse=True)
def _entered(deployed: Environment) -> Iterator[None]:
    deployed.enter(NEEDS)
    webhook_secrets._cache.clear()
    yield
    webhook_secrets._cache.clear()


def stored(deployed: Environment) -> list[dict[str, Any]]:
    table = deployed.name + WEBHOOK_SECRETS
    items: list[dict[str, Any]] = deployed.client("dynamodb").scan(TableName=table)["Items"]
    return items


def elsewhere() -> None:
    """Read as another execution environment would: nothing is remembered."""
    webhook_secrets._cache.clear()


def test_a_secret_is_what_standard_webhooks_say(endpoint: uuid.UUID) -> None:
    secret = webhook_secrets.create(endpoint)
    prefix, _, encoded = secret.partition("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(encoded, validate=True)) == 32
    assert webhook_secrets.active(endpoint, now()) == [secret]
    assert webhook_secrets.create(uuid.uuid4()) != secret


def test_an_unknown_endpoint_has_none_until_it_has(endpoint: uuid.UUID) -> None:
    """That there was none is not remembered, also not by who did not make the secret."""
    assert webhook_secrets.active(endpoint, now()) == []
    remembered = dict(webhook_secrets._cache)
    secret = webhook_secrets.create(endpoint)
    webhook_secrets._cache.update(remembered)
    assert webhook_secrets.active(endpoint, now()) == [secret]


def test_rotation_overlaps_and_ends(endpoint: uuid.UUID) -> None:
    first = webhook_secrets.create(endpoint)
    second = webhook_secrets.rotate(endpoint, DAY)
    assert webhook_secrets.active(endpoint, now()) == [second, first]
    assert webhook_secrets.active(endpoint, now() + timedelta(hours=23.9)) == [second, first]
    assert webhook_secrets.active(endpoint, now() + timedelta(hours=24.1)) == [second]
    elsewhere()
    assert webhook_secrets.active(endpoint, now() + timedelta(hours=24.1)) == [second]


def test_rotating_twice_cuts_nobody_off(endpoint: uuid.UUID) -> None:
    made = [webhook_secrets.create(endpoint)]
    made += [webhook_secrets.rotate(endpoint, DAY) for _ in range(2)]
    assert webhook_secrets.active(endpoint, now()) == made[::-1]


def test_rotating_without_overlap_ends_all_before(endpoint: uuid.UUID) -> None:
    webhook_secrets.create(endpoint)
    webhook_secrets.rotate(endpoint, DAY)
    last = webhook_secrets.rotate(endpoint, timedelta(0))
    assert webhook_secrets.active(endpoint, now()) == [last]


def test_only_so_many_sign_at_once(endpoint: uuid.UUID) -> None:
    made = [webhook_secrets.create(endpoint)]
    made += [webhook_secrets.rotate(endpoint, DAY) for _ in range(webhook_secrets.MAX_SECRETS + 2)]
    assert webhook_secrets.active(endpoint, now()) == made[::-1][: webhook_secrets.MAX_SECRETS]


def test_what_ended_is_not_kept(deployed: Environment, endpoint: uuid.UUID) -> None:
    webhook_secrets.create(endpoint)
    webhook_secrets.rotate(endpoint, timedelta(0))
    (item,) = (i for i in stored(deployed) if i["id"]["S"] == endpoint.hex)
    assert len(item["secrets"]["L"]) == 1


def test_a_lost_secret_is_replaced_by_rotating(endpoint: uuid.UUID) -> None:
    secret = webhook_secrets.rotate(endpoint, DAY)
    assert webhook_secrets.active(endpoint, now()) == [secret]


def test_a_lost_answer_does_not_rotate_twice(deployed: Environment, endpoint: uuid.UUID) -> None:
    """The client tries again by itself; what it wrote the first time is found."""
    first = webhook_secrets.create(endpoint)
    with deployed.cloud.failing("lose_one_answer", "PutItem"):
        second = webhook_secrets.rotate(endpoint, DAY)
    assert webhook_secrets.active(endpoint, now()) == [second, first]


def test_two_who_rotate_at_once_lose_nothing(
    endpoint: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = webhook_secrets.create(endpoint)
    read, others = webhook_secrets._read, []

    def overtaken(which: uuid.UUID) -> Any:
        found = read(which)
        monkeypatch.setattr(webhook_secrets, "_read", read)
        others.append(webhook_secrets.rotate(which, DAY))
        return found

    monkeypatch.setattr(webhook_secrets, "_read", overtaken)
    mine = webhook_secrets.rotate(endpoint, DAY)
    assert webhook_secrets.active(endpoint, now()) == [mine, *others, first]


def test_rotating_gives_up_when_always_overtaken(
    endpoint: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = webhook_secrets.create(endpoint)
    read = webhook_secrets._read
    monkeypatch.setattr(webhook_secrets, "_read", lambda which: (99, read(which)[1]))
    with pytest.raises(webhook_secrets.RotatedElsewhereError):
        webhook_secrets.rotate(endpoint, DAY)
    monkeypatch.setattr(webhook_secrets, "_read", read)
    assert webhook_secrets.active(endpoint, now()) == [secret]


def test_forgotten(deployed: Environment, endpoint: uuid.UUID) -> None:
    webhook_secrets.create(endpoint)
    webhook_secrets.forget(endpoint)
    assert webhook_secrets.active(endpoint, now()) == []
    assert endpoint.hex not in {item["id"]["S"] for item in stored(deployed)}


def test_the_table_holds_no_secret(deployed: Environment, endpoint: uuid.UUID) -> None:
    made = [webhook_secrets.create(endpoint), webhook_secrets.rotate(endpoint, DAY)]
    kept = repr(stored(deployed)).encode()
    for secret in made:
        raw = base64.b64decode(secret.removeprefix("whsec_"))
        assert raw not in kept
        assert secret.removeprefix("whsec_").encode() not in kept
        assert repr(raw)[2:-1].encode() not in kept


def test_a_ciphertext_is_worth_nothing_for_another_endpoint(
    deployed: Environment, endpoint: uuid.UUID
) -> None:
    webhook_secrets.create(endpoint)
    other = uuid.uuid4()
    (item,) = (i for i in stored(deployed) if i["id"]["S"] == endpoint.hex)
    deployed.client("dynamodb").put_item(
        TableName=deployed.name + WEBHOOK_SECRETS, Item={**item, "id": {"S": other.hex}}
    )
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        webhook_secrets.active(other, now())


def test_read_once_a_minute(
    deployed: Environment, endpoint: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = webhook_secrets.create(endpoint)
    assert webhook_secrets.active(endpoint, now()) == [secret]
    with deployed.cloud.failing("fail", "GetItem", "Decrypt"):
        assert webhook_secrets.active(endpoint, now()) == [secret]
        monkeypatch.setattr(webhook_secrets, "CACHE_SECONDS", 0)
        with pytest.raises(ClientError):
            webhook_secrets.active(endpoint, now())


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_secrets, "CACHE_ENTRIES", 2)
    endpoints = [uuid.uuid4() for _ in range(4)]
    for each in endpoints:
        webhook_secrets.create(each)
        assert webhook_secrets.active(each, now())
    assert list(webhook_secrets._cache) == endpoints[-2:]
