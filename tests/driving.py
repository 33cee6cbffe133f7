"""Driving the deployed handlers as AWS would: real settings, real events, nothing patched.

A ``Platform`` calls a function's ``handler`` with the environment that the function's needs give
it, and puts the authoriser before every route that is not public.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from functions.access import authorize, register
from functions.api_keys import create as create_api_key
from functions.charges import process as process_charge
from functions.connectors import collect
from functions.disputes import process as process_dispute
from functions.events import publish as publish_events
from functions.events import sweep as sweep_events
from functions.refunds import process as process_refund
from functions.reports import make as make_report
from functions.settlements import itemise, settle
from functions.settlements import run as run_settlement
from functions.webhooks import deliver as deliver_webhook
from functions.webhooks import record as record_delivery
from ivy import ids
from ivy.serve.declaration import Consumer, Job, Route
from tests.cloud import REGION, Cloud
from tests.environment import Environment

if TYPE_CHECKING:
    from tests.conftest import Store

PUBLISHERS = (publish_events.handler, deliver_webhook.handler, record_delivery.handler)
CONSUMERS = (
    process_charge.handler, process_refund.handler, process_dispute.handler, settle.handler,
    itemise.handler, make_report.handler,
)  # fmt: skip
PASSWORD = "four words nobody guesses"
_METHOD_ARN = f"arn:aws:execute-api:{REGION}:000000000000:ivy/api/GET/v1/me"


@dataclass(frozen=True)
class Reply:
    """What a caller received; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return str(self.json()["code"])

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


@dataclass(frozen=True)
class Account:
    """A registered merchant with a secret key."""

    merchant_id: int
    access_token: str
    secret_key: str
    key_id: str


@dataclass
class LambdaContext:
    """What Lambda passes beside the event."""

    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        return 15_000


