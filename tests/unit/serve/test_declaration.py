from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from functions.access import authorize
from functions.charges import create, process
from functions.connectors import simulated
from functions.outbox import relay
from ivy import aws
from ivy.callers import Caller, Scope
from ivy.connectors.simulated import SILENT_SECONDS
from ivy.database import Database, Transaction
from ivy.needs import Need
from ivy.outbox import Task
from ivy.serve import endpoint
from ivy.serve.declaration import DEPLOYED_AS, Declaration, services
from ivy.serve.injection import parameters


def test_a_declaration_says_what_infra_needs() -> None:
    route = create.handler
    assert (route.method, route.path, route.status) == ("POST", "/v1/charges", 201)
    assert (route.name, route.scope) == ("charges/create", Scope.CHARGES_WRITE)
    assert route.needs == (Need.CHARGES_QUEUE, Need.DATABASE, Need.IDEMPOTENCY_TABLE)
    assert (process.handler.name, process.handler.queue) == ("charges/process", "charges")
    assert process.handler.visibility_timeout_seconds == 6 * process.handler.timeout_seconds
    assert relay.handler.schedule == "rate(1 minute)"
    assert authorize.handler.needs == (Need.ACCESS_SECRET, Need.DATABASE)
    assert (simulated.handler.name, simulated.handler.acquirer) == (
        "connectors/simulated",
        "simulated",
    )
    assert simulated.handler.needs == (Need.ACQUIRER_TABLE,)


def test_time_limits_nest() -> None:
    """The gateway gives up after 29 s, a statement after 8: see the roles of the database."""
    assert 8 < create.handler.timeout_seconds < 29


def test_a_connector_outlives_the_patience_of_who_asks_it() -> None:
    """It ends by itself, not by being killed; who asked still has time to note that."""
    patience = aws.CONNECT_SECONDS + aws.READ_SECONDS_OF["lambda"]
    assert patience < SILENT_SECONDS < simulated.handler.timeout_seconds
    assert 2 * patience < process.handler.timeout_seconds, "one connector after the other"


def test_a_bare_declaration_cannot_run() -> None:
    with pytest.raises(NotImplementedError):
        Declaration(function=print)({}, None)


PREPARED = """
import sys
import functions.charges.create, functions.charges.process
from ivy import aws
print({name for name in ("fastapi", "mangum", "boto3") if name in sys.modules})
print(sorted(service for service, _ in aws.client._made))
"""


@pytest.mark.parametrize(
    ("deployed_as", "loaded", "clients"),
    [
        (None, set(), []),
        ("charges/create", {"fastapi", "mangum", "boto3"}, ["dynamodb", "secretsmanager", "sqs"]),
        ("charges/process", {"boto3"}, ["lambda", "secretsmanager", "sqs"]),
    ],
)
def test_only_the_function_that_is_deployed_is_loaded_whole_before_its_first_request(
    deployed_as: str | None, loaded: set[str], clients: list[str]
) -> None:
    environment = {"AWS_DEFAULT_REGION": "us-east-1", "IVY_IDEMPOTENCY_TABLE": "a-table"}
    said = subprocess.run(
        [sys.executable, "-c", PREPARED],
        env=environment | ({DEPLOYED_AS: deployed_as} if deployed_as else {}),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout.splitlines()
    assert (ast.literal_eval(said[0].replace("set()", "{}")) or set()) == loaded
    assert ast.literal_eval(said[1]) == clients


def test_every_need_that_calls_aws_says_which_service() -> None:
    silent = {Need.IDEMPOTENCY_TABLE, Need.REFERENCE}  # the front's own client; a layer
    assert {need for need in Need if not services(need)} == silent


def test_parameters_are_filled_by_type() -> None:
    def handler(tx: Transaction, who: Caller, id: int, task: Task, db: Database) -> str:  # noqa: A002 - a path's name
        return f"{tx}{who}{id}{task}{db}"

    wanted = parameters(handler)
    assert wanted.injected == {Transaction: "tx", Caller: "who", Task: "task", Database: "db"}
    assert [parameter.name for parameter in wanted.request] == ["id"]
    assert wanted.returns is str
    assert wanted.opens_transactions
    given: dict[str, Any] = {"transaction": 1, "caller": 2, "database": 3}
    assert wanted.fill(**given) == {"tx": 1, "who": 2, "db": 3}


def test_a_handler_that_wants_nothing_gets_nothing() -> None:
    def handler() -> None: ...

    wanted = parameters(handler)
    assert not wanted.opens_transactions
    assert wanted.fill(transaction=1, caller=2) == {}


def test_reading_a_declaration_builds_no_application() -> None:
    @endpoint("GET /v1/things")
    def handler() -> None: ...

    assert "_mangum" not in vars(handler)
    assert handler.name.endswith("test_declaration")
