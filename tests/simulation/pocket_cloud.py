"""An AWS of this process: its tables, queues and functions are dictionaries, its network obeys.

It stands in for boto3's clients where a network would cost more than what is tested. What the
functions send lies in ``queues`` until somebody delivers it; what they invoke is the simulated
acquirer, on a table of ``tables``. ``network`` says, call by call, what becomes of an invocation.
"""

from __future__ import annotations

import io
import json
import threading
from collections import deque
from typing import Any, Literal

import boto3
from botocore.exceptions import ClientError

from ivy.connectors import simulated
from tests.cloud import CONNECTOR

Network = Literal["ok", "lose_request", "lose_answer"]

REPORTS = "reports/"

_real_client: Any = boto3.client


class NoAnswerError(Exception):
    """Nobody answered in time."""


class Acquirer:
    """The simulated acquirer's function and its table, for one process or, managed, for several."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, dict[str, Any]]] = {}
        self._one_at_a_time = threading.Lock()

    def invoke(self, function: str, payload: bytes) -> bytes:
        """Answer one message; raises NoAnswerError where the function would sleep too long."""
        acquirer = simulated.SimulatedAcquirer(
            function.removesuffix(CONNECTOR), dynamodb=_Tables(self._tables), sleep=_do_not_sleep
        )
        with self._one_at_a_time:
            return json.dumps(simulated.answer(acquirer, json.loads(payload))).encode()

    def payments(self) -> dict[str, Any]:
        """Return what it knows of each payment, by the name of the charge."""
        items = [item for table in self._tables.values() for item in table.values()]
        found = [json.loads(item["payment"]["S"]) for item in items]
        return {f"ch_{each['charge'].replace('-', '')}": each for each in found}

    def forget(self) -> None:
        """Begin again with nothing."""
        self._tables.clear()


class PocketCloud:
    """Give ``client`` to whatever asks for boto3's."""

    def __init__(self, endpoint: str, acquirer: Acquirer) -> None:
        self._endpoint = endpoint
        self.acquirer = acquirer
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}
        self.queues: dict[str, list[str]] = {}
        self.documents: dict[str, bytes] = {}
        self.network: deque[Network] = deque()
        """What happens to the next invocations; afterwards all goes well."""
        self.invocations = 0
        self._clients: dict[str, Any] = {
            "dynamodb": _Tables(self.tables),
            "sqs": _Queues(self.queues),
            "lambda": _Functions(self),
        }

    def client(self, service: str, **given: Any) -> Any:
        """Return a client: of this cloud, or for secrets, which are read once, the real one."""
        if service in self._clients:
            return self._clients[service]
        made = _real_client(service, **{**given, "endpoint_url": self._endpoint})
        return _Documents(self.documents, made) if service == "s3" else made

    def take(self, queue: str) -> list[str]:
        """Take every message off the queue of one name, such as ``charges``."""
        found: list[str] = []
        for url, bodies in self.queues.items():
            if url.endswith(f"-{queue}"):
                found += bodies
                bodies.clear()
        return found

    def forget(self) -> None:
        """Begin again with nothing."""
        self.network.clear()
        self.acquirer.forget()
        for table in self.tables.values():
            table.clear()
        for queue in self.queues.values():
            queue.clear()


class _Client:
    """What every client has."""

    def close(self) -> None:
        """Have nothing to close."""


