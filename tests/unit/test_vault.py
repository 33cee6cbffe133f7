from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ivy import aws, settings, vault


class SecretsManager:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_secret_value(self, **wanted: str) -> dict[str, Any]:
        self.asked.append(wanted["SecretId"])
        secret = {"username": "ivy_app", "host": "writer", "port": 5432}
        return {"SecretString": json.dumps(secret)}


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManager]:
    made = SecretsManager()
    monkeypatch.setattr(vault, "client", lambda _service: made)
    for name in ("IVY_DATABASE_SECRET", "IVY_ACCESS_SECRET"):
        monkeypatch.setenv(name, f"arn:{name}")
    settings.settings.cache_clear()
    vault.read.cache_clear()
    yield made
    settings.settings.cache_clear()
    vault.read.cache_clear()


def test_a_secret_is_read_once_and_every_value_is_text(manager: SecretsManager) -> None:
    for _ in range(3):
        assert vault.database() == {"username": "ivy_app", "host": "writer", "port": "5432"}
    vault.access()
    assert manager.asked == ["arn:IVY_DATABASE_SECRET", "arn:IVY_ACCESS_SECRET"]


def test_the_proxys_host_wins(manager: SecretsManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IVY_DATABASE_HOST", "proxy")
    assert vault.database()["host"] == "proxy"
    assert vault.read("arn:IVY_DATABASE_SECRET")["host"] == "writer"  # what is kept is untouched
    assert manager.asked


def test_clients_give_up_inside_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    aws.client.cache_clear()
    try:
        made = aws.client("sqs")
        assert aws.client("sqs") is made
        config = made.meta.config
        worst = config.retries["total_max_attempts"] * (
            config.connect_timeout + config.read_timeout
        )
        assert worst < 15
    finally:
        aws.client.cache_clear()
