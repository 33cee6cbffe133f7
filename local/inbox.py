"""The inbox: a webhook endpoint of the demo merchant inside the front, and a page that shows it.

It keeps the last deliveries in memory, and answers as its switch says, so that retries can be
tried out: well, with an error, never, or that it is gone for good.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from local.api import Merchant, RefusedError
from local.asgi import answer, page, problem, whole_body
from local.deliveries import MAX_BODY_BYTES, Received, why_not_verified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.asgi import Message, Receive, Send
    from local.home import Home

PATH = "/inbox"
RECEIVE = f"{PATH}/receive"
DESCRIPTION = "Inbox of the local stack"
KEPT = 200
HANG_SECONDS = 20
"""Longer than Ivy waits for an answer."""

STATUSES = {"accept": 204, "fail": 500, "hang": 0, "gone": 410}
"""What each position of the switch answers; 0 is no answer at all."""

MAX_SWITCH_BYTES = 1000
JSON = [(b"content-type", b"application/json")]


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery, its number since the start, and the status it was answered with."""

    number: int
    received: Received
    status: int

    def shown(self) -> dict[str, Any]:
        """Return it for the page."""
        event = self.received.event
        return {
            "number": self.number,
            "at": self.received.at.isoformat(),
            "type": event.get("type"),
            "sequence": event.get("sequence"),
            "subject": self.received.subject,
            "refused": self.received.refused,
            "status": self.status,
            "headers": self.received.headers,
            "body": self.received.body.decode(errors="replace"),
        }


@dataclass
class Inbox:
    """The ASGI application below ``/inbox``.

    Attributes:
        secrets: Of the endpoint, the newest first; nothing is verified without one.
        behaviour: One of ``STATUSES``.
        kept: The newest last.
    """

    secrets: tuple[str, ...] = ()
    behaviour: str = "accept"
    kept: deque[Kept] = field(default_factory=lambda: deque(maxlen=KEPT))
    count: int = 0

    async def __call__(
        self, scope: Message, receive: Receive, send: Send, facts: Mapping[str, str]
    ) -> None:
        """Serve one request."""
        match scope["method"], scope["path"]:
            case "GET", "/inbox":
                await page(send, "inbox", facts)
            case "GET", "/inbox/deliveries":
                await self._list(scope, send)
            case "POST", "/inbox/switch":
                await self._switch(scope, receive, send)
            case "POST", "/inbox/receive":
                await self._receive(scope, receive, send)
            case method, path:
                detail = f"Nothing is served at {method} {path}."
                await problem(send, HTTPStatus.NOT_FOUND, "route_unknown", "Not found", detail)

    async def _receive(self, scope: Message, receive: Receive, send: Send) -> None:
        """Keep a delivery and answer it as the switch says."""
        body = await whole_body(receive, MAX_BODY_BYTES)
        if body is None:
            await answer(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"", [])
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refused = self._why_not_verified(headers, body)
        status = STATUSES[self.behaviour]
        if refused and self.behaviour == "accept":
            status = HTTPStatus.BAD_REQUEST
        self.count += 1
        self.kept.append(Kept(self.count, Received(headers, body, refused), status))
        if not status:
            with suppress(TimeoutError):  # until whoever asked hangs up
                await asyncio.wait_for(receive(), HANG_SECONDS)
            status = HTTPStatus.SERVICE_UNAVAILABLE
        await _empty(send, status)

    def _why_not_verified(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return why no secret fits; empty when one does, as senders know an older one a while."""
        if not self.secrets:
            return "The endpoint is not registered yet"
        reasons = [why_not_verified(secret, headers, body) for secret in self.secrets]
        return "" if "" in reasons else reasons[0]

    async def _list(self, scope: Message, send: Send) -> None:
        """Answer with what arrived after a number, oldest first, and where the switch stands."""
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
        after = int(asked) if asked.isdecimal() else 0
        newer = takewhile(lambda kept: kept.number > after, reversed(self.kept))
        shown = [kept.shown() for kept in newer][::-1]
        said = {"behaviour": self.behaviour, "count": self.count, "deliveries": shown}
        await answer(send, HTTPStatus.OK, json.dumps(said).encode(), JSON)

    async def _switch(self, scope: Message, receive: Receive, send: Send) -> None:
        """Set the switch: a JSON string, which no page of another site can send unasked."""
        body = await whole_body(receive, MAX_SWITCH_BYTES) or b""
        position = None
        if dict(scope["headers"]).get(b"content-type") == b"application/json":
            with suppress(ValueError):
                position = json.loads(body)
        if not isinstance(position, str) or position not in STATUSES:
            detail = f"Send one of {', '.join(STATUSES)} as a JSON string."
            await problem(send, HTTPStatus.BAD_REQUEST, "request_invalid", "Not valid", detail)
            return
        self.behaviour = position
        await _empty(send, HTTPStatus.NO_CONTENT)


async def _empty(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def register(home: Home, merchant: Merchant, address: str) -> dict[str, str]:
    """Make sure that the demo merchant has an endpoint at the inbox, and return it.

    Its secret is rotated at every start: the emulator, which keeps it, forgets it when it is
    killed, and the one that is told here signs in any case.

    Args:
        home: Where the endpoint's id and secret are kept.
        merchant: Whose endpoint.
        address: Of the front, such as ``http://localhost:8000``.

    Returns:
        ``id`` and ``secret``.

    Raises:
        LocalError: The API refused a step; the message holds its answer.
    """
    url = address + RECEIVE
    kept = home.read("inbox").get("id")
    made = _renewed(merchant, kept, url) if kept else None
    if made is None:
        wanted = {"url": url, "events": ["*"], "description": DESCRIPTION}
        made = merchant.ask("POST", "/webhooks", wanted)
    endpoint = {"id": str(made["id"]), "secret": str(made["secret"])}
    home.write("inbox", endpoint)
    return endpoint


def _renewed(merchant: Merchant, endpoint: str, url: str) -> dict[str, Any] | None:
    """Give a kept endpoint another secret, its address and its life back; None if it is gone."""
    path = f"/webhooks/{endpoint}"
    try:
        renewed = merchant.ask("POST", f"{path}/rotate_secret", {"overlap_hours": 0})
    except RefusedError as refused:
        if refused.http_status != HTTPStatus.NOT_FOUND:
            raise
        return None
    if renewed["url"] != url or renewed["status"] != "enabled":
        merchant.ask("PATCH", path, {"url": url, "status": "enabled"})
    return renewed