class _Tables(_Client):
    """As much of DynamoDB as the idempotency front and the simulated acquirer use."""

    class exceptions:  # noqa: N801 - boto3's name
        ConditionalCheckFailedException = ClientError

    def __init__(self, tables: dict[str, dict[str, dict[str, Any]]]) -> None:
        self._tables = tables

    def _table(self, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return self._tables.setdefault(given["TableName"], {})

    def get_item(self, **given: Any) -> dict[str, Any]:
        item = self._table(given).get(given["Key"]["id"]["S"])
        return {"Item": item} if item else {}

    def put_item(self, **given: Any) -> None:
        table, item = self._table(given), given["Item"]
        kept = table.get(item["id"]["S"])
        if kept is not None and not _may_replace(kept, given["ExpressionAttributeValues"]):
            raise ClientError(
                {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": kept},  # type: ignore[typeddict-unknown-key]  # what botocore gives where the old item is asked for
                "PutItem",
            )
        table[item["id"]["S"]] = item

    def update_item(self, **given: Any) -> None:
        """Set attributes, as in ``SET #a = :a, #b = :b``."""
        item = self._table(given).setdefault(given["Key"]["id"]["S"], dict(given["Key"]))
        for assignment in given["UpdateExpression"].removeprefix("SET ").split(", "):
            name, _, value = assignment.partition(" = ")
            attribute = given["ExpressionAttributeNames"][name]
            item[attribute] = given["ExpressionAttributeValues"][value]

    def delete_item(self, **given: Any) -> None:
        self._table(given).pop(given["Key"]["id"]["S"], None)

    def query(self, **given: Any) -> dict[str, Any]:
        """Return what is due: the only question that is asked of an index."""
        name = given["IndexName"].removeprefix("due_by_")
        values = {key: value["S"] for key, value in given["ExpressionAttributeValues"].items()}
        due = [
            item
            for item in self._table(given).values()
            if item.get(name, {}).get("S") == values[f":{name}"]
            and "due" in item
            and item["due"]["S"] <= values[":at"]
        ]
        due.sort(key=lambda item: item["due"]["S"])
        return {"Items": due[: given["Limit"]]}


def _may_replace(kept: dict[str, Any], values: dict[str, Any]) -> bool:
    """Evaluate the two conditions in use: the acquirer's on a version, the front's on its age."""
    if ":version" in values:
        return bool(kept["version"] == values[":version"])
    aged = int(kept.get("in_progress_expiration", {"N": "0"})["N"])
    return bool(kept["status"]["S"] == "INPROGRESS" and aged < int(values[":now_in_millis"]["N"]))


class _Queues(_Client):
    """As much of SQS as promises and the settlement run use; being woken is nothing here."""

    def __init__(self, queues: dict[str, list[str]]) -> None:
        self._queues = queues

    def create_queue(self, **given: Any) -> dict[str, str]:
        return {"QueueUrl": given["QueueName"]}

    def get_queue_attributes(self, **given: Any) -> dict[str, Any]:
        return {"Attributes": {"QueueArn": given["QueueUrl"]}}

    def send_message_batch(self, **given: Any) -> dict[str, Any]:
        queue = self._queues.setdefault(given["QueueUrl"], [])
        queue.extend(entry["MessageBody"] for entry in given["Entries"])
        return {}

    def send_message(self, **_: Any) -> None:
        """Wake nobody: whoever publishes does so when told to."""


class _Documents(_Client):
    """As much of S3 as reports use; what else is in the bucket is in the real one."""

    def __init__(self, documents: dict[str, bytes], real: Any) -> None:
        self._documents = documents
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def put_object(self, **given: Any) -> Any:
        if not given["Key"].startswith(REPORTS):
            return self._real.put_object(**given)
        self._documents[given["Key"]] = given["Body"]
        return {}

    def get_object(self, **given: Any) -> Any:
        if not given["Key"].startswith(REPORTS):
            return self._real.get_object(**given)
        content = self._documents[given["Key"]]
        return {"Body": io.BytesIO(content), "ContentLength": len(content)}

    def generate_presigned_url(self, _: str, **given: Any) -> str:
        return f"https://documents.example/{given['Params']['Key']}"


class _Functions(_Client):
    """As much of Lambda as asking a connector uses."""

    def __init__(self, cloud: PocketCloud) -> None:
        self._cloud = cloud

    def invoke(self, **given: Any) -> dict[str, Any]:
        self._cloud.invocations += 1
        fate = self._cloud.network.popleft() if self._cloud.network else "ok"
        if fate == "lose_request":
            raise NoAnswerError
        said = self._cloud.acquirer.invoke(given["FunctionName"], given["Payload"])
        if fate == "lose_answer":
            raise NoAnswerError
        return {"Payload": io.BytesIO(said)}


def _do_not_sleep(seconds: float) -> None:
    """Wait no longer than whoever invoked the function would."""
    if seconds > simulated.SLOW_SECONDS:
        raise NoAnswerError
