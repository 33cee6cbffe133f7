"""Everything that keeps state: Aurora, tables, queues, secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, SecretValue, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from infra.catalogue import declared
from infra.needs import ACQUIRER_INDEXES, DATABASE_ROLES, Shared
from ivy.serve.declaration import ConnectorFunction, Consumer

if TYPE_CHECKING:
    from constructs import Construct

    from infra.catalogue import Function
    from infra.database import Database
    from infra.network import Network
    from infra.target import Target

DEAD_LETTER_RETENTION = Duration.days(14)
KEPT_VERSIONS = Duration.days(365)
GENERATED_CHARACTERS = 64
"""About 380 bits of letters and digits: enough for a password, a pepper or a signing key."""


class DataStack(Stack):
    """What must survive every other stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        target: Target,
        functions: list[Function],
        network: Network | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        self._target = target
        self._kept = (
            RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if target.on_aws else RemovalPolicy.DESTROY
        )
        key = self._key("Key", "data", "Aurora and the secrets") if target.on_aws else None
        secrets = self._secrets(key)
        self.dead_letters: dict[str, sqs.Queue] = {}
        queues = {
            consumer.queue: self._queue(consumer) for _, consumer in declared(functions, Consumer)
        }
        self.database: Database | None = None
        if network is not None and key is not None:
            from infra.database import Database  # noqa: PLC0415 - slow, and only for AWS

            self.database = Database(
                self, "Database", target=target, network=network, secrets=secrets, key=key
            )
        self.shared = Shared(
            table=self._table("idempotency", time_to_live_attribute="expiration"),
            acquirer_table=self._acquirer_table(),
            webhook_table=self._table("webhook-secrets"),
            webhook_key=self._key("WebhookKey", "webhooks", "the secrets of webhook endpoints"),
            documents=self._documents(),
            queues=queues,
            connectors={
                connector.acquirer: function.physical_name(target.prefix)
                for function, connector in declared(functions, ConnectorFunction)
            },
            secrets=secrets,
            key=key,
            database_host=self.database.proxy_host if self.database else None,
        )
        self._export()

    def _export(self) -> None:
        """Export what other stacks may import, whether or not a function does today.

        An export that went away with its last importer would block the very deployment that
        removes that importer, because this stack is updated first.
        """
        shared = self.shared
        for name, secret in shared.secrets.items():
            if name not in ("owner", "read"):
                self.export_value(secret.secret_arn)
        for queue in shared.queues.values():
            self.export_value(queue.queue_arn)
            self.export_value(queue.queue_url)
        for table in (shared.table, shared.acquirer_table, shared.webhook_table):
            self.export_value(table.table_arn)
            self.export_value(table.table_name)
        self.export_value(shared.documents.bucket_arn)
        self.export_value(shared.documents.bucket_name)
        self.export_value(shared.webhook_key.key_arn)
        if shared.key is not None:
            self.export_value(shared.key.key_arn)

    def _key(self, construct_id: str, name: str, encrypts: str) -> kms.Key:
        return kms.Key(
            self,
            construct_id,
            alias=f"{self._target.prefix}/{name}",
            description=f"Encrypts {encrypts}",
            enable_key_rotation=True,
            removal_policy=self._kept,
        )

    def _secrets(self, key: kms.Key | None) -> dict[str, secretsmanager.ISecret]:
        """Generated, so that no value is ever typed, stored in a template, or shared by roles."""
        secrets: dict[str, secretsmanager.ISecret] = {}
        for role in ("owner", *DATABASE_ROLES):
            secrets[role] = self._secret(
                f"database/{role}", {"username": f"ivy_{role}"}, "password", key
            )
        # Secrets Manager generates one value a secret: the second comes from a secret of its own.
        signing = self._secret("access/signing", {}, "signing_key", key)
        copied = signing.secret_value_from_json("signing_key").unsafe_unwrap()  # a reference
        secrets["access"] = self._secret("access", {"signing_key": copied}, "pepper", key)
        if self._target.stripe:
            secrets["stripe"] = self._stripe_secret(key)
        return secrets

    def _stripe_secret(self, key: kms.Key | None) -> secretsmanager.Secret:
        """Make a place for Stripe's keys, which somebody fills: see docs/connectors.md.

        What it holds at first must never change: a deployment that finds another text here would
        put that into the secret, over the keys.
        """
        return secretsmanager.Secret(
            self,
            "StripeSecret",
            secret_name=f"{self._target.prefix}/stripe",
            encryption_key=key,
            removal_policy=self._kept,
            secret_string_value=SecretValue.unsafe_plain_text('{"test_key": "", "live_key": ""}'),
        )

    def _secret(
        self, name: str, fixed: dict[str, str], generated: str, key: kms.Key | None
    ) -> secretsmanager.Secret:
        """Make a secret: a JSON object of fixed values and one generated one."""
        return secretsmanager.Secret(
            self,
            f"{name.title().replace('/', '')}Secret",
            secret_name=f"{self._target.prefix}/{name}",
            encryption_key=key,
            removal_policy=self._kept,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps(fixed),
                generate_string_key=generated,
                password_length=GENERATED_CHARACTERS,
                exclude_punctuation=True,
            ),
        )

    def _acquirer_table(self) -> dynamodb.Table:
        """Make the simulated acquirer's table; only items with something due are in an index."""
        table = self._table("acquirer")
        for attribute, index in ACQUIRER_INDEXES.items():
            table.add_global_secondary_index(
                index_name=index,
                partition_key=_text(attribute),
                sort_key=_text("due"),
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        return table

    def _table(self, name: str, **more: Any) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name.title().replace("-", ""),
            table_name=f"{self._target.prefix}-{name}",
            partition_key=_text("id"),
            **more,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=self._kept,
        )

    def _documents(self) -> s3.Bucket:
        """Make the bucket of files that come and go; what is replaced or removed stays for a year.

        Its key is S3's own: what reads and writes here then needs rights to objects only, and the
        prefixes in ``infra/needs.py`` are all of them.
        """
        return s3.Bucket(
            self,
            "Documents",
            bucket_name=None if self._target.on_aws else f"{self._target.prefix}-documents",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=self._target.on_aws,
            versioned=True,
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=KEPT_VERSIONS)],
            removal_policy=self._kept,
        )

    def _queue(self, consumer: Consumer) -> sqs.Queue:
        """Make a consumer's queue and the queue for what it could not do."""
        name = consumer.queue
        dead = sqs.Queue(
            self,
            f"{name.title()}DeadLetters",
            queue_name=f"{self._target.prefix}-{name}-dead-letters",
            retention_period=DEAD_LETTER_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=self._target.on_aws,
        )
        self.dead_letters[name] = dead
        queue = sqs.Queue(
            self,
            f"{name.title()}Queue",
            queue_name=f"{self._target.prefix}-{name}",
            visibility_timeout=Duration.seconds(consumer.visibility_timeout_seconds),
            retention_period=DEAD_LETTER_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=self._target.on_aws,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=dead, max_receive_count=consumer.max_receives
            ),
        )
        CfnOutput(self, f"{name.title().replace('_', '')}QueueUrl", value=queue.queue_url)
        return queue


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
