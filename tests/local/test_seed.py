from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local.api import Answer, Api
from local.errors import LocalError
from local.home import Home
from local.seed import ensure_merchant

if TYPE_CHECKING:
    from pathlib import Path


class Gateway(Api):
    """Stands for the API: knows merchants by e-mail address and keys by their secret."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.people: dict[str, str] = {}
        self.keys: set[str] = set()
        self.broken: dict[str, int] = {}
        self.asked: list[str] = []

    def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, credential: str = ""
    ) -> Answer:
        assert method == "POST"
        self.asked.append(path)
        if path in self.broken:
            return Answer(self.broken[path], {"code": "internal_error"})
        body = body or {}
        if path == "/auth/register":
            self.people[body["email"]] = body["password"]
            return Answer(201, {"merchant": {"id": "mer_1"}, "access_token": "token"})
        if path == "/auth/login":
            known = self.people.get(body["email"]) == body["password"]
            return Answer(200, {"access_token": "token"}) if known else Answer(401, {})
        if path == "/api_keys":
            assert credential == "token"
            self.keys.add(secret := f"{body['kind']}-{len(self.keys)}")
            return Answer(201, {"secret": secret})
        assert path == "/charges"
        return Answer(400 if credential in self.keys else 401, {})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_first_start_registers(home: Home) -> None:
    gateway = Gateway()
    merchant, new = ensure_merchant(home, gateway)
    assert new
    assert merchant.keys() == {"id", "email", "password", "secret_key", "publishable_key"}
    assert merchant["secret_key"].startswith("secret")
    assert merchant["publishable_key"].startswith("publishable")


def test_a_later_start_keeps_everything(home: Home) -> None:
    gateway = Gateway()
    first, _ = ensure_merchant(home, gateway)
    gateway.asked.clear()
    assert ensure_merchant(home, gateway) == (first, False)
    assert gateway.asked == ["/charges"]


def test_a_revoked_key_is_replaced_and_the_merchant_kept(home: Home) -> None:
    gateway = Gateway()
    first, _ = ensure_merchant(home, gateway)
    gateway.keys.clear()
    second, _ = ensure_merchant(home, gateway)
    assert (second["email"], second["password"]) == (first["email"], first["password"])
    assert list(gateway.people) == [first["email"]]


def test_another_database_gets_another_merchant(home: Home) -> None:
    first, _ = ensure_merchant(home, Gateway())
    second, new = ensure_merchant(home, Gateway())
    assert new
    assert second["password"] != first["password"]


def test_a_start_interrupted_after_registering_goes_on_with_that_merchant(home: Home) -> None:
    gateway = Gateway()
    gateway.broken = {"/api_keys": 500}
    with pytest.raises(LocalError, match="/api_keys answered 500"):
        ensure_merchant(home, gateway)
    gateway.broken = {}
    ensure_merchant(home, gateway)
    assert len(gateway.people) == 1


@pytest.mark.parametrize("path", ["/charges", "/auth/login"])
def test_a_failing_api_does_not_make_a_second_merchant(home: Home, path: str) -> None:
    gateway = Gateway()
    ensure_merchant(home, gateway)
    gateway.keys.clear()
    gateway.broken = {path: 503}
    with pytest.raises(LocalError, match="answered 503"):
        ensure_merchant(home, gateway)
    assert len(gateway.people) == 1


def test_the_merchants_file_is_private(home: Home) -> None:
    ensure_merchant(home, Gateway())
    path = home.path / "merchant.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert "password" in json.loads(path.read_text())


def test_nobody_there_is_explained() -> None:
    with pytest.raises(LocalError, match="got no answer"):
        Api("http://127.0.0.1:1").call("POST", "/charges", {})
