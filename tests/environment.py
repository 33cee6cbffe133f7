"""One deployment for tests: what is deployed, and the environment each function runs in.

A deployment's secrets, its DynamoDB tables and its queues are in a ``Cloud``, its database is in a
``Store``. Names are its own, so deployments share a cloud without meeting.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import boto3
from psycopg.conninfo import conninfo_to_dict

from ivy import aws, credentials, database, settings, vault
from ivy.needs import Need
from ivy.serve import front
from ivy.serve.declaration import FUNCTION_TIMEOUT_SECONDS, MAX_RECEIVES
from tests.cloud import ACQUIRER, CONNECTOR, REGION, Cloud

if TYPE_CHECKING:
    from tests.conftest import Store

QUEUES = (
    "charges", "refunds", "disputes", "payouts", "clock", "settlements", "settlement_reports",
    "reports", "scheduled_payouts", "test_banking", "events", "webhooks", "delivery_results",
)  # fmt: skip
WEBHOOK_SECRETS = "-webhook-secrets"
ARGON2_MEMORY_KIB = credentials._ARGON2_MEMORY_KIB


class Queues(Mapping[str, str]):
    """The addresses of all queues by their names; each is made when it is first asked for.

    A process forked from this one may make the same again: SQS returns the one there is.
    """

    def __init__(self, make: Callable[[str], str]) -> None:
        self._make = make
        self._made: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in QUEUES:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(QUEUES)

    def __len__(self) -> int:
        return len(QUEUES)


class Environment:
    """One deployment. Use as a context manager: it owns the process's AWS and IVY variables."""

    def __init__(self, cloud: Cloud, store: Store) -> None:
        self.cloud = cloud
        self.store = store
        self.name = f"{store.name}-{uuid.uuid4().hex[:8]}"
        self._overrides: dict[str, str] = {}
        self._entered: dict[str, str] = {}
        self._before = dict(os.environ)
        self._clients: dict[str, Any] = {}
        # Almost every test opens accounts, and none of them is about how hard a hash is to guess.
        credentials._ARGON2_MEMORY_KIB = 8
        self._reach()
        self.queues = Queues(self._make_queue)
        self._make_table(self.name)
        self._make_table(self.name + ACQUIRER, "account", "mailbox")
        self._make_table(self.name + WEBHOOK_SECRETS)
        self.webhook_key = str(self.client("kms").create_key()["KeyMetadata"]["Arn"])
        self.bucket = f"{self.name}-documents".replace("_", "-")
        self.client("s3").create_bucket(Bucket=self.bucket)
        self.client("s3").put_bucket_versioning(
            Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        self.put_secret("stripe", {"test_key": "", "live_key": ""})
        self.put_secret("access", {"pepper": "pepper", "signing_key": "s" * 40})
        for role in ("ivy_app", "ivy_jobs", "ivy_settle", "ivy_owner"):
            self.connect_role(role, store.url(role))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        credentials._ARGON2_MEMORY_KIB = ARGON2_MEMORY_KIB
        os.environ.clear()
        os.environ.update(self._before)

    # -- what is deployed

    def client(self, service: str) -> Any:
        """Return a client of the test's own, past every fault the functions are given."""
        if service not in self._clients:
            make: Any = boto3.client
            self._clients[service] = make(service, endpoint_url=self.cloud.endpoint)
        return self._clients[service]

    def empty_bucket(self) -> None:
        """Remove every document."""
        s3 = self.client("s3")
        while found := s3.list_objects_v2(Bucket=self.bucket).get("Contents"):
            keys = [{"Key": each["Key"]} for each in found]
            s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys})

    def put_secret(self, name: str, value: dict[str, str]) -> None:
        secrets, secret_id = self.client("secretsmanager"), self._secret_id(name)
        text = json.dumps(value)
        try:
            secrets.create_secret(Name=secret_id, SecretString=text)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=secret_id, SecretString=text)
        vault.read.cache_clear()

    def connect_role(self, role: str, url: str) -> None:
        """Say where a database role connects, and with which password."""
        parts = conninfo_to_dict(url)
        names = {"user": "username", "password": "password", "host": "host", "port": "port"}
        secret = {name: str(parts[key]) for key, name in names.items()}
        self.put_secret(role, {**secret, "dbname": str(parts["dbname"])})
        self.forget()

    def _secret_id(self, name: str) -> str:
        return f"{self.name}/{name}"

    def _make_queue(self, queue: str) -> str:
        sqs = self.client("sqs")
        dead = sqs.create_queue(QueueName=f"{self.name}-{queue}-dead")["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": found["Attributes"]["QueueArn"],
            "maxReceiveCount": MAX_RECEIVES,
        }
        made = sqs.create_queue(
            QueueName=f"{self.name}-{queue}",
            Attributes={
                "VisibilityTimeout": str(6 * FUNCTION_TIMEOUT_SECONDS),
                "RedrivePolicy": json.dumps(policy),
            },
        )
        return str(made["QueueUrl"])

    def _make_table(self, name: str, *listed_by: str) -> None:
        """Make a table, and an index on what is due by each of some attributes."""
        indexes = [
            {
                "IndexName": f"due_by_{attribute}",
                "KeySchema": [
                    {"AttributeName": attribute, "KeyType": "HASH"},
                    {"AttributeName": "due", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for attribute in listed_by
        ]
        keys = {"id", *listed_by, *(["due"] if listed_by else [])}
        self.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in sorted(keys)],
            BillingMode="PAY_PER_REQUEST",
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        )

    # -- the environment of a function

    def _reach(self) -> None:
        os.environ.update(
            AWS_ENDPOINT_URL=self.cloud.endpoint,
            AWS_DEFAULT_REGION=REGION,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            POWERTOOLS_METRICS_NAMESPACE="Ivy",
            IVY_TARGET="local",
        )

    def environment(self, needs: tuple[Need, ...]) -> dict[str, str]:
        """Return the variables that ``infra/needs.py`` would give."""
        signing = {
            "IVY_WEBHOOK_SECRETS_TABLE": self.name + WEBHOOK_SECRETS,
            "IVY_WEBHOOK_KEY": self.webhook_key,
        }
        documents = {"IVY_DOCUMENTS_BUCKET": self.bucket}
        given = {
            Need.DATABASE: {"IVY_DATABASE_SECRET": self._secret_id("ivy_app")},
            Need.DATABASE_JOBS: {"IVY_DATABASE_SECRET": self._secret_id("ivy_jobs")},
            Need.DATABASE_SETTLE: {"IVY_DATABASE_SECRET": self._secret_id("ivy_settle")},
            Need.DATABASE_OWNER: {"IVY_DATABASE_SECRET": self._secret_id("ivy_owner")},
            Need.ACCESS_SECRET: {"IVY_ACCESS_SECRET": self._secret_id("access")},
            Need.IDEMPOTENCY_TABLE: {"IVY_IDEMPOTENCY_TABLE": self.name},
            Need.CONNECTORS: {"IVY_CONNECTORS": json.dumps({"simulated": self.name + CONNECTOR})},
            Need.ACQUIRER_TABLE: {"IVY_ACQUIRER_TABLE": self.name + ACQUIRER},
            Need.BANK_OUT_WRITE: documents,
            Need.BANK_IN_READ: documents,
            Need.SIMULATED_BANK: documents,
            Need.SIMULATED_BANK_LIST: documents,
            Need.SIMULATED_BANK_DUE: documents,
            Need.REPORTS_WRITE: documents,
            Need.REPORTS_READ: documents,
            Need.STRIPE: {"IVY_STRIPE_SECRET": self._secret_id("stripe")},
            Need.WEBHOOK_SECRETS_WRITE: signing,
            Need.WEBHOOK_SECRETS_READ: signing,
        }
        for queue in QUEUES:
            if (need := Need(f"{queue}_queue")) in needs:
                given[need] = {f"IVY_{queue.upper()}_QUEUE_URL": self.queues[queue]}
        wanted = {name: value for need in needs for name, value in given.get(need, {}).items()}
        return wanted | self._overrides

    def enter(self, needs: tuple[Need, ...]) -> None:
        """Become the execution environment of a function with these needs.

        What a warm environment keeps is kept as long as it would be the same.
        """
        wanted = self.environment(needs)
        if wanted == self._entered:
            return
        if self._entered.get("IVY_DATABASE_SECRET") != wanted.get("IVY_DATABASE_SECRET"):
            self._hang_up()
        self._leave()
        os.environ.update(wanted)
        self._entered = wanted
        settings.settings.cache_clear()

    def _leave(self) -> None:
        for name in self._entered:
            del os.environ[name]
        self._entered = {}

    def _hang_up(self) -> None:
        if database.database.cache_info().currsize:
            database.database().close()
        database.database.cache_clear()

    def forget(self) -> None:
        """Make the next invocation a cold start: no connection, client or secret is kept."""
        self._hang_up()
        for remembered in (settings.settings, vault.read, aws.client, front._layer):
            remembered.cache_clear()
        self._leave()

    def override(self, **variables: str) -> None:
        """Set exactly these variables for every function from now on, starting cold."""
        self._overrides = variables
        self.forget()

    @contextmanager
    def overriding(self, **variables: str) -> Iterator[None]:
        """Set variables for every function until the block ends; both ends are cold starts."""
        self.override(**variables)
        try:
            yield
        finally:
            self.override()
