"""Stands for the API where commands need only a few of its routes: keeps endpoints in memory."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from local.api import Api, Merchant

KEY = "ivy_sk_test_fake"
TRIGGERED = ["charge.succeeded", "charge.failed", "refund.succeeded"]


class FakeApi:
    """Use as a context manager.

    Attributes:
        endpoints: By id, as the API shows them.
        secrets: The secret of each.
        asked: Method and path of every request.
        broken: The status to refuse everything with; 0 to work.
    """

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, str] = {}
        self.asked: list[str] = []
        self.broken = 0
        self._made = 0

    def __enter__(self) -> Self:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                known = self.headers["Authorization"] == f"Bearer {KEY}"
                status, said = api.answer(self.command, self.path, body) if known else (401, {})
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the base class's names

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def merchant(self) -> Merchant:
        return Merchant(Api(self.base), KEY)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(f"{method} {path}")
        if self.broken:
            return self.broken, {"detail": "Out of order."}
        match [method, *path.partition("?")[0].strip("/").split("/")]:
            case ["POST", "webhooks"]:
                return self._create(body)
            case ["GET", "webhooks"]:
                return 200, {"object": "list", "data": list(self.endpoints.values())}
            case ["POST", "test", "events", "trigger"]:
                return trigger(body["type"])
            case [_, "webhooks", name, *rest] if name in self.endpoints:
                return self._about(method, name, rest, body)
        return 404, {"detail": f"There is no {path}."}

    def _create(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not body["url"].startswith(("http://127.0.0.1:", "http://localhost:")):
            errors = [{"pointer": "/url", "detail": "Must begin with https://."}]
            return 422, {"detail": "The request is not valid.", "errors": errors}
        self._made += 1
        name = f"whe_{self._made:032x}"
        self.endpoints[name] = {"id": name, "status": "enabled", **body}
        return 201, self.endpoints[name] | {"secret": self._secret(name)}

    def _about(
        self, method: str, name: str, rest: list[str], body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        endpoint = self.endpoints[name]
        if rest == ["rotate_secret"]:
            return 200, endpoint | {"secret": self._secret(name)}
        if method == "PATCH":
            endpoint.update(body)
        elif method == "DELETE":
            del self.endpoints[name]
        return 200, endpoint

    def _secret(self, name: str) -> str:
        self.secrets[name] = f"whsec_{len(self.asked):032}"
        return self.secrets[name]


def trigger(event_type: str) -> tuple[int, dict[str, Any]]:
    if event_type not in TRIGGERED:
        detail = f"{event_type} cannot be triggered; one of {', '.join(TRIGGERED)} can."
        return 422, {"detail": detail}
    objects = [f"ch_{1:032x}", f"re_{2:032x}"]
    return 202, {"object": "trigger", "type": event_type, "objects": objects}
