"""Webhooks as a merchant's developer sees them: `ivy listen`, `ivy trigger`, and the inbox."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Stack, charge, decided, ivy, until
from tests.webhook_target import WebhookTarget


@contextmanager
def listening(stack: Stack, *options: str) -> Iterator[list[str]]:
    """Run `ivy listen`, give the lines that it prints, and end it as Ctrl-C does."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ivy")), "listen", *options],
        env=os.environ | {"IVY_HOME": str(stack.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        lines.extend(process.stdout)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        until(lambda: lines)
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        reading.join()


def triggered(stack: Stack, event_type: str) -> str:
    """Trigger an event and return the first object that was made."""
    return ivy(stack.home, "trigger", event_type).stdout.split()[0]


def shown(lines: list[str], made: str) -> list[str]:
    return [line.rstrip() for line in lines if made in line]


def test_a_triggered_event_arrives_verified(stack: Stack, client: httpx.Client) -> None:
    with listening(stack, "--events", "charge.succeeded") as lines:
        made = triggered(stack, "charge.succeeded")
        [line] = until(lambda: shown(lines, made))
        endpoint = re.findall(r"whe_[0-9a-f]{32}", lines[0])[0]
        assert client.get(f"/webhooks/{endpoint}").json()["status"] == "enabled"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  charge\.succeeded +  #\d+ +{made}  verified", line)
    assert client.get(f"/webhooks/{endpoint}").status_code == 404


def test_a_failing_program_behind_is_tried_again(stack: Stack, client: httpx.Client) -> None:
    with WebhookTarget() as target:
        forwarded = ("--forward-to", target.url("flapping"), "--events", "charge.succeeded")
        with listening(stack, *forwarded) as lines:
            made = triggered(stack, "charge.succeeded")
            first, second = until(lambda: len(shown(lines, made)) == 2 and shown(lines, made))
            assert re.search(r"verified  → 500 in \d+ ms$", first)
            assert re.search(r"verified  → 200 in \d+ ms  \(again\)$", second)
            one, two = target.received
            assert (one.body, one.headers["webhook-id"]) == (two.body, two.headers["webhook-id"])
            assert one.headers["webhook-timestamp"] != two.headers["webhook-timestamp"]

            def statuses() -> list[int]:
                found = client.get(f"/events/{one.headers['webhook-id']}").json()["deliveries"]
                return [
                    each["status_code"]
                    for delivery in found
                    for each in delivery["attempts"]
                    if delivery["endpoint"] in lines[0]
                ]

            assert until(lambda: len(statuses()) == 2 and statuses()) == [500, 200]


def test_every_type_that_is_listed_can_be_triggered(stack: Stack) -> None:
    types = ivy(stack.home, "trigger", "--list").stdout.split()
    assert {"charge.succeeded", "refund.failed", "dispute.lost"} <= set(types)
    for each in types:
        assert re.match(r"ch_[0-9a-f]{32}", triggered(stack, each)), each


def inbox(stack: Stack, path: str = "") -> str:
    return stack.api.removesuffix("/api/v1") + "/inbox" + path


def arrived(stack: Stack, made: str, event_type: str) -> list[dict[str, Any]]:
    """Return what the inbox has of an object."""
    found = httpx.get(inbox(stack, "/deliveries")).json()["deliveries"]
    return [each for each in found if (each["subject"], each["type"]) == (made, event_type)]


@pytest.fixture
def _switched_back(stack: Stack) -> Iterator[None]:
    yield
    httpx.post(inbox(stack, "/switch"), json="accept")


def test_the_inbox_has_every_charge_verified(stack: Stack, client: httpx.Client) -> None:
    made = charge(client)["id"]
    for event_type in ("charge.pending", "charge.succeeded"):
        [delivery] = until(lambda wanted=event_type: arrived(stack, made, wanted))
        assert (delivery["refused"], delivery["status"]) == ("", 204)
    page = httpx.get(inbox(stack))
    assert stack.key in page.text


@pytest.mark.usefixtures("_switched_back")
def test_an_error_of_the_inbox_is_tried_again(stack: Stack, client: httpx.Client) -> None:
    httpx.post(inbox(stack, "/switch"), json="fail")
    made = charge(client)["id"]
    until(lambda: arrived(stack, made, "charge.succeeded"))
    httpx.post(inbox(stack, "/switch"), json="accept")
    found = until(
        lambda: (
            len(arrived(stack, made, "charge.succeeded")) == 2
            and arrived(stack, made, "charge.succeeded")
        )
    )
    assert [each["status"] for each in found] == [500, 204]
    assert len({each["body"] for each in found}) == 1


@pytest.mark.usefixtures("_switched_back")
@pytest.mark.parametrize("steps", [["enabled"], ["paused", "enabled"]])
def test_a_disabled_inbox_gets_what_it_missed(
    stack: Stack, client: httpx.Client, steps: list[str]
) -> None:
    endpoint = re.findall(r'data-endpoint="(whe_\w+)"', httpx.get(inbox(stack)).text)[0]
    httpx.post(inbox(stack, "/switch"), json="gone")
    made = [charge(client)["id"]]
    until(lambda: client.get(f"/webhooks/{endpoint}").json()["status"] == "disabled")
    httpx.post(inbox(stack, "/switch"), json="accept")
    made.append(charge(client)["id"])
    decided(client, made[1])
    for status in steps:
        changed = client.patch(f"/webhooks/{endpoint}", json={"status": status})
        assert changed.status_code == 200
    for subject in made:
        for event_type in ("charge.pending", "charge.succeeded"):
            assert until(lambda one=subject, wanted=event_type: accepted(stack, one, wanted))


def accepted(stack: Stack, made: str, event_type: str) -> list[dict[str, Any]]:
    return [each for each in arrived(stack, made, event_type) if each["status"] == 204]
