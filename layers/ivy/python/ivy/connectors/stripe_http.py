"""HTTP for the ``stripe`` package: one connection for each request, against one clock.

The package brings HTTP clients of its own. Theirs follow redirects with the secret key, obey proxy
variables, and begin their time limit again with every byte that arrives.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import stripe

CONNECT_SECONDS = 1.0
MOST_BYTES = 4_000_000
_failure: Callable[[str], Exception] = stripe.APIConnectionError  # has no types of its own
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Clock:
    """What is left of a time limit."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: There are none.
        """
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class Transport(stripe.HTTPClient):
    """Sends what the package wants to ask, and reads the answer."""

    name = "ivy"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send one request and return body, status and headers, their names in lower case.

        Raises:
            APIConnectionError: No complete answer came in time.
        """
        try:
            return self._exchange(method.upper(), url, dict(headers or {}), post_data)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # Without the error's own words: they may quote the request, and with it the key.
            raise _failure(type(error).__name__) from None

    def close(self) -> None:
        """Nothing stays open."""

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        encrypted = parts.scheme == "https"
        if not encrypted and (parts.scheme != "http" or host not in _LOOPBACK):
            raise ValueError("the key would travel unencrypted")
        connection = http.client.HTTPConnection(host, parts.port or (443 if encrypted else 80))
        connection.sock = self._connected(host, connection.port, encrypted=encrypted)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(
                method, target, body, {**headers, "Host": parts.netloc, "Connection": "close"}
            )
            answer = http.client.HTTPResponse(_paced(connection.sock, self._clock), method=method)
            answer.begin()
            content = answer.read(MOST_BYTES + 1)
        finally:
            connection.close()
        if len(content) > MOST_BYTES:
            raise ValueError("too much of an answer")
        return content.decode(), answer.status, {k.lower(): v for k, v in answer.getheaders()}

    def _connected(self, host: str, port: int, *, encrypted: bool) -> socket.socket:
        made = _dial(host, port, Clock(min(CONNECT_SECONDS, self._clock.left())))
        made.settimeout(self._clock.left())  # for the whole handshake, and for what is sent
        if not encrypted:
            return made
        trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        try:
            return trusted.wrap_socket(made, server_hostname=host)
        except OSError:
            made.close()
            raise


def _dial(host: str, port: int, clock: Clock) -> socket.socket:
    """Connect to the first address that answers; all of them share the clock."""
    failure = OSError("no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ):
        attempt = socket.socket(family, kind, protocol)
        try:
            attempt.settimeout(clock.left())
            attempt.connect(address)
        except OSError as error:
            attempt.close()
            failure = error
        else:
            return attempt
    raise failure


class _Paced(io.RawIOBase):
    """What arrives on a socket, until the clock has run out: a drip of bytes does not extend it."""

    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        super().__init__()
        self._connected = connected
        self._clock = clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connected.settimeout(self._clock.left())
        return self._connected.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)


def _paced(connected: socket.socket, clock: Clock) -> socket.socket:
    """Return what ``HTTPResponse`` reads from: of a socket it uses ``makefile`` alone."""
    return cast("socket.socket", _Paced(connected, clock))
