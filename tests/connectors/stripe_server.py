"""The stand-in for Stripe over HTTP, on a port of this machine, that can misbehave."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

from tests.connectors.stripe_account import Call, Params
from tests.connectors.stripe_world import StripeWorld

Fault = Literal[
    "fail",  # 500, and nothing is done
    "fail_after",  # 500, and it is done
    "busy",  # 429
    "in_use",  # 409
    "forbid",  # 403
    "lose",  # it is done, and the connection closed
    "hang",  # nothing is said until the test is over
    "drip",  # a good answer, so slowly that it takes seconds, without ever stopping
    "redirect",  # to an address that would answer well
    "garbage",
    "page",  # of HTML
    "list",  # JSON, but not an object
    "other",  # an object of another kind
    "cut",  # in the middle of a good answer
    "huge",  # a good answer, and megabytes of blanks
    "tell",  # an error that repeats the key wherever there is text
]
FAULTS: tuple[Fault, ...] = (
    *("fail", "fail_after", "busy", "in_use", "forbid", "lose", "redirect"),
    *("garbage", "page", "list", "other", "cut", "huge"),
)
"""Those after which a client knows nothing, and at once."""

DRIP_SECONDS = 1.5
HUGE_BYTES = 5_000_000

_SAID: dict[str, tuple[int, bytes]] = {
    "fail": (500, b'{"error": {"type": "api_error", "message": "Something is wrong."}}'),
    "busy": (429, b'{"error": {"type": "invalid_request_error", "code": "rate_limit"}}'),
    "in_use": (
        409,
        b'{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}',
    ),
    "forbid": (403, b'{"error": {"type": "invalid_request_error", "code": "more_permissions"}}'),
    "garbage": (200, b"\x00\xff not an answer"),
    "page": (502, b"<html><body>Bad gateway</body></html>"),
    "list": (200, b"[1, 2, 3]"),
    "other": (200, b'{"id": "cus_1", "object": "customer", "metadata": {}}'),
}


@dataclass
class StripeServer:
    """An account and where it answers; ``calls`` are the requests that arrived."""

    account: StripeWorld = field(default_factory=StripeWorld)
    base: str = ""
    calls: list[Call] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _faults: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)

    def misbehave(self, pattern: str, fault: Fault) -> None:
        """Do something wrong once, at the next request such as ``POST payment_intents``."""
        self._faults.append((re.compile(pattern), fault))

    def fault(self, call: Call) -> Fault | None:
        what = f"{call.method} {call.path.removeprefix('/v1/')}"
        for number, (pattern, fault) in enumerate(self._faults):
            if pattern.fullmatch(what):
                del self._faults[number]
                return fault
        return None

    def asked(self, pattern: str) -> list[Call]:
        """The requests that arrived, such as ``POST payment_intents``."""
        wanted = re.compile(pattern)
        return [
            call
            for call in self.calls
            if wanted.fullmatch(f"{call.method} {call.path.removeprefix('/v1/')}")
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def stripe(self) -> StripeServer:
        return cast("_Server", self.server).stripe

    def do_GET(self) -> None:
        self._serve(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _serve(self, form: str) -> None:
        params = unflattened(parse_qsl(form, keep_blank_values=True))
        call = Call(self.command, urlsplit(self.path).path, params, dict(self.headers))
        self.stripe.calls.append(call)
        fault = self.stripe.fault(call)
        if fault == "hang":
            self.stripe.over.wait()
            self.close_connection = True
        elif fault == "redirect":
            self._say(302, b"", {"Location": f"{self.stripe.base}/elsewhere{self.path}"})
        elif fault == "tell":
            self._say(*_telling(call))
        elif fault is not None and fault in _SAID:
            self._say(*_SAID[fault])
        else:
            self._obey(call, fault)

    def _obey(self, call: Call, fault: Fault | None) -> None:
        status, body, replayed = self.stripe.account.answer(call)
        content = json.dumps(body).encode()
        if fault == "lose":
            self.close_connection = True
        elif fault == "fail_after":
            self._say(*_SAID["fail"])
        elif fault == "cut":
            self._say(status, content, cut=len(content) // 2)
        elif fault == "drip":
            self._drip(content)
        elif fault == "huge":
            self._say(status, content + b" " * HUGE_BYTES)
        else:
            self._say(status, content, {"Idempotent-Replayed": "true"} if replayed else {})

    def _say(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {
            "Request-Id": f"req_{len(self.stripe.calls)}",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])
        self.close_connection |= cut is not None

    def _drip(self, content: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        whole = head + content
        steps = 60
        size = -(-len(whole) // steps)
        with suppress(OSError):  # the client has gone
            for start in range(0, len(whole), size):
                self.wfile.write(whole[start : start + size])
                self.wfile.flush()
                time.sleep(DRIP_SECONDS / steps)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _telling(call: Call) -> tuple[int, bytes]:
    """Return an error that repeats the key where a code, a message and an id belong."""
    key = call.headers["Authorization"].removeprefix("Bearer ")
    error = {"type": "invalid_request_error", "code": key, "decline_code": key, "message": key}
    return 400, json.dumps({"error": error}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stripe: StripeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away are what is being tested."""


@contextmanager
def serving(certificate: str | None = None) -> Iterator[StripeServer]:
    """Serve a new account until the block ends; with a certificate and its key, over TLS."""
    server = _Server(("127.0.0.1", 0), _Handler)
    scheme = "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        scheme = "https"
    server.stripe = StripeServer(base=f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.stripe
    finally:
        server.stripe.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def unflattened(pairs: list[tuple[str, str]]) -> Params:
    """Return what a form says: ``metadata[order]`` and ``expand[0]`` become nested."""
    params: Params = {}
    for key, value in pairs:
        *outer, last = re.findall(r"[^\[\]]+", key)
        place = params
        for step in outer:
            place = place.setdefault(step, {})
        place[last] = value
    return {key: _listed(value) for key, value in params.items()}


def _listed(value: Any) -> Any:
    """Return what has the keys 0, 1, 2 … as a list."""
    if not isinstance(value, dict):
        return value
    if all(key.isdigit() for key in value):
        return [_listed(value[key]) for key in sorted(value, key=int)]
    return {key: _listed(inner) for key, inner in value.items()}
