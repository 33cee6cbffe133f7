from __future__ import annotations

import http.client
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from local.errors import LocalError
from local.gateway import Front, FrontServer, _listening
from local.home import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS = {
    "address": "http://localhost:1",
    "secret_key": "ivy_sk_test_shown",
    "publishable_key": "ivy_pk_test_shown",
    "email": "demo@example.com",
    "password": "shown",
    "emulator": "http://127.0.0.1:2",
    "home": "/home",
    "ivy": ".venv/bin/ivy",
}


class Stage(BaseHTTPRequestHandler):
    """Stands for the REST stage: repeats what reached it."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        if self.headers.get("X-Hang-Up"):
            self.close_connection = True
            return
        body = b"".join(self.parts())
        seen = json.dumps(
            {
                "method": self.command,
                "path": self.path,
                "headers": {k.lower(): v for k, v in self.headers.items()},
                "body": body.decode("latin-1"),
            }
        ).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(seen)))
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.end_headers()
        self.wfile.write(seen)

    def parts(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("content-length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815 - the base class's names

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def stage() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def front(stage: ThreadingHTTPServer) -> Iterator[FrontServer]:
    address = f"http://127.0.0.1:{stage.server_port}/_aws/execute-api/abc/api"
    server = FrontServer(Front(stage=address, facts=FACTS), free_port())
    server.start()
    yield server
    server.stop()


def ask(
    front: FrontServer,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_a_request_arrives_as_it_was_sent(front: FrontServer, method: str) -> None:
    sent = bytes(range(256))
    path = "/api/v1/charges/a%2Fb?created_at[gte]=1&q=a%20b&q=c+d"
    answer, body = ask(front, method, path, sent, {"Host": "shop.test", "Idempotency-Key": "K"})
    seen = json.loads(body)
    assert answer.status == 202
    assert seen["method"] == method
    assert seen["path"] == f"/_aws/execute-api/abc{path}"
    assert seen["body"].encode("latin-1") == sent
    assert seen["headers"]["host"] == "shop.test"
    assert seen["headers"]["idempotency-key"] == "K"


def test_every_header_of_the_answer_returns(front: FrontServer) -> None:
    answer, _ = ask(front, "GET", "/api/v1/me")
    assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert len(answer.headers.get_all("date") or []) == 1


def test_what_belongs_to_one_connection_stays_on_it(front: FrontServer) -> None:
    headers = {"Connection": "keep-alive, X-Mine", "X-Mine": "1", "TE": "trailers"}
    _, body = ask(front, "GET", "/api/v1/me", None, headers)
    assert not {"x-mine", "te"} & json.loads(body)["headers"].keys()


def test_nobody_says_where_they_call_from(front: FrontServer) -> None:
    """The emulator takes the header for the caller's address, which keys are bound to."""
    _, body = ask(front, "GET", "/api/v1/me", None, {"X-Forwarded-For": "203.0.113.9"})
    assert "x-forwarded-for" not in json.loads(body)["headers"]


def test_a_chunked_body_arrives_whole(front: FrontServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=10)
    connection.request(
        "POST", "/api/v1/charges", iter([b'{"amount"', b": 1}"]), encode_chunked=True
    )
    assert json.loads(connection.getresponse().read())["body"] == '{"amount": 1}'


def test_many_requests_share_connections_at_once(front: FrontServer) -> None:
    statuses: list[int] = []

    def several() -> None:
        statuses.extend(ask(front, "POST", "/api/v1/charges", b"{}")[0].status for _ in range(20))

    threads = [threading.Thread(target=several) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [202] * 160


def test_nobody_there_is_a_problem_that_says_so(stage: ThreadingHTTPServer) -> None:
    lonely = FrontServer(Front(stage=f"http://127.0.0.1:{free_port()}/x/api"), free_port())
    lonely.start()
    answer, body = ask(lonely, "POST", "/api/v1/charges", b"{}")
    lonely.stop()
    problem = json.loads(body)
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "gateway_unreachable"
    assert problem["retryable"] is True
    assert answer.headers["request-id"] == problem["request_id"]
    assert stage.server_port


def test_a_gateway_that_hangs_up_is_a_problem_too(front: FrontServer) -> None:
    answer, _ = ask(front, "GET", "/api/v1/me", None, {"X-Hang-Up": "1"})
    assert answer.status == 502


def test_the_start_page_shows_how_to_charge_and_loads_nothing_from_elsewhere(
    front: FrontServer,
) -> None:
    answer, body = ask(front, "GET", "/")
    page = body.decode()
    assert answer.status == 200
    assert "ivy_sk_test_shown" in page
    assert "$(date +%s)-$$" in page
    assert "$secret" not in page
    assert 'src="http' not in page
    assert 'rel="stylesheet"' not in page


def test_the_start_page_hides_its_keys_from_other_sites(front: FrontServer) -> None:
    """A page elsewhere can point its own name at 127.0.0.1, but not forge the Host header."""
    answer, body = ask(front, "GET", "/", None, {"Host": "evil.example:8000"})
    assert answer.status == 404
    assert b"ivy_sk" not in body


def test_docs_lead_to_the_reference(front: FrontServer) -> None:
    answer, _ = ask(front, "GET", "/docs")
    assert (answer.status, answer.headers["location"]) == (307, "/api/v1/docs")


def test_an_unknown_path_is_a_problem(front: FrontServer) -> None:
    answer, body = ask(front, "GET", "/api/v2/charges")
    assert (answer.status, json.loads(body)["code"]) == (404, "route_unknown")


def test_a_port_taken_meanwhile_is_explained() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(LocalError, match="is taken"),
    ):
        FrontServer(Front(), taken.getsockname()[1]).start()


def test_small_answers_are_not_held_back() -> None:
    """Without it every answer waits 40 ms for the client to acknowledge its headers."""
    sockets = _listening(free_port())
    assert all(held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for held in sockets)
    for held in sockets:
        held.close()
