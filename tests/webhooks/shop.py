"""A merchant with webhook endpoints, and what arrives at them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions.api_keys import create as create_key
from functions.charges import create as create_charge
from functions.charges import process as process_charge
from functions.deliveries import get as get_delivery
from functions.events import list as list_events
from functions.events import sweep
from functions.webhooks import create as create_endpoint
from functions.webhooks import deliver, list_deliveries, record, update
from functions.webhooks import get as get_endpoint
from ivy.serve.declaration import Route
from tests.driving import Account, Platform, Reply
from tests.environment import WEBHOOK_SECRETS
from tests.webhook_target import Received, WebhookTarget

URL = "https://example.com/webhooks"


def asked(**fields: Any) -> dict[str, Any]:
    """Return what makes an endpoint that nothing is sent to in tests."""
    return {"url": URL, "events": ["*"], **fields}


@dataclass
class Shop:
    """One merchant of a deployment, its endpoints, and what arrives there."""

    platform: Platform
    account: Account
    target: WebhookTarget
    secrets: dict[str, str] = field(default_factory=dict)

    def endpoint(self, behaviour: str = "ok", *events: str, **fields: Any) -> str:
        """Register an endpoint that behaves in a way; returns its id."""
        body = {"url": self.target.url(behaviour), "events": list(events) or ["*"], **fields}
        made = self.platform.request(create_endpoint.handler, body, bearer=self.account.secret_key)
        assert made.status == 201, made.body
        self.secrets[made.json()["id"]] = made.json()["secret"]
        return str(made.json()["id"])

    def pay(self, token: str = "tok_visa", **fields: Any) -> str:
        """Make a charge and let it be decided; returns its id."""
        body = {"amount": 10_000, "currency": "USD", "payment_method": token, **fields}
        text = json.dumps(body, ensure_ascii=False)
        made = self.platform.post(create_charge.handler, self.account, text)
        assert made.status == 201, made.body
        self.platform.drain(process_charge.handler)
        return str(made.json()["id"])

    def ask(self, route: Route, body: Any = None, **path: str) -> Reply:
        """Send a request with the merchant's key."""
        return self.platform.request(route, body, bearer=self.account.secret_key, **path)

    def get(self, endpoint: str) -> Any:
        return self.platform.read(get_endpoint.handler, self.account, id=endpoint)

    def change(self, endpoint: str, **fields: Any) -> dict[str, Any]:
        """Change an endpoint; returns it as it then is."""
        changed = self.ask(update.handler, fields, id=endpoint)
        assert changed.status == 200, changed.body
        found: dict[str, Any] = changed.json()
        return found

    def delivery(self, delivery: str) -> Any:
        return self.platform.read(get_delivery.handler, self.account, id=delivery)

    def deliveries(self, endpoint: str, **query: str) -> list[dict[str, Any]]:
        """Return the deliveries to an endpoint, newest first."""
        found = self.platform.request(
            list_deliveries.handler,
            bearer=self.account.secret_key,
            query={"limit": "100", **query},
            id=endpoint,
        )
        assert found.status == 200, found.body
        listed: list[dict[str, Any]] = found.json()["data"]
        return listed

    def events(self, **query: str) -> list[dict[str, Any]]:
        """Return every event, page by page."""
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            page = self.platform.request(
                list_events.handler,
                bearer=self.account.secret_key,
                query={"limit": "100", **query, **more},
            ).json()
            found += page["data"]
            if not page["has_more"]:
                return found
            more = {"cursor": page["next_cursor"]}

    def arrived(self, behaviour: str = "ok") -> list[Received]:
        """Return what has arrived at an endpoint that behaves in a way."""
        return [each for each in self.target.received if each.path == f"/{behaviour}"]

    def key(self, **fields: Any) -> str:
        """Make another key of the same merchant; returns its secret."""
        body = {"name": "another", **fields}
        made = self.platform.request(create_key.handler, body, bearer=self.account.access_token)
        assert made.status == 201, made.body
        return str(made.json()["secret"])

    def stored_secrets(self) -> dict[UUID, Any]:
        """Return what the table of secrets holds, by endpoint."""
        table = self.platform.name + WEBHOOK_SECRETS
        found = self.platform.client("dynamodb").scan(TableName=table)["Items"]
        return {UUID(each["id"]["S"]): each for each in found}

    def attempt(self, **later: float) -> int:
        """Let time pass, and send what is due then once; returns how many were sent.

        Nothing is published afterwards: what is due soon waits in the queue for real.
        """
        self.platform.pass_time(**later)
        report = self.platform.run(sweep.handler)
        self.platform.drain(deliver.handler, record.handler)
        self.platform.lose_messages("events")
        return int(report["sent"])
