"""`ivy listen` and `ivy trigger`, beside something that stands for the API."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ivy import settings
from local import listen
from local.errors import LocalError
from local.home import Home, free_port
from local.listen import DESCRIPTION, Listener, receiving
from tests.deliveries import SECRET, STRANGER, Tampering, deliver, event
from tests.local.fake_api import KEY, FakeApi
from tests.webhook_target import WebhookTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).with_name("ivy"))
LINE = r"\d\d:\d\d:\d\d  charge\.succeeded +  #12 +ch_\w+  "


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IVY_TARGET", "local")
    settings.settings.cache_clear()
    yield
    settings.settings.cache_clear()


@pytest.fixture
def target() -> Iterator[WebhookTarget]:
    with WebhookTarget() as listening:
        yield listening


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, api: FakeApi) -> Home:
    made = Home(tmp_path)
    made.write("local", {"api": api.base, "merchant": {"secret_key": KEY}})
    return made


def listener(forward_to: str = "") -> tuple[Listener, list[str]]:
    lines: list[str] = []
    made = Listener(forward_to, lines.append)
    made.secret.set_result(SECRET)
    return made, lines


def test_a_delivery_is_verified_and_shown() -> None:
    made, lines = listener()
    with receiving(made) as url:
        assert deliver(url).status_code == 204
    assert re.fullmatch(LINE + "verified", lines[0])


def test_what_was_changed_or_signed_by_others_is_refused_and_says_why() -> None:
    made, lines = listener()
    with receiving(made) as url:
        assert deliver(url, STRANGER).status_code == 400
        tampering = Tampering(before=b'"version": 2', after=b'"version": 3')
        assert deliver(url, wire=tampering).status_code == 400
    assert all(re.fullmatch(LINE + "NOT VERIFIED: No matching.*", line) for line in lines)
    assert len(lines) == 2


def test_a_repeated_delivery_is_called_one() -> None:
    made, lines = listener()
    said = event()
    with receiving(made) as url:
        deliver(url, said=said)
        deliver(url, said=said)
        deliver(url)
    assert [line.endswith("(again)") for line in lines] == [False, True, False]


def test_forwarding_passes_bytes_and_headers_on_and_the_answer_back(target: WebhookTarget) -> None:
    made, lines = listener(target.url("refused"))
    said = event(data={"id": "ch_1", "name": "Zoë 你好"})
    with receiving(made) as url:
        attempted = deliver(url, said=said)
    assert (attempted.status_code, attempted.response) == (400, "signature wrong")
    [got] = target.received
    assert got.body == json.dumps(said, ensure_ascii=False).encode()
    assert got.headers["webhook-id"] == said["id"]
    assert got.headers["webhook-signature"].startswith("v1,")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"] == "Ivy-Webhooks/1"
    assert got.headers["host"] == f"127.0.0.1:{target.port}"
    assert re.search(r"verified  → 400 in \d+ ms$", lines[0])


def test_a_forwarded_answer_asks_ivy_to_wait(target: WebhookTarget) -> None:
    made, _ = listener(target.url("busy"))
    with receiving(made) as url:
        assert deliver(url).retry_after_seconds == 120


def test_nobody_behind_is_a_bad_gateway_to_ivy() -> None:
    made, lines = listener(f"http://127.0.0.1:{free_port()}/")
    with receiving(made) as url:
        assert deliver(url).status_code == 502
    assert "refused" in lines[0]


def test_one_that_hangs_behind_is_a_timeout(
    target: WebhookTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "FORWARD_SECONDS", 1)
    made, lines = listener(target.url("hang"))
    with receiving(made) as url:
        assert deliver(url).status_code == 504
    assert lines[0].endswith("→ no answer within 1 s")


def test_a_delivery_that_is_faster_than_its_secret_waits_for_it() -> None:
    import threading  # noqa: PLC0415 - only here

    lines: list[str] = []
    made = Listener("", lines.append)
    threading.Timer(0.3, made.secret.set_result, [SECRET]).start()
    with receiving(made) as url:
        assert deliver(url).status_code == 204


def test_a_body_without_end_is_not_read() -> None:
    import socket  # noqa: PLC0415 - only here
    from urllib.parse import urlsplit  # noqa: PLC0415 - same

    made, lines = listener()
    with receiving(made) as url, socket.create_connection(("127.0.0.1", urlsplit(url).port)) as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        assert b" 413 " in one.recv(1000)
    assert lines == []


@pytest.mark.parametrize("path", ["garbage", "redirect", "cut", "nothing"])
def test_whatever_answers_behind_ends_in_a_line(target: WebhookTarget, path: str) -> None:
    made, lines = listener(target.url(path))
    with receiving(made) as url:
        assert deliver(url).outcome == "failed"
    assert "→" in lines[0]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ""),
        ("localhost:3000/hooks", "http://localhost:3000/hooks"),
        ("https://shop.test/hooks", "https://shop.test/hooks"),
    ],
)
def test_where_to_forward_to(text: str, meant: str) -> None:
    assert listen.address(text) == meant


@pytest.mark.parametrize("text", ["ftp://a/", "http://", "http:///path"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(LocalError, match="Nothing can be forwarded"):
        listen.address(text)


def test_endpoints_of_killed_listeners_are_removed_and_no_others(api: FakeApi) -> None:
    with WebhookTarget() as alive:
        for port, description in [
            (free_port(), DESCRIPTION),
            (alive.port, DESCRIPTION),
            (free_port(), "of the shop"),
        ]:
            url = f"http://127.0.0.1:{port}/"
            api._create({"url": url, "description": description})
        listen.remove_left_behind(api.merchant)
    assert [each[-1] for each in api.endpoints] == ["2", "3"]


def test_a_refused_registration_says_why(api: FakeApi) -> None:
    with (
        pytest.raises(LocalError, match=r"422: /url: Must begin"),
        listen.registered(api.merchant, "http://shop.test/", ["*"]),
    ):
        pass


def run(home: Home, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *arguments],
        env=os.environ | {"IVY_HOME": str(home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_command_listens_until_asked_to_stop(
    home: Home, api: FakeApi, sign: signal.Signals
) -> None:
    command = run(home, "listen", "--events", "charge.*, refund.failed")
    assert first_line(command).startswith("Listening for charge.*, refund.failed as whe_0")
    [endpoint] = api.endpoints.values()
    assert endpoint["events"] == ["charge.*", "refund.failed"]
    assert endpoint["description"] == DESCRIPTION
    deliver(endpoint["url"], api.secrets[endpoint["id"]])
    command.send_signal(sign)
    shown, errors = command.communicate(timeout=20)
    assert re.fullmatch(LINE + "verified\n", shown)
    assert (command.returncode, errors, api.endpoints) == (0, "", {})


def test_the_secret_is_shown_to_whom_it_is_forwarded(
    home: Home, api: FakeApi, target: WebhookTarget
) -> None:
    command = run(home, "listen", "--forward-to", f"127.0.0.1:{target.port}/ok")
    first_line(command)
    [secret] = api.secrets.values()
    assert first_line(command) == f"Forwarding to {target.url('ok')}, signed with {secret}\n"
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=20)


def test_the_command_ends_with_the_stack(home: Home) -> None:
    command = run(home, "listen")
    first_line(command)
    home.forget("local")
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 1
    assert "The stack has stopped." in errors


@pytest.mark.parametrize("arguments", [["listen"], ["trigger", "a.b"], ["trigger", "--list"]])
def test_without_a_stack_both_say_so(tmp_path: Path, arguments: list[str]) -> None:
    command = run(Home(tmp_path), *arguments)
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 1
    assert "The stack does not run.\n→ Start it with `" in errors


def test_trigger_prints_what_it_made(home: Home) -> None:
    shown, _ = run(home, "trigger", "charge.succeeded").communicate(timeout=20)
    assert shown == f"ch_{1:032x}\nre_{2:032x}\n"


def test_trigger_lists_the_types_there_are(home: Home) -> None:
    shown, _ = run(home, "trigger", "--list").communicate(timeout=20)
    assert shown == "charge.succeeded\ncharge.failed\nrefund.succeeded\n"


def test_another_type_is_refused_with_those_there_are(home: Home) -> None:
    command = run(home, "trigger", "payout.paid")
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 1
    assert "payout.paid cannot be triggered; one of charge.succeeded" in errors


def test_no_type_at_all_is_a_wrong_use(home: Home) -> None:
    command = run(home, "trigger")
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 2
    assert "--list" in errors


def test_a_listener_ends_quickly_although_the_api_is_gone(home: Home, api: FakeApi) -> None:
    command = run(home, "listen")
    first_line(command)
    api.broken = 503
    began = time.monotonic()
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=20)
    assert (command.returncode, time.monotonic() - began < 10) == (0, True)
