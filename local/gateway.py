"""The one friendly address: the start page, and a transparent way to the REST stage behind it.

A request travels as it came: method, path, query, every header including Host, and the body's
bytes, streamed in both directions. Only what belongs to one connection is left out, and a claim
about where the request comes from.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local import inbox
from local.asgi import answer, body_parts, from_here, page, problem
from local.errors import LocalError
from local.inbox import Inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import httpcore
    import uvicorn

    from local.asgi import Headers, Message, Receive, Send

API = "/api/v1"
READ_SECONDS = 35.0
"""Above the gateway's own 29 s, so that its answer arrives before we give up."""

CONNECT_SECONDS = 15.0
UNREACHABLE = (
    "gateway_unreachable",
    "The local API gateway does not answer",
    "The emulator is not running, or too busy to accept a connection; `ivy status` tells which.",
)
TOO_SLOW = (
    "gateway_timeout",
    "The local API gateway took too long",
    f"No answer within {READ_SECONDS:.0f} s. Repeat the request with the same Idempotency-Key.",
)
MAX_CONNECTIONS = 100
IDLE_SECONDS = 30.0
START_SECONDS = 10.0

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
CLAIMED_ADDRESS = frozenset({b"x-forwarded-for"})
"""The emulator believes it; API Gateway does not, and a key's allow-list depends on it."""


@dataclass
class Front:
    """The ASGI application.

    Attributes:
        stage: The address of the REST stage, such as ``http://127.0.0.1:4566/_aws/…/api``.
        facts: What the pages show, by the names of their placeholders.
        inbox: Where the demo merchant's webhooks arrive.
    """

    stage: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    inbox: Inbox = field(default_factory=Inbox)
    pool: httpcore.AsyncConnectionPool | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == API or path.startswith(f"{API}/"):
            await self._forward(scope, receive, send)
        elif path == "/docs":
            await answer(send, 307, b"", [(b"location", f"{API}/docs".encode())])
        elif path == "/" and from_here(scope["headers"]):
            await page(send, "start", self.facts)
        elif (path == inbox.PATH or path.startswith(f"{inbox.PATH}/")) and from_here(
            scope["headers"]
        ):
            await self.inbox(scope, receive, send, self.facts)
        else:
            await problem(send, 404, "route_unknown", "Not found", f"Nothing is served at {path}.")

    async def _forward(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on and its answer back, or say that nobody is there."""
        import httpcore  # noqa: PLC0415 - commands other than `ivy up` do without

        assert self.pool is not None  # noqa: S101 - set before the server starts
        started = False
        try:
            async with self.pool.stream(
                scope["method"].encode(),
                self._target(scope),
                headers=_end_to_end(scope["headers"], CLAIMED_ADDRESS),
                content=_body(scope["headers"], receive),
                extensions={
                    "timeout": {
                        "connect": CONNECT_SECONDS,
                        "pool": READ_SECONDS,
                        "read": READ_SECONDS,
                        "write": READ_SECONDS,
                    }
                },
            ) as answered:
                headers = _end_to_end(answered.headers)
                await send(
                    {"type": "http.response.start", "status": answered.status, "headers": headers}
                )
                started = True
                async for part in answered.aiter_stream():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except httpcore.ReadTimeout:
            if started:
                raise  # the client sees a broken answer, never a whole one that is not
            await problem(send, 504, *TOO_SLOW, retryable=True)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            if started:
                raise
            await problem(send, 502, *UNREACHABLE, retryable=True)

    def _target(self, scope: Message) -> httpcore.URL:
        """The same path below the stage, escapes and query untouched."""
        import httpcore  # noqa: PLC0415 - commands other than `ivy up` do without

        stage = httpcore.URL(self.stage)
        path = stage.target + scope["raw_path"].removeprefix(b"/api")
        if scope["query_string"]:
            path += b"?" + scope["query_string"]
        return httpcore.URL(scheme=stage.scheme, host=stage.host, port=stage.port, target=path)


class FrontServer:
    """Serves the front in a thread of its own, on IPv4 and where possible IPv6 loopback."""

    def __init__(self, front: Front, port: int) -> None:
        self.front = front
        self.port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start listening and return when requests are accepted.

        Raises:
            LocalError: The port was taken in the meantime.
        """
        import uvicorn  # noqa: PLC0415 - commands other than `ivy up` do without

        sockets = _listening(self.port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.front,
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,  # the stage's own answer has one
                proxy_headers=False,
                ws="none",
                timeout_graceful_shutdown=3,
            )
        )
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(sockets)), name="front", daemon=True
        )
        self._thread.start()
        deadline = threading.Event()
        for _ in range(int(START_SECONDS / 0.01)):
            if self._server.started:
                return
            deadline.wait(0.01)
        raise LocalError(f"The front server did not start on port {self.port}.")

    def stop(self) -> None:
        """Finish the requests under way and stop listening."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10)

    async def _serve(self, sockets: list[socket.socket]) -> None:
        import httpcore  # noqa: PLC0415 - commands other than `ivy up` do without

        assert self._server is not None  # noqa: S101 - set by the only caller
        async with httpcore.AsyncConnectionPool(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
        ) as self.front.pool:
            await self._server.serve(sockets=sockets)


def _listening(port: int) -> list[socket.socket]:
    """Return sockets bound to the port on both loopback addresses; IPv6 only if there is one."""
    try:
        sockets = [socket.create_server(("127.0.0.1", port))]
    except OSError as error:
        raise LocalError(f"Port {port} is taken: {error.strerror}.", "Run `ivy doctor`.") from error
    with suppress(OSError):
        sockets.append(socket.create_server(("::1", port), family=socket.AF_INET6))
    for listening in sockets:
        # Inherited by every connection. Without it the body of an answer waits 40 ms for the
        # client to acknowledge its headers.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets


def _end_to_end(headers: Headers, left_out: frozenset[bytes] = frozenset()) -> Headers:
    named = left_out | {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }
    return [(k, v) for k, v in headers if k.lower() not in HOP_BY_HOP and k.lower() not in named]


def _body(headers: Headers, receive: Receive) -> AsyncIterator[bytes] | None:
    """Return the request's body as it arrives, None when there is none."""
    names = {name.lower() for name, _ in headers}
    if not names & {b"content-length", b"transfer-encoding"}:
        return None
    return body_parts(receive)


def reachable(port: int) -> bool:
    """Tell whether something accepts connections on this port of 127.0.0.1."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
