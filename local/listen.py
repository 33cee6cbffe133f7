"""``ivy listen``: a webhook endpoint of the demo merchant that shows what arrives.

It lives as long as the command. What it answers is what Ivy gets, so behind ``--forward-to`` a
failing program fails here too, and its retries are seen.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local.api import Merchant
from local.deliveries import MAX_BODY_BYTES, Received, why_not_verified
from local.errors import LocalError
from local.home import port_taken

if TYPE_CHECKING:
    from types import FrameType

    from local.home import Home

DESCRIPTION = "ivy listen (removed when it ends)"
FORWARD_SECONDS = 15
"""As long as Ivy waits for an answer."""

SECRET_SECONDS = 10
"""How long a delivery that is faster than the endpoint's own registration waits for its secret."""

WATCH_SECONDS = 0.5
MAX_ENDPOINTS = 100
OWN_HEADERS = frozenset(
    {
        *("connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"),
        *("host", "server", "date"),
    }
)
"""Headers that belong to one connection or to one server, and are not passed on."""

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a delivery was answered with, and what to show of it."""

    status: int
    headers: Headers
    body: bytes
    shown: str = ""


@dataclass
class Listener:
    """Takes deliveries in, prints a line for each, and answers.

    Attributes:
        forward_to: Where each is passed on to; nowhere when empty.
        say: Prints one line; called from many threads.
        secret: The endpoint's, known once it is registered.
    """

    forward_to: str = ""
    say: Callable[[str], None] = print
    secret: Future[str] = field(default_factory=Future)
    _seen: set[str] = field(default_factory=set)

    def take(self, headers: Headers, body: bytes) -> Answered:
        """Verify a delivery, pass it on, print what came of it, and return the answer to it."""
        named = {name.lower(): value for name, value in headers}
        secret = self.secret.result(timeout=SECRET_SECONDS)
        received = Received(named, body, why_not_verified(secret, named, body))
        if self.forward_to:
            answered = forward(self.forward_to, headers, body)
        elif received.refused:
            answered = Answered(HTTPStatus.BAD_REQUEST, [], received.refused.encode())
        else:
            answered = Answered(HTTPStatus.NO_CONTENT, [], b"")
        event = named.get("webhook-id", "")
        again = "  (again)" if event in self._seen else ""
        self._seen.add(event)
        self.say(received.line() + answered.shown + again)
        return answered


def forward(url: str, headers: Headers, body: bytes) -> Answered:
    """Pass a delivery on, byte for byte, and return the answer; 502 when there is none."""
    import httpx  # noqa: PLC0415 - only when forwarding

    began = time.monotonic()
    try:
        with httpx.Client(timeout=FORWARD_SECONDS, trust_env=False) as client:
            got = client.post(url, content=body, headers=_passed_on(headers))
    except httpx.TimeoutException:
        shown = f"  → no answer within {FORWARD_SECONDS} s"
        return Answered(HTTPStatus.GATEWAY_TIMEOUT, [], b"", shown)
    except httpx.HTTPError as error:
        return Answered(HTTPStatus.BAD_GATEWAY, [], b"", f"  → {error}")
    shown = f"  → {got.status_code} in {(time.monotonic() - began) * 1000:.0f} ms"
    return Answered(got.status_code, _passed_on(list(got.headers.items())), got.content, shown)


def _passed_on(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in OWN_HEADERS]


@contextmanager
def receiving(listener: Listener) -> Iterator[str]:
    """Serve a listener on a free port of this machine, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        timeout = FORWARD_SECONDS

        def do_POST(self) -> None:  # the base class's name
            length = int(self.headers.get("Content-Length") or 0)
            if not 0 <= length <= MAX_BODY_BYTES:
                self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            answered = listener.take(self.headers.items(), self.rfile.read(length))
            with suppress(OSError):  # whoever gave up waiting does not read it
                self.answer(answered)

        def answer(self, answered: Answered) -> None:
            self.send_response(answered.status)
            for name, value in answered.headers:
                self.send_header(name, value)
            if answered.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(answered.body)))
            self.end_headers()
            self.wfile.write(answered.body)

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


@contextmanager
def registered(merchant: Merchant, url: str, events: list[str]) -> Iterator[dict[str, Any]]:
    """Register an endpoint, give it with its secret, and remove it at the end.

    One that cannot be removed, because the stack has stopped, is removed by the next listener.

    Raises:
        LocalError: The API refused it.
    """
    remove_left_behind(merchant)
    wanted = {"url": url, "events": events, "description": DESCRIPTION}
    endpoint = merchant.ask("POST", "/webhooks", wanted)
    try:
        yield endpoint
    finally:
        with suppress(LocalError):
            merchant.ask("DELETE", f"/webhooks/{endpoint['id']}")


def remove_left_behind(merchant: Merchant) -> None:
    """Remove the endpoints of listeners that were killed: nothing listens at theirs any more."""
    for endpoint in merchant.ask("GET", f"/webhooks?limit={MAX_ENDPOINTS}")["data"]:
        port = urlsplit(endpoint["url"]).port
        if endpoint["description"] == DESCRIPTION and port and not port_taken(port):
            merchant.ask("DELETE", f"/webhooks/{endpoint['id']}")


def listen(home: Home, *, forward_to: str, events: list[str]) -> None:
    """Show deliveries until Ctrl-C, SIGTERM, or the end of the stack.

    Raises:
        LocalError: The stack does not run, or stopped; or the API refused the endpoint.
    """
    merchant = Merchant.of(home)
    listener = Listener(address(forward_to), _print)
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if asked.is_set():  # a second time: do not wait for the endpoint's removal
            raise KeyboardInterrupt
        asked.set()

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, stop)
    with receiving(listener) as url, registered(merchant, url, events) as endpoint:
        listener.secret.set_result(endpoint["secret"])
        _print(f"Listening for {', '.join(events)} as {endpoint['id']}. Ctrl-C ends it.")
        if forward_to:
            _print(f"Forwarding to {listener.forward_to}, signed with {endpoint['secret']}")
        while not asked.wait(WATCH_SECONDS):
            if not home.local_json.exists():
                raise LocalError("The stack has stopped.", "Start it with `ivy up`.")


def address(text: str) -> str:
    """Return where to forward to; ``localhost:3000/hooks`` is http.

    Raises:
        LocalError: It is not an address.
    """
    url = text if not text or "://" in text else f"http://{text}"
    parts = urlsplit(url)
    if url and not (parts.scheme in ("http", "https") and parts.hostname):
        raise LocalError(f"Nothing can be forwarded to {text}.", "Such as http://localhost:3000/.")
    return url


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a command's answer
