"""What the deployed stack sends, judged by the libraries that receivers use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.e2e.conftest import Stack, charge, until
from tests.verifiers import EVERYBODY, Signed, accepting
from tests.webhook_target import Received, WebhookTarget

ROTATION_SECONDS = 120
"""Senders that are running read the secrets again within a minute."""


@dataclass
class Endpoint:
    """An endpoint on this machine, and every secret that it has been given."""

    client: httpx.Client
    target: WebhookTarget
    id: str
    secrets: list[str]

    def rotate(self, hours: int) -> None:
        answer = self.client.post(
            f"/webhooks/{self.id}/rotate_secret", json={"overlap_hours": hours}
        )
        assert answer.status_code == 200, answer.text
        self.secrets.append(answer.json()["secret"])

    def received(self, made: str) -> list[Received]:
        """Return what arrived about an object, once both of its events did."""
        about = made.encode()
        found = [each for each in self.target.received if about in each.body]
        return found if len({each.headers["webhook-id"] for each in found}) >= 2 else []

    def charged(self) -> list[Received]:
        """Make a charge and return its deliveries."""
        made = charge(self.client)["id"]
        deliveries: list[Received] = until(lambda: self.received(made))
        return deliveries


@pytest.fixture
def endpoint(stack: Stack, client: httpx.Client) -> Iterator[Endpoint]:
    assert stack.key
    with WebhookTarget() as target:
        body = {"url": target.url("ok"), "events": ["charge.*"]}
        made = client.post("/webhooks", json=body).json()
        yield Endpoint(client, target, made["id"], [made["secret"]])
        assert client.delete(f"/webhooks/{made['id']}").status_code == 200


def judged(secret: str, deliveries: list[Received]) -> list[set[str]]:
    return accepting([Signed(secret, each.headers, each.body.decode()) for each in deliveries])


def test_everybody_accepts_every_delivery_also_while_secrets_change(endpoint: Endpoint) -> None:
    first = endpoint.charged()
    assert judged(endpoint.secrets[0], first) == [EVERYBODY] * len(first)

    endpoint.rotate(hours=24)
    during = [endpoint.charged()]
    until(
        lambda: (
            during.append(endpoint.charged())
            or len(during[-1][-1].headers["webhook-signature"].split(" ")) == 2
        ),
        within_seconds=ROTATION_SECONDS,
    )
    old, new = endpoint.secrets
    everything = [each for deliveries in during for each in deliveries]
    assert judged(old, everything) == [EVERYBODY] * len(everything)
    twice = [each for each in everything if len(each.headers["webhook-signature"].split(" ")) == 2]
    assert twice
    assert judged(new, twice) == [EVERYBODY] * len(twice)

    changed = [
        Received(each.path, each.headers, each.body.replace(b"10000", b"10001")) for each in first
    ]
    assert judged(old, changed) == [set()] * len(changed)
