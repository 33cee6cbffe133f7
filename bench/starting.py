"""Figures 11 to 13: a cold start of the packaged charge function, and a request to a warm one.

The function and its layers are unpacked from their zips into folders nobody may write to, as on
Lambda. CPU is that of the interpreter that starts, against one that starts and does nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from bench import deployed
from bench.books import VoidError
from bench.counting import CHARGE
from bench.rounds import TIMES, Figure, Rounds, Run, Work, costs, cpu_ratio, interleave
from bench.silence import quietly
from functions.charges import create
from infra import layers
from infra.catalogue import read_functions
from ivy import ids
from ivy.callers import Scope
from ivy.charges import Charge, NewCharge
from ivy.serve import endpoint
from ivy.serve.declaration import DEPLOYED_AS
from tests.driving import LambdaContext, rest_event

REQUESTS = 200
"""Of one round to a warm handler."""

BEFORE_REQUESTS = {
    DEPLOYED_AS: create.handler.name,
    "AWS_DEFAULT_REGION": "us-east-1",
    "IVY_IDEMPOTENCY_TABLE": "a-table",
}
"""As much of the function's environment as it reads before its first request."""

PRINCIPAL = {
    "merchant_id": "1001",
    "merchant": "019ab2c4d0007a01b2c3d4e5f6071829",
    "livemode": "false",
    "scopes": "charges:write",
    "credential": "019ab2c4d0007c03b2c3d4e5f6071829",
}
RUNTIME = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six")
"""What the Lambda runtime brings by itself."""

_START = """
import json, os, sys, time
asked = json.load(sys.stdin)
sys.path[:0] = asked["paths"]
begun = time.process_time()
from functions.charges.create import handler
spent = [time.process_time() - begun]
for event in asked["events"]:
    begun = time.process_time()
    answer = handler(event, None)
    spent.append(time.process_time() - begun)
    assert answer["statusCode"] == 201, answer
print(json.dumps(spent), file=sys.stderr)
"""


def measure(rounds: int) -> list[Figure]:
    """Return the figures.

    Raises:
        VoidError: A process failed, or answered otherwise than it should.
    """
    with tempfile.TemporaryDirectory(prefix="ivy-bench-") as folder, quietly():
        paths = list(_unpacked(Path(folder)))
        imports = interleave(
            rounds, {"nothing": partial(_started, []), "function": partial(_started, paths)}
        )
        firsts = _first_requests(paths, rounds)
        requests = interleave(rounds, _handlers())
    return [*_of_starts(imports, firsts), _of_requests(requests)]


# -- cold


def _unpacked(folder: Path) -> Iterator[str]:
    """Unpack the function and its layers; yield the paths that Python searches."""
    (function,) = (each for each in read_functions() if each.name == "charges/create")
    built = layers.build("local")
    task, runtime = folder / "task", folder / "runtime"
    zipfile.ZipFile(function.zipped(folder)).extractall(task)
    yield str(task)
    for name in ("dependencies", "ivy"):
        zipfile.ZipFile(built[name].archive).extractall(folder / name)
        yield str(folder / name / "python")
    runtime.mkdir()
    installed = Path(boto3.__file__).parents[1]
    for name in RUNTIME:
        module = name if (installed / name).exists() else f"{name}.py"
        (runtime / module).symlink_to(installed / module)
    yield str(runtime)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() or path.suffix == ".so" else 0o444)


