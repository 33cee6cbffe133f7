"""The control that must fail: the same charge under the Powertools decorator alone.

The answer is kept in DynamoDB after the commit, not in it. Whoever dies in between has charged and
left no trace of it.
"""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent,
)

from ivy import aws, charges, faults
from ivy.callers import Caller
from ivy.database import database
from tests.driving import LambdaContext

AFTER_COMMIT = "control.after_commit"


def charge(table: str, caller: Caller, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Charge once per key, as far as the decorator can see to it."""

    @idempotent(
        config=IdempotencyConfig(event_key_jmespath="key", raise_on_no_idempotency_key=True),
        persistence_store=DynamoDBPersistenceLayer(
            table, boto3_client=aws.client("dynamodb", hasty=True)
        ),
    )
    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        with database().transaction(caller.tenant) as tx:
            made = charges.accept(tx, caller, charges.NewCharge(**event["body"]))
        faults.point(AFTER_COMMIT)
        answer: dict[str, Any] = json.loads(made.model_dump_json())
        return answer

    answer: dict[str, Any] = handler({"key": key, "body": body}, LambdaContext())
    return answer
