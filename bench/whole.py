"""Figure 15: the whole gateway on this machine's emulator, beside an endpoint that does nothing.

The anchor goes the same way as a charge: an endpoint of the product's own kind in the product's own
REST API, with its front, its authoriser, its layers and its log line; it asks nobody for anything
and answers with an empty object. So what is compared is what a charge does, not what stands before
it. Requests of both are sent by eight clients, in turn. The merchant has one webhook endpoint, and
a charge counts until it is decided, its events are numbered and their webhooks have arrived.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]  # it has no types
import psycopg

from bench.books import VoidError
from bench.rounds import (
    TIMES,
    Figure,
    Run,
    costs,
    counted,
    cpu_ratio,
    interleave,
    rate_ratio,
    rates,
)
from infra.responses import STAGE
from ivy.serve.declaration import DEPLOYED_AS
from local.aws import REGION, Aws

CLIENTS = 8
MEGABYTE = 1 << 20
SETTLE_SECONDS = 120
REQUEST_SECONDS = 120
"""The first burst starts a worker for each client."""

ANCHOR = 8
"""Requests of the anchor for each charge of a round: they take as long, and are as steady."""

WARM = 2
"""Rounds before those that count: the first charges start workers until the second time."""

NET = 941
CHARGE = {"amount": 1000, "currency": "USD", "payment_method": "tok_visa"}
LIKE = "ivy-charges-get"
"""The anchor has the layers and the role of this function."""

NOTHING = '''
"""GET /v1/nothing."""

from ivy.models import Object
from ivy.serve import endpoint


class Nothing(Object):
    """Nothing."""


@endpoint("GET /v1/nothing")
def handler() -> Nothing:
    """Answer."""
    return Nothing()
'''

Send = Callable[[httpx.Client], httpx.Response]


def measure(rounds: int, each: int) -> list[Figure]:
    """Start a stack of its own, and return the figures; void unless every charge succeeded once.

    Args:
        rounds: How often charges and the anchor take turns.
        each: Requests of one round.
    """
    with tempfile.TemporaryDirectory(prefix="ivy-bench-") as folder:
        home = Path(folder) / "home"
        environment = {**os.environ, "IVY_HOME": str(home)}
        ivy = str(Path(sys.executable).with_name("ivy"))
        subprocess.run([ivy, "up", "--detach"], env=environment, check=True, capture_output=True)
        try:
            facts = json.loads((home / "local.json").read_text())
            _deploy_nothing(facts)
            works = {
                "nothing": partial(_load, home, facts, ANCHOR * each, _nothing),
                "charge": partial(_load, home, facts, each, _charge),
            }
            for _ in range(WARM):
                for work in works.values():
                    work()
            done = interleave(rounds, works)
            memory = _memory(home)
            _check(facts, (rounds + WARM) * each)
        finally:
            subprocess.run([ivy, "down"], env=environment, check=True, capture_output=True)
    anchor = rates(done, "nothing")
    charge, nothing = costs(done, "charge").median / 1e3, costs(done, "nothing").median / 1e3
    return [
        Figure(
            "15a", "charges through the whole stack / requests that do nothing", TIMES,
            rate_ratio(done, "charge", "nothing"), "rate", gate=0.5, target=0.9, at_least=True,
            anchor=anchor,
            note=f"{rates(done, 'charge').median:.0f} and {anchor.median:.0f}"
            f" a second, {CLIENTS} clients",
        ),
        Figure(
            "15b", "memory of a charge worker", "MB", counted(memory), "counted",
            gate=110, target=60,
        ),
        Figure(
            "15c", "CPU of a charge until all is done / of such a request", TIMES,
            cpu_ratio(done, "charge", "nothing"), "cpu", anchor=costs(done, "nothing"),
            note=f"{charge:.1f} and {nothing:.1f} ms, of all processes",
        ),
    ]  # fmt: skip


def _charge(http: httpx.Client) -> httpx.Response:
    return http.post("charges", json=CHARGE, headers={"Idempotency-Key": uuid.uuid4().hex})


def _nothing(http: httpx.Client) -> httpx.Response:
    return http.get("nothing")


def _load(home: Path, facts: dict[str, Any], count: int, send: Send) -> Run:
    """Send requests by all clients together, and let what they lead to be done.

    The rate is that of the answers; the CPU is that of every process of the stack, to the end.
    """
    with httpx.Client(
        base_url=facts["api"],
        headers={"Authorization": f"Bearer {facts['merchant']['secret_key']}"},
        timeout=REQUEST_SECONDS,
    ) as http:

        def one(_: int) -> None:
            answer = send(http)
            if not answer.is_success:
                raise VoidError(f"void: {answer.status_code} {answer.text}")

        before, started = _cpu_seconds(home), time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(count)))
        seconds = time.perf_counter() - started
    _decided(facts)
    return Run(count, seconds, _cpu_seconds(home) - before)


def _cpu_seconds(home: Path) -> float:
    """Return the CPU of every process of a home: front, emulator, functions, Postgres."""
    spent = 0.0
    for process in _processes(home):
        with suppress(psutil.Error):  # it has ended since
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def _processes(home: Path) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get("IVY_HOME") == str(home) or str(home) in " ".join(
                process.cmdline()
            ):
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        except psutil.Error:
            continue  # of somebody else, or gone
    return list(found.values())


def _deploy_nothing(facts: dict[str, Any]) -> None:
    """Add the anchor to the product's own API, behind the product's own authoriser."""
    aws = Aws(facts["emulator"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("functions/bench/nothing.py", NOTHING)
    like = aws.client("lambda").get_function_configuration(FunctionName=LIKE)
    function = aws.client("lambda").create_function(
        FunctionName="bench-nothing",
        Runtime=like["Runtime"],
        Role=like["Role"],
        Handler="functions.bench.nothing.handler",
        Code={"ZipFile": packed.getvalue()},
        Layers=[layer["Arn"] for layer in like["Layers"]],
        MemorySize=like["MemorySize"],
        Timeout=like["Timeout"],
        Environment={
            "Variables": like["Environment"]["Variables"] | {DEPLOYED_AS: "bench/nothing"}
        },
    )["FunctionArn"]
    gateway = aws.client("apigateway")
    (api,) = (each["id"] for each in gateway.get_rest_apis()["items"])
    (v1,) = (
        each["id"]
        for each in gateway.get_resources(restApiId=api, limit=500)["items"]
        if each["path"] == "/v1"
    )
    (authorizer,) = (each["id"] for each in gateway.get_authorizers(restApiId=api)["items"])
    made = gateway.create_resource(restApiId=api, parentId=v1, pathPart="nothing")["id"]
    method = {"restApiId": api, "resourceId": made, "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="CUSTOM", authorizerId=authorizer)
    gateway.put_integration(
        **method,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    gateway.create_deployment(restApiId=api, stageName=STAGE)


def _decided(facts: dict[str, Any]) -> None:
    """Wait until nothing is left to do: it would slow down what is measured next."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with psycopg.connect(facts["database"], autocommit=True) as database:
        while time.monotonic() < deadline:
            row = database.execute(
                "SELECT (SELECT count(*) FROM charges WHERE status = 'pending')"
                " + (SELECT count(*) FROM events) - (SELECT count(*) FROM event_numbers)"
                " + (SELECT count(*) FROM deliveries WHERE status IN ('pending', 'sending'))"
            ).fetchone()
            if row == (0,):
                return
            time.sleep(0.2)
    raise VoidError("void: some charges were not decided")


def _check(facts: dict[str, Any], charges: int) -> None:
    """Void the figures unless every charge succeeded once and the books say the same."""
    with psycopg.connect(facts["database"], autocommit=True) as database:
        row = database.execute(
            "SELECT (SELECT count(*) FROM charges WHERE status = 'succeeded'),"
            " count(DISTINCT source), sum(amount) FROM entries"
        ).fetchone()
    balance = httpx.get(
        f"{facts['api']}/merchant/balance",
        headers={"Authorization": f"Bearer {facts['merchant']['secret_key']}"},
    ).json()
    if row != (charges, charges, 0) or balance["balances"][0]["pending"] != NET * charges:
        raise VoidError(f"void: {row} for {charges} charges, {balance}")


def _memory(home: Path) -> float:
    """Return the resident megabytes of the largest worker that takes charges."""
    sizes = [0.0]
    for process in _processes(home):
        try:
            if process.environ().get(DEPLOYED_AS) == "charges/create":
                sizes.append(process.memory_info().rss / MEGABYTE)
        except psutil.Error:
            continue
    return max(sizes)
