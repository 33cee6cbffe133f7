"""The inbox: what it keeps and how it answers, and the endpoint that leads to it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ivy import settings
from ivy.wire import Limits, Wire
from local import inbox
from local.api import RefusedError
from local.gateway import Front, FrontServer
from local.home import Home, free_port
from local.inbox import KEPT, Inbox
from tests.deliveries import SECRET, STRANGER, Tampering, deliver, event
from tests.local.fake_api import FakeApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FACTS = {"secret_key": "ivy_sk_test_shown", "inbox": "whe_shown"}


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVY_TARGET", "local")
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


@pytest.fixture(scope="module")
def server() -> Iterator[FrontServer]:
    running = FrontServer(Front(facts=FACTS), free_port())
    running.start()
    yield running
    running.stop()


@pytest.fixture
def front(server: FrontServer) -> FrontServer:
    server.front.inbox = Inbox((SECRET,))
    return server


def address(front: FrontServer, path: str = "") -> str:
    return f"http://localhost:{front.port}/inbox{path}"


def kept(front: FrontServer, after: int | str = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(address(front, f"/deliveries?after={after}")).json()[
        "deliveries"
    ]
    return found


def switch(front: FrontServer, position: object) -> httpx.Response:
    return httpx.post(address(front, "/switch"), json=position)


def test_a_delivery_is_verified_and_kept(front: FrontServer) -> None:
    said = event(data={"id": "ch_1", "name": "Zoë 你好"})
    assert deliver(address(front, "/receive"), said=said).status_code == 204
    [got] = kept(front)
    assert json.loads(got["body"]) == said
    assert got["headers"]["webhook-id"] == said["id"]
    shown = {name: got[name] for name in ("number", "type", "sequence", "subject", "status")}
    assert shown == {
        "number": 1,
        "type": "charge.succeeded",
        "sequence": 12,
        "subject": "ch_1",
        "status": 204,
    }
    assert got["refused"] == ""


def test_what_is_not_ivys_is_refused_kept_and_said_to_be_so(front: FrontServer) -> None:
    tampering = Tampering(before=b'"version": 2', after=b'"version": 3')
    assert deliver(address(front, "/receive"), STRANGER).status_code == 400
    assert deliver(address(front, "/receive"), wire=tampering).status_code == 400
    assert httpx.post(address(front, "/receive"), content=b"\xff[").status_code == 400
    assert [each["refused"] for each in kept(front)] == [
        "No matching signature found",
        "No matching signature found",
        "Malformed signature or body",
    ]
    front.front.inbox.secrets = ()
    deliver(address(front, "/receive"))
    assert kept(front)[-1]["refused"] == "The endpoint is not registered yet"


def test_the_secret_before_verifies_too(front: FrontServer) -> None:
    """A sender that read it a moment before it was rotated signs with it for up to a minute."""
    front.front.inbox.secrets = (STRANGER, SECRET)
    assert deliver(address(front, "/receive"), SECRET).status_code == 204
    assert deliver(address(front, "/receive"), STRANGER).status_code == 204


@pytest.mark.parametrize(("position", "status"), [("fail", 500), ("gone", 410), ("accept", 204)])
def test_the_switch_decides_the_answer(front: FrontServer, position: str, status: int) -> None:
    assert switch(front, position).status_code == 204
    attempted = deliver(address(front, "/receive"))
    assert (attempted.status_code, attempted.gone) == (status, status == 410)
    assert [(each["status"], each["refused"]) for each in kept(front)] == [(status, "")]


def test_one_that_hangs_never_answers(front: FrontServer) -> None:
    switch(front, "hang")
    attempted = deliver(address(front, "/receive"), wire=Wire(limits=Limits(total_seconds=1)))
    assert (attempted.error, attempted.status_code) == ("timeout", None)
    assert [each["status"] for each in kept(front)] == [0]


@pytest.mark.parametrize("position", ["", "broken", None, 204, ["gone"], {}])
def test_the_switch_has_four_positions(front: FrontServer, position: object) -> None:
    answer = switch(front, position)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_invalid")
    assert front.front.inbox.behaviour == "accept"


@pytest.mark.parametrize("body", [b"gone", b'"gone'])
def test_a_form_of_another_site_does_not_move_the_switch(front: FrontServer, body: bytes) -> None:
    assert httpx.post(address(front, "/switch"), content=b'"gone"').status_code == 400
    headers = {"Content-Type": "text/plain"}
    assert httpx.post(address(front, "/switch"), content=body, headers=headers).status_code == 400
    assert front.front.inbox.behaviour == "accept"


def test_only_what_is_new_is_asked_for(front: FrontServer) -> None:
    for _ in range(3):
        deliver(address(front, "/receive"))
    assert [each["number"] for each in kept(front)] == [1, 2, 3]
    assert [each["number"] for each in kept(front, 2)] == [3]
    assert kept(front, 3) == []
    assert len(kept(front, "nonsense")) == 3


def test_the_last_ones_are_kept(front: FrontServer) -> None:
    with httpx.Client() as client:
        for _ in range(KEPT + 5):
            client.post(address(front, "/receive"), content=b"{}")
    numbers = [each["number"] for each in kept(front)]
    assert (numbers[0], numbers[-1], len(numbers)) == (6, KEPT + 5, KEPT)


def test_a_body_larger_than_any_event_is_not_kept(front: FrontServer) -> None:
    answer = httpx.post(address(front, "/receive"), content=b"a" * 300_000)
    assert (answer.status_code, kept(front)) == (413, [])


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(front: FrontServer) -> None:
    answer = httpx.get(address(front))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'data-key="ivy_sk_test_shown" data-endpoint="whe_shown"' in answer.text
    assert re.findall(r'(?:src|href)="(?:https?:)?//', answer.text) == []
    assert "$" not in answer.text
    assert "innerHTML" not in answer.text


@pytest.mark.parametrize("path", ["", "/deliveries", "/receive", "/switch"])
def test_another_sites_page_sees_and_sends_nothing(front: FrontServer, path: str) -> None:
    headers = {"Host": "evil.example:8000"}
    assert httpx.get(address(front, path), headers=headers).status_code == 404
    assert httpx.post(address(front, path), headers=headers, json="gone").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", "/receive"), ("DELETE", "")]
)
def test_nothing_else_is_served(front: FrontServer, method: str, path: str) -> None:
    answer = httpx.request(method, address(front, path))
    assert (answer.status_code, answer.json()["code"]) == (404, "route_unknown")
    assert httpx.get(f"http://localhost:{front.port}/inboxes").status_code == 404


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


ADDRESS = "http://localhost:8000"


def test_the_first_start_makes_an_endpoint(home: Home, api: FakeApi) -> None:
    made = inbox.register(home, api.merchant, ADDRESS)
    [endpoint] = api.endpoints.values()
    assert made == {"id": endpoint["id"], "secret": api.secrets[endpoint["id"]]}
    assert endpoint["url"] == f"{ADDRESS}/inbox/receive"
    assert endpoint["events"] == ["*"]
    assert home.read("inbox") == made
    assert (home.path / "inbox.json").stat().st_mode & 0o777 == 0o600


def test_a_later_start_keeps_it_with_another_secret(home: Home, api: FakeApi) -> None:
    """The emulator, which keeps the secrets, forgets them when it is killed."""
    first = inbox.register(home, api.merchant, ADDRESS)
    second = inbox.register(home, api.merchant, ADDRESS)
    assert second["id"] == first["id"]
    assert second["secret"] == api.secrets[first["id"]] != first["secret"]
    assert home.read("inbox") == second
    assert not [each for each in api.asked if each.startswith("PATCH")]


def test_another_port_is_told(home: Home, api: FakeApi) -> None:
    inbox.register(home, api.merchant, ADDRESS)
    inbox.register(home, api.merchant, "http://localhost:8001")
    [endpoint] = api.endpoints.values()
    assert endpoint["url"] == "http://localhost:8001/inbox/receive"


def test_a_disabled_one_is_enabled(home: Home, api: FakeApi) -> None:
    made = inbox.register(home, api.merchant, ADDRESS)
    api.endpoints[made["id"]]["status"] = "disabled"
    inbox.register(home, api.merchant, ADDRESS)
    assert api.endpoints[made["id"]]["status"] == "enabled"


def test_one_that_is_gone_is_made_again(home: Home, api: FakeApi) -> None:
    first = inbox.register(home, api.merchant, ADDRESS)
    api.endpoints.clear()
    second = inbox.register(home, api.merchant, ADDRESS)
    assert second["id"] != first["id"]
    assert list(api.endpoints) == [second["id"]]


def test_an_api_that_fails_does_not_make_a_second_one(home: Home, api: FakeApi) -> None:
    inbox.register(home, api.merchant, ADDRESS)
    api.broken = 503
    with pytest.raises(RefusedError, match="rotate_secret answered 503: Out of order"):
        inbox.register(home, api.merchant, ADDRESS)
    assert len(api.endpoints) == 1
