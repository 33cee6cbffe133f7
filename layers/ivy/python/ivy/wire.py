"""One POST to a stranger: to an address that was checked, against one clock, and nothing more.

The usual HTTP clients follow redirects, obey proxy variables, unpack what is compressed, look names
up by themselves, and begin their time limit again with every byte that arrives. This one does none
of that. The answer is read into memory up to a limit that holds for all of it: status line,
headers, framing and body.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast

from ivy import egress
from ivy.egress import Address, LookUp, RefusedError, Target

MOST_ADDRESSES = 4
"""Addresses of one name that are tried, within the one limit for connecting."""

MOST_LOOK_UPS = 64
"""Names looked up at once. The system's resolver cannot be interrupted, only waited for no more."""

_PIECE_BYTES = 512

Code = Literal[
    "refused",
    "unreachable",
    "connect_timeout",
    "tls_failed",
    "tls_untrusted",
    "tls_expired",
    "tls_wrong_name",
    "timeout",
    "too_large",
    "connection_lost",
    "protocol_error",
]

_CERTIFICATE_CODES: dict[int, Code] = {
    10: "tls_expired",
    62: "tls_wrong_name",
    64: "tls_wrong_name",
}
"""OpenSSL's numbers; whatever else is wrong with a certificate makes it untrusted."""


class FailedError(Exception):
    """There is no complete answer.

    Attributes:
        code: Why; stable.
    """

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class _TooLargeError(Exception):
    """The answer is longer than the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much patience there is for one exchange."""

    look_up_seconds: float = 3
    connect_seconds: float = 3
    total_seconds: float = 15
    answer_bytes: int = 64 * 1024


class Clock:
    """What is left of a time limit, counted from now."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left; raises TimeoutError when there are none."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


@dataclass(slots=True)
class Answer:
    """What has been read of an answer, also of one that does not end well."""

    status: int | None = None
    retry_after: str | None = None
    body: bytearray = field(default_factory=bytearray)


def dial(address: Address, port: int, seconds: float) -> socket.socket:
    """Connect to an address; raises OSError."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - versions
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(seconds)
        made.connect((str(address), port))
    except OSError:
        made.close()
        raise
    return made


@cache
def trusted() -> ssl.SSLContext:
    """Return what certificates are checked against: the authorities that the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """What an exchange touches of the machine; tests bring their own."""

    look_up: LookUp = egress.look_up_name
    dial: Callable[[Address, int, float], socket.socket] = dial
    trusted: Callable[[], ssl.SSLContext] = trusted
    limits: Limits = Limits()

    def post(self, target: Target, headers: dict[str, str], body: bytes, answer: Answer) -> None:
        """Send a body and read the answer into ``answer``, which keeps what came before a failure.

        Args:
            target: Where to; its addresses are looked up and checked now.
            headers: Besides ``Host``, ``Content-Length`` and ``Connection``; values in ASCII.
            body: Sent as it is.
            answer: Filled while reading.

        Raises:
            RefusedError: The name has no address, or one that is not allowed.
            FailedError: No complete answer came.
        """
        clock = Clock(self.limits.total_seconds)
        request = _written(target, headers, body)
        try:
            addresses = self._addresses(target, clock)
            with closing(self._connected(target, addresses, clock)) as connected:
                connected.settimeout(clock.left())
                with suppress(ConnectionError):  # an early answer may still be there to be read
                    connected.sendall(request)
                _read(_Lines(_Paced(connected, clock, self.limits.answer_bytes)), answer)
        except TimeoutError:
            raise FailedError("timeout") from None
        except _TooLargeError:
            raise FailedError("too_large") from None
        except (OSError, http.client.IncompleteRead):
            raise FailedError("connection_lost") from None
        except (http.client.HTTPException, ValueError):
            raise FailedError("protocol_error") from None

    def _addresses(self, target: Target, clock: Clock) -> list[Address]:
        """Look a target up and check it, without waiting for a resolver that never answers."""
        if target.fixed:
            return egress.resolve(target)
        asked = _look_ups().submit(egress.resolve, target, self.look_up)
        try:
            return asked.result(min(self.limits.look_up_seconds, clock.left()))
        except TimeoutError:
            asked.cancel()
            raise RefusedError("dns_failed", "The name was not resolved in time.") from None

    def _connected(self, target: Target, addresses: list[Address], clock: Clock) -> socket.socket:
        """Connect to the first address that answers; all of them share one limit."""
        failure = FailedError("unreachable")
        tried = addresses[:MOST_ADDRESSES]
        patience = Clock(min(self.limits.connect_seconds, clock.left()))
        for number, address in enumerate(tried):
            try:
                made = self.dial(address, target.port, patience.left() / (len(tried) - number))
            except ConnectionRefusedError:
                failure = FailedError("refused")
            except TimeoutError:
                failure = FailedError("connect_timeout")
            except OSError:
                failure = FailedError("unreachable")
            else:
                return self._encrypted(made, target, clock) if target.scheme == "https" else made
        raise failure

    def _encrypted(self, made: socket.socket, target: Target, clock: Clock) -> socket.socket:
        try:
            made.settimeout(clock.left())  # for the whole handshake
            return self.trusted().wrap_socket(made, server_hostname=target.host)
        except (OSError, ValueError) as error:
            made.close()
            raise FailedError(_tls_code(error)) from None


def _tls_code(error: Exception) -> Code:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CODES.get(error.verify_code, "tls_untrusted")
    return "tls_failed"


@cache
def _look_ups() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_LOOK_UPS, "look-up")


def _written(target: Target, headers: dict[str, str], body: bytes) -> bytes:
    lines = {
        "Host": target.authority,
        **headers,
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if not all(value.isascii() and value.isprintable() for value in lines.values()):
        raise ValueError("a header must be printable ASCII")
    head = [f"POST {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _read(arriving: _Lines, answer: Answer) -> None:
    """Read one answer: piece by piece, so that what came before a failure is kept."""
    # Of a socket, HTTPResponse uses ``makefile`` alone.
    response = http.client.HTTPResponse(cast("socket.socket", arriving), method="POST")
    response.begin()
    arriving.in_headers = False
    if response.status < http.HTTPStatus.OK:
        raise http.client.HTTPException("an answer that promises another")
    answer.status = response.status
    answer.retry_after = response.headers.get("Retry-After")
    while piece := response.read(_PIECE_BYTES):
        answer.body += piece
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


class _Paced(io.RawIOBase):
    """What arrives on a socket, until the clock has run out or the limit is reached."""

    def __init__(self, connected: socket.socket, clock: Clock, most_bytes: int) -> None:
        super().__init__()
        self._connected = connected
        self._clock = clock
        self._left = most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connected.settimeout(self._clock.left())
        # One byte beyond the limit tells an answer that ends there from one that goes on.
        size = self._connected.recv_into(memoryview(buffer)[: self._left + 1])
        self._left -= size
        if self._left < 0:
            raise _TooLargeError
        return size


class _Lines(io.BufferedReader):
    """What arrives, by lines; HTTPResponse would take headers that are cut off for complete."""

    in_headers = True

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line and self.in_headers:
            raise ConnectionResetError
        return line

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self