def _interpreter() -> list[str]:
    """Return an interpreter that knows its own library only, and writes no bytecode: root could."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    return [base, "-I", "-S", "-B"]


def _started(paths: list[str]) -> Run:
    """Start an interpreter that imports the function, or nothing, and return the CPU it used.

    What was imported is not taken down again: an environment of Lambda does not end by itself.
    """
    asked = (
        f"import os, sys; sys.path[:0] = {paths!r}; import functions.charges.create; os._exit(0)"
    )
    started = time.perf_counter()
    environment = BEFORE_REQUESTS if paths else {}
    process = subprocess.Popen([*_interpreter(), "-c", asked if paths else "pass"], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise VoidError("void: the function cannot be imported from its package")
    return Run(1, time.perf_counter() - started, used.ru_utime + used.ru_stime)


def _first_requests(paths: list[str], rounds: int) -> Rounds:
    """Return, of processes of their own, the import, the first request and the second."""
    done: dict[str, list[Run]] = {"import": [], "first": [], "second": []}
    with deployed.deployed() as (platform, account, _):
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(("AWS", "POWER"))
        }
        environment |= {"IVY_TARGET": "local", DEPLOYED_AS: create.handler.name}
        environment |= platform.environment(create.handler.needs)
        for _ in range(rounds):
            events = [
                rest_event(
                    create.handler,
                    CHARGE,
                    principal=platform.principal(account.secret_key),
                    headers={"Idempotency-Key": ids.new(ids.now()).hex},
                )
                for _ in range(2)
            ]
            asked = json.dumps({"paths": paths, "events": events})
            for name, seconds in zip(done, _ran(asked, environment), strict=True):
                done[name].append(Run(1, seconds, seconds))
    return done


def _ran(asked: str, environment: Mapping[str, str]) -> list[float]:
    said = subprocess.run(
        [*_interpreter(), "-c", _START],
        input=asked,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise VoidError(f"void: {said.stderr[-2000:]}")
    spent: list[float] = json.loads(said.stderr.splitlines()[-1])
    return spent


def _of_starts(imports: Rounds, firsts: Rounds) -> list[Figure]:
    function, nothing = costs(imports, "function"), costs(imports, "nothing")
    second = costs(firsts, "second").median / 1e3
    return [
        Figure(
            "11", "cold import of the packaged charge function / python -c pass", TIMES,
            cpu_ratio(imports, "function", "nothing"), "cpu", gate=110, target=60, anchor=nothing,
            note=f"{function.median / 1e3:.0f} ms and {nothing.median / 1e3:.1f} ms",
        ),
        Figure(
            "12", "first request after it / that import", TIMES,
            cpu_ratio(firsts, "first", "import"), "cpu", gate=1.0, target=0.3,
            anchor=costs(firsts, "import"),
            note=f"{costs(firsts, 'first').median / 1e3:.0f} ms; the second {second:.1f} ms",
        ),
        Figure(
            "12b", "first request after it / python -c pass", TIMES,
            cpu_ratio({**imports, **firsts}, "first", "nothing"), "cpu", anchor=nothing,
        ),
    ]  # fmt: skip


# -- warm


def _charge(new: NewCharge) -> Charge:
    """Answer with a charge that is written nowhere."""
    at = ids.now()
    return Charge(
        id=ids.new(at),
        livemode=False,
        created_at=at,
        amount=new.amount,
        currency=new.currency,
        status="pending",
        capture=new.capture,
        method="card",
        payment_method=new.payment_method,
        description=new.description,
        statement_descriptor=new.statement_descriptor,
        metadata=new.metadata,
        fee_plan="standard/1",
    )


@endpoint("POST /v1/charges", status=201, scope=Scope.CHARGES_WRITE)
def _served(new: NewCharge) -> Charge:
    """Answer with a charge that is written nowhere."""
    return _charge(new)


def _plain(event: dict[str, Any], _: object) -> dict[str, Any]:
    """Do the same with pydantic alone."""
    new = NewCharge.model_validate_json(event["body"])
    return {"statusCode": 201, "body": _charge(new).model_dump_json()}


def _handlers() -> dict[str, Work]:
    event = rest_event(_served, CHARGE, principal=PRINCIPAL)
    works: dict[str, Callable[..., dict[str, Any]]] = {"plain": _plain, "served": _served}

    def ask(handler: Callable[..., dict[str, Any]]) -> Run:
        begun, started = time.process_time(), time.perf_counter()
        for _ in range(REQUESTS):
            answer = handler(event, LambdaContext())
            if answer["statusCode"] != _served.status:
                raise VoidError(f"void: {answer}")
        return Run(REQUESTS, time.perf_counter() - started, time.process_time() - begun)

    for handler in works.values():
        ask(handler)
    return {name: partial(ask, handler) for name, handler in works.items()}


def _of_requests(requests: Rounds) -> Figure:
    plain, served = costs(requests, "plain"), costs(requests, "served")
    return Figure(
        "13", "handler CPU of a request / pydantic alone", TIMES,
        cpu_ratio(requests, "served", "plain"), "cpu", gate=40, target=8, anchor=plain,
        note=f"{served.median:.0f} µs and {plain.median:.0f} µs, no database",
    )  # fmt: skip
