"""Figure 15: the whole gateway on this machine's emulator, beside a function that does nothing.

The anchor is a function of three lines behind a REST API of its own, in the same emulator: whatever
the emulator itself can do. Charges go through the gateway, the authoriser's cache, the function,
DynamoDB and Postgres. Requests of both are sent by eight clients, in turn.
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
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]  # it has no types
import psycopg

from bench.books import VoidError
from bench.rounds import TIMES, Figure, Run, counted, interleave, rate_ratio, rates
from local.aws import REGION, Aws

CLIENTS = 8
MEGABYTE = 1 << 20
SETTLE_SECONDS = 120
REQUEST_SECONDS = 120
"""The first burst starts a worker for each client."""

NET = 941
CHARGE = {"amount": 1000, "currency": "USD", "payment_method": "tok_visa"}
NOTHING = """
def handler(event, context):
    print("{}")  # one that prints nothing waits for 50 ms here
    return {"statusCode": 200, "body": "{}"}
"""

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
            nothing = _deploy_nothing(facts)
            works = {
                "nothing": partial(_load, facts, each, lambda http: http.get(nothing)),
                "charge": partial(_charges, facts, each),
            }
            for work in works.values():
                work()
            done = interleave(rounds, works)
            memory = _memory(home)
            _check(facts, (rounds + 1) * each)
        finally:
            subprocess.run([ivy, "down"], env=environment, check=True, capture_output=True)
    return [
        Figure(
            "15a", "charges through the whole stack / a function that does nothing", TIMES,
            rate_ratio(done, "charge", "nothing"), "rate", gate=0.5, target=0.9, at_least=True,
            anchor=rates(done, "nothing"),
            note=f"{rates(done, 'charge').median:.0f} and {rates(done, 'nothing').median:.0f}"
            f" a second, {CLIENTS} clients",
        ),
        Figure(
            "15b", "memory of a charge worker", "MB", counted(memory), "counted",
            gate=110, target=60,
        ),
    ]  # fmt: skip


def _charge(http: httpx.Client) -> httpx.Response:
    return http.post("charges", json=CHARGE, headers={"Idempotency-Key": uuid.uuid4().hex})


def _charges(facts: dict[str, Any], count: int) -> Run:
    """Make charges, and let them be decided before anything else is measured."""
    made = _load(facts, count, _charge)
    _decided(facts)
    return made


def _load(facts: dict[str, Any], count: int, send: Send) -> Run:
    """Send requests by all clients together."""
    with httpx.Client(
        base_url=facts["api"],
        headers={"Authorization": f"Bearer {facts['merchant']['secret_key']}"},
        timeout=REQUEST_SECONDS,
    ) as http:

        def one(_: int) -> None:
            answer = send(http)
            if not answer.is_success:
                raise VoidError(f"void: {answer.status_code} {answer.text}")

        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(one, range(count)))
        seconds = time.perf_counter() - started
    return Run(count, seconds, seconds)


def _deploy_nothing(facts: dict[str, Any]) -> str:
    """Deploy the anchor beside the product, and return its address."""
    aws = Aws(facts["emulator"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("nothing.py", NOTHING)
    function = aws.client("lambda").create_function(
        FunctionName="bench-nothing",
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role="arn:aws:iam::000000000000:role/bench",
        Handler="nothing.handler",
        Code={"ZipFile": packed.getvalue()},
    )["FunctionArn"]
    gateway = aws.client("apigateway")
    api = gateway.create_rest_api(name="bench-nothing")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    method = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**method, authorizationType="NONE")
    gateway.put_integration(
        **method,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations",
    )
    gateway.create_deployment(restApiId=api, stageName="bench")
    return f"{facts['emulator']}/_aws/execute-api/{api}/bench/"


def _decided(facts: dict[str, Any]) -> None:
    """Wait until no charge is pending: what is still to be done would slow the anchor down."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with psycopg.connect(facts["database"], autocommit=True) as database:
        while time.monotonic() < deadline:
            row = database.execute(
                "SELECT (SELECT count(*) FROM charges WHERE status = 'pending')"
                " + (SELECT count(*) FROM events) - (SELECT count(*) FROM event_numbers)"
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
    """Return the resident megabytes of the largest function worker of a home."""
    sizes = [0.0]
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if str(home) in command and "_worker.py" in command:
                sizes.append(process.memory_info().rss / MEGABYTE)
        except psutil.Error:
            continue
    return max(sizes)
