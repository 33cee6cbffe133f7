"""Lambda code of the custom resource: run the migration, then tell CloudFormation.

Deployed inline (at most 4 KB), on its own role, outside the private network: it reaches no data.
"""

import json
import os
import urllib.request
from typing import Any

REASON_CHARACTERS = 500


def handler(event: dict[str, Any], _context: object) -> None:
    """Answer one CloudFormation request; deleting the stack migrates nothing."""
    reason = None
    try:
        if event["RequestType"] != "Delete":
            reason = migrate()
    except Exception as error:  # noqa: BLE001 - unanswered, CloudFormation would wait an hour
        reason = f"{type(error).__name__}: {error}"
    answer = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": (reason or "migrated")[:REASON_CHARACTERS],
        "PhysicalResourceId": os.environ["MIGRATE_FUNCTION"],
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    print(json.dumps({"message": "migrations", **answer}))  # noqa: T201 - Lambda's log
    reply = urllib.request.Request(  # noqa: S310 - CloudFormation's own https address
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(reply, timeout=30).close()  # noqa: S310 - same


def migrate() -> str | None:
    """Invoke the migration and wait; return why it failed, or None."""
    import boto3  # noqa: PLC0415 - the tests replace it
    from botocore.config import Config  # noqa: PLC0415 - same

    patient = Config(read_timeout=880, retries={"total_max_attempts": 1})
    answer = boto3.client("lambda", config=patient).invoke(
        FunctionName=os.environ["MIGRATE_FUNCTION"], Payload=b'{"source":"deployment"}'
    )
    failed = "FunctionError" in answer
    return answer["Payload"].read().decode() if failed else None