class Platform(Environment):
    """A deployment whose functions can be invoked."""

    def __init__(self, cloud: Cloud, store: Store) -> None:
        super().__init__(cloud, store)
        self._principals: dict[str, dict[str, str]] = {}
        self._now = ids.now
        self._later = timedelta()

    def __exit__(self, *error: object) -> None:
        ids.now = self._now
        super().__exit__(*error)

    # -- invoking

    def request(
        self,
        route: Route,
        body: Any = None,
        *,
        bearer: str | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        **path: str,
    ) -> Reply:
        """Send a request through the authoriser to a route's handler.

        ``body`` is sent as JSON unless it is already text; ``path`` fills the route's template.
        """
        principal: dict[str, str] = {}
        if not route.public:
            principal = self.principal(bearer or "")
        event = rest_event(
            route, body, principal=principal, headers=headers, query=query, path=path
        )
        self.enter(route.needs)
        return reply(route(event, LambdaContext()))

    def post(
        self, route: Route, account: Account, body: Any = None, *, key: str = "", **path: Any
    ) -> Reply:
        """Send a request with an account's secret key, under a key made up unless given."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return self.request(route, body or {}, bearer=account.secret_key, headers=headers, **path)

    def read(self, route: Route, account: Account, **path: Any) -> Any:
        """Return what a GET answers an account."""
        found = self.request(route, bearer=account.secret_key, **path)
        assert found.status == route.status, found.body
        return found.json()

    def principal(self, bearer: str) -> dict[str, str]:
        """Return the authoriser's context for a credential, cached as the gateway caches it."""
        if bearer not in self._principals:
            self.enter(authorize.handler.needs)
            event = {"authorizationToken": f"Bearer {bearer}", "methodArn": _METHOD_ARN}
            answer = authorize.handler(event, LambdaContext())
            allowed = answer["policyDocument"]["Statement"][0]["Effect"] == "Allow"
            assert allowed, "the authoriser denied the credential"
            self._principals[bearer] = answer["context"]
        return self._principals[bearer]

    def run(self, job: Job) -> dict[str, Any]:
        """Run a scheduled job once."""
        self.enter(job.needs)
        report: dict[str, Any] = job({"id": str(uuid.uuid4())}, LambdaContext())
        return report

    def hand_over(self, consumer: Consumer, *bodies: str) -> list[str]:
        """Hand one batch of messages to a consumer; returns the bodies that it failed on."""
        self.enter(consumer.needs)
        answer = consumer(sqs_event(dict(enumerate(bodies))), LambdaContext())
        return [bodies[int(item["itemIdentifier"])] for item in answer["batchItemFailures"]]

    # -- the platform's own work

    def deliver(
        self, consumer: Consumer, work: Callable[[dict[str, Any]], Any] | None = None
    ) -> int:
        """Take one batch off a queue, hand it over, delete what succeeded; returns its size.

        ``work`` stands in for the invocation; when it returns None the consumer has died, and
        the whole batch becomes visible again.
        """
        sqs, url = self.client("sqs"), self.queues[consumer.queue]
        messages = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=consumer.batch_size, WaitTimeSeconds=0
        ).get("Messages", [])
        if not messages:
            return 0
        event = sqs_event({m["MessageId"]: m["Body"] for m in messages})
        self.enter(consumer.needs)
        answer = work(event) if work else consumer(event, LambdaContext())
        failed = {m["MessageId"] for m in messages}
        if answer is not None:
            failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for message in messages:
            handle = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
            if message["MessageId"] in failed:
                sqs.change_message_visibility(VisibilityTimeout=0, **handle)
            else:
                sqs.delete_message(**handle)
        return len(messages)

    def drain(self, *consumers: Consumer) -> None:
        """Deliver until the queues are empty; what keeps failing ends in the dead-letter queue."""
        while sum([self.deliver(consumer) for consumer in consumers or CONSUMERS]):
            pass

    def hear(self) -> dict[str, Any]:
        """Hear what the acquirers did by themselves, and let what follows from it be done."""
        report = self.run(collect.handler)
        self.drain()
        return report

    def settle(self) -> dict[str, Any]:
        """Settle every day that has come, as the schedule does."""
        report = self.run(run_settlement.handler)
        self.drain(settle.handler, itemise.handler)
        return report

    def publish(self) -> dict[str, Any]:
        """Publish as the schedule does, deliver webhooks, and record what came of them."""
        report = self.run(sweep_events.handler)
        self.drain(*PUBLISHERS)
        return report

    def messages(self, queue: str = "charges", *, dead: bool = False) -> list[str]:
        """Return the bodies in a queue, or in its dead-letter queue, and leave them there."""
        sqs, url = self.client("sqs"), self.queues[queue] + ("-dead" if dead else "")
        found: list[dict[str, str]] = []
        while batch := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            found += batch
        for message in found:
            sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return [message["Body"] for message in found]

    def send(self, *bodies: str, queue: str = "charges") -> None:
        """Put messages on a queue."""
        for body in bodies:
            self.client("sqs").send_message(QueueUrl=self.queues[queue], MessageBody=body)

    def lose_messages(self, queue: str = "charges") -> None:
        """Let a queue forget what is in it."""
        sqs, url = self.client("sqs"), self.queues[queue]
        while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def records(self) -> list[dict[str, Any]]:
        """Return every item of the idempotency table."""
        items: list[dict[str, Any]] = self.client("dynamodb").scan(TableName=self.name)["Items"]
        return items

    def empty_table(self) -> None:
        for item in self.records():
            self.client("dynamodb").delete_item(TableName=self.name, Key={"id": item["id"]})

    def pass_in_progress_window(self) -> None:
        """Age every record of an unfinished request past the time it holds others off."""
        for item in self.records():
            if item["status"]["S"] == "INPROGRESS":
                item["in_progress_expiration"] = {"N": "0"}
                self.client("dynamodb").put_item(TableName=self.name, Item=item)

    def pass_time(self, **duration: float) -> None:
        """Let time pass for the functions and, through them, for the acquirer.

        The database keeps its own: ``make_overdue`` is for what waits there.
        """
        self._later += timedelta(**duration)
        ids.now = lambda: self._now() + self._later

    def make_overdue(self) -> None:
        """Let the time pass after which promised work and deliveries are sent again."""
        with self.store.superuser() as connection:
            connection.execute("UPDATE outbox SET next_send_at = now()")
            connection.execute(
                "UPDATE deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL"
            )

    # -- people

    def open_account(self, email: str = "ada@example.com", country: str = "US") -> Account:
        """Register a merchant and make it a secret test key."""
        person = {"email": email, "password": PASSWORD, "business_name": email, "country": country}
        registered = self.request(register.handler, person)
        assert registered.status == register.handler.status, registered.body
        token = registered.json()["access_token"]
        made = self.request(create_api_key.handler, {"name": "test"}, bearer=token)
        assert made.status == create_api_key.handler.status, made.body
        secret = made.json()["secret"]
        merchant_id = int(self.principal(secret)["merchant_id"])
        return Account(merchant_id, token, secret, made.json()["id"])


def reply(answer: dict[str, Any]) -> Reply:
    """Read what a handler gives to the gateway."""
    several = {name: values[-1] for name, values in answer.get("multiValueHeaders", {}).items()}
    headers = {**several, **answer.get("headers", {})}
    assert not answer["isBase64Encoded"]
    return Reply(
        answer["statusCode"],
        {name.lower(): value for name, value in headers.items()},
        answer["body"].encode(),
    )


def rest_event(
    route: Route,
    body: Any = None,
    *,
    principal: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    path: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the event that a REST API hands to a proxy integration."""
    where = route.path.format(**(path or {}))
    sent = {"Host": "localhost:8000", **(headers or {})}
    if body is not None and "content-type" not in {name.lower() for name in sent}:
        sent["Content-Type"] = "application/json"
    return {
        "resource": route.path,
        "path": where,
        "httpMethod": route.method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": query and {n: [v] for n, v in query.items()},
        "pathParameters": path or None,
        "stageVariables": None,
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "path": f"/api{where}",
            "stage": "api",
            "authorizer": principal or {},
            "identity": {"sourceIp": "127.0.0.1"},
            "httpMethod": route.method,
            "resourcePath": route.path,
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }


def sqs_event(bodies: dict[Any, str]) -> dict[str, Any]:
    """Return the event of one batch, from message id to body."""
    return {
        "Records": [
            {
                "messageId": str(message_id),
                "receiptHandle": str(message_id),
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:charges",
                "awsRegion": REGION,
            }
            for message_id, body in bodies.items()
        ]
    }
