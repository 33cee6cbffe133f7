"""What the front's applications have in common: reading a request's body, and answering."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

PAGES = Path(__file__).parent / "pages"
OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def from_here(headers: Headers) -> bool:
    """Tell a request of this machine from one that a page of another site made by a forged name."""
    host = dict(headers).get(b"host", b"").decode("latin-1")
    return host.rsplit(":", 1)[0] in OWN_HOSTS or host in OWN_HOSTS


async def body_parts(receive: Receive) -> AsyncIterator[bytes]:
    """Give a request's body as it arrives."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if part := message.get("body", b""):
            yield part
        more = message.get("more_body", False)


async def whole_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """Return a request's body, None when it is longer than the limit."""
    body = b""
    async for part in body_parts(receive):
        body += part
        if len(body) > limit_bytes:
            return None
    return body


async def answer(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Answer with a body of known length."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def page(send: Send, name: str, facts: Mapping[str, str]) -> None:
    """Answer with one of the pages, its placeholders filled in."""
    text = (PAGES / f"{name}.html").read_text(encoding="utf-8")
    content = Template(text).safe_substitute(facts).encode()
    await answer(send, 200, content, [(b"content-type", b"text/html; charset=utf-8")])


async def problem(
    send: Send, status: int, code: str, title: str, detail: str, *, retryable: bool = False
) -> None:
    """Answer with the same problem shape as the API behind this front."""
    request = f"req_local_{uuid4().hex}"
    said = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request,
        "retryable": retryable,
    }
    headers = [(b"content-type", b"application/problem+json"), (b"request-id", request.encode())]
    await answer(send, status, json.dumps(said).encode(), headers)
