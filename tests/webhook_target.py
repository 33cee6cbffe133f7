"""A webhook endpoint on this machine that behaves, or misbehaves, as the path of its URL says.

It speaks bytes, not HTTP, so that it can break every rule of it. Whatever would go on for ever here
ends after some seconds with a good answer: a client whose limits begin again with every byte ends
with a delivery, and its test fails instead of hanging.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

METADATA = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
CARD_NUMBER = "4242 4242 4242 4242"
OFFERED_BYTES = 64 * 1024 * 1024
_DRIPS, _DRIP_SECONDS = 200, 0.05
_PATIENCE_SECONDS = 20.0
_REQUEST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Received:
    """One request as it arrived; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebhookTarget:
    """The endpoint. Use as a context manager.

    Attributes:
        certificate: What it encrypts with; plain http without one.
        received: Every complete request.
        sent_bytes: What it could send before its clients hung up.
        released: Ends whatever hangs, with a good answer.
    """

    certificate: Path | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    sent_bytes: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        with suppress(OSError):  # wakes accept
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def url(self, behaviour: str) -> str:
        """Return the address at which it behaves so, in plain http."""
        return f"http://127.0.0.1:{self.port}/{behaviour}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ssl.SSLError), connection:
            connection.settimeout(_PATIENCE_SECONDS)
            if self.certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate)
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    self._answer(encrypted)
            else:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = _read(connection)
        self.received.append(request)
        BEHAVIOURS[request.path.strip("/").partition("?")[0]](self, connection)

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent_bytes += len(data)


def _read(connection: socket.socket) -> Received:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece or len(data) > _REQUEST_BYTES:
            raise ConnectionError
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Received(first.split(" ")[1], headers, body)


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a well-formed answer; ``Retry_After="1"`` is the header Retry-After."""
    lines = {"Content-Length": str(len(body)), **headers}
    named = [f"{name.replace('_', '-')}: {value}" for name, value in lines.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *named, "", ""]).encode() + body


def _whole(size: int) -> bytes:
    """Return an answer of exactly so many bytes, headers included."""
    length = size - len(b"HTTP/1.1 200 OK\r\nContent-Length: 00000\r\n\r\n")
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length:05}\r\n\r\n".encode() + b"a" * length


Behaviour = Callable[[WebhookTarget, socket.socket], None]
OK = answer("200 OK", b"ok")


def _says(data: bytes) -> Behaviour:
    def behave(target: WebhookTarget, connection: socket.socket) -> None:
        target.send(connection, data)

    return behave


def _drips(start: bytes, drop: bytes, end: bytes) -> Behaviour:
    def behave(target: WebhookTarget, connection: socket.socket) -> None:
        target.send(connection, start)
        for _ in range(_DRIPS):
            if target.released.wait(_DRIP_SECONDS):
                return
            target.send(connection, drop)
        target.send(connection, end)

    return behave


def _repeats(start: bytes, piece: bytes) -> Behaviour:
    piece *= 65536 // len(piece)

    def behave(target: WebhookTarget, connection: socket.socket) -> None:
        target.send(connection, start)
        for _ in range(OFFERED_BYTES // len(piece)):
            target.send(connection, piece)

    return behave


def _hangs(target: WebhookTarget, connection: socket.socket) -> None:
    target.released.wait(_PATIENCE_SECONDS)
    target.send(connection, OK)


def _resets(target: WebhookTarget, connection: socket.socket) -> None:
    target.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"a" * 600)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _flaps(target: WebhookTarget, connection: socket.socket) -> None:
    target.send(connection, answer("500 Broken") if target.connections % 2 else OK)


_DATE = "Fri, 31 Dec 2100 23:59:59 GMT"
BEHAVIOURS: dict[str, Behaviour] = {
    "ok": _says(OK),
    "accepted": _says(answer("202 Accepted", b"later")),
    "no_content": _says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "until_closed": _says(b"HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    "chunked": _says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nin \r\n6\r\npieces\r\n0\r\n\r\n"
    ),
    "chunked_carelessly": _says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    ),
    "continued": _says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),
    "telling": _says(answer("200 OK", f"card {CARD_NUMBER}\x00\x1b[31m\u202e\ufeff".encode())),
    "binary": _says(answer("200 OK", bytes(range(256)))),
    "largest": _says(_whole(64 * 1024)),
    "too_large": _says(_whole(64 * 1024 + 1)),
    "redirect": _says(answer("302 Found", Location=METADATA)),
    "redirect_kept": _says(answer("307 Temporary Redirect", Location=METADATA)),
    "not_modified": _says(b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    "refused": _says(answer("400 Bad Request", b"signature wrong")),
    "gone": _says(answer("410 Gone")),
    "busy": _says(answer("429 Too Many Requests", Retry_After="120")),
    "busy_for_a_week": _says(answer("429 Too Many Requests", Retry_After="604800")),
    "unavailable": _says(answer("503 Service Unavailable", Retry_After=_DATE)),
    "unavailable_oddly": _says(answer("503 Service Unavailable", Retry_After="soon")),
    "broken": _says(answer("500 Internal Server Error", Retry_After="120")),
    "flapping": _flaps,
    "nothing": _says(b""),
    "garbage": _says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "odd_status": _says(b"HTTP/1.1 2OO OK\r\n\r\n"),
    "odd_chunk": _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
    "odd_protocol": _says(b"HTTP/7.1 200 OK\r\n\r\n"),
    "switching": _says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: irc\r\n\r\n"),
    "many_headers": _says(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\nok"),
    "cut": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"a" * 600),
    "cut_chunk": _says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"),
    "cut_headers": _says(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset": _resets,
    "hang": _hangs,
    "slow_headers": _drips(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", b"Content-Length: 0\r\n\r\n"),
    "slow_status": _drips(b"HTTP/1.1 200 ", b"K", b"\r\nContent-Length: 0\r\n\r\n"),
    "slow_body": _drips(
        f"HTTP/1.1 200 OK\r\nContent-Length: {600 + _DRIPS}\r\n\r\n".encode() + b"a" * 600,
        b"a",
        b"",
    ),
    "endless_body": _repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
    "endless_chunks": _repeats(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8\r\n12345678\r\n"
    ),
    "endless_chunk_line": _repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "endless_status": _repeats(b"HTTP/1.1 200 ", b"a"),
    "endless_header": _repeats(b"HTTP/1.1 200 OK\r\na: ", b"a"),
    "endless_continue": _repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "promised": _says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n" + b"a" * 70000),
    "gzip": _says(
        answer("200 OK", gzip.compress(bytes(8 * 1024 * 1024), 9), Content_Encoding="gzip")
    ),
    "gzip_bomb": _repeats(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(1024 * 1024), 9)
    ),
}
