"""What each need costs in rights: exact actions on exact resources, and the environment.

One need is one function here. Nothing is granted by a convenience method of CDK, because those
grant more than is used (``grant_read_write_data`` includes Scan and the stream).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam

from ivy.needs import Need

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_secretsmanager as secretsmanager
    from aws_cdk import aws_sqs as sqs

DATABASE_ROLES = ("app", "jobs", "settle", "read")
"""The roles that migrations create, each with its own secret. ``owner`` runs the migrations."""

ACQUIRER_INDEXES = {"account": "due_by_account", "mailbox": "due_by_mailbox"}
"""The indexes of the simulated acquirer on what is due, by the attribute they start with."""

QUEUE_SUFFIX = "_queue"


class NeedError(RuntimeError):
    """A function needs something that no declaration provides; the message names both."""


@dataclass(frozen=True, kw_only=True)
class Shared:
    """The resources that functions share, as the data stack made them.

    Attributes:
        table: The DynamoDB front of idempotency.
        acquirer_table: The payments of the simulated acquirer.
        webhook_table: The secrets of webhook endpoints, encrypted with ``webhook_key``.
        webhook_key: Encrypts those and nothing else.
        queues: Queues by the name their consumer declares.
        documents: Files that come and go.
        connectors: Functions that stand for an acquirer, by the acquirer's name.
        secrets: ``owner``, those of ``DATABASE_ROLES`` and ``access``; ``stripe`` if switched on.
        key: The key that encrypts the secrets, where there is one.
        database_host: Address of RDS Proxy, where there is one.
    """

    table: dynamodb.ITable
    acquirer_table: dynamodb.ITable
    webhook_table: dynamodb.ITable
    webhook_key: kms.IKey
    queues: Mapping[str, sqs.IQueue]
    connectors: Mapping[str, str]
    documents: s3.IBucket
    secrets: Mapping[str, secretsmanager.ISecret]
    key: kms.IKey | None = None
    database_host: str | None = None


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a function gets for a need.

    Attributes:
        statements: Rights for its role.
        environment: Variables that ``ivy.settings`` reads.
        database: Whether it must reach Postgres, and so lives in the private network on AWS.
        layers: What it carries besides the layers of every function.
    """

    statements: tuple[iam.PolicyStatement, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    database: bool = False
    layers: tuple[str, ...] = ()


def granted(need: Need, shared: Shared) -> Grant:
    """Return what one need grants.

    Raises:
        NeedError: it is a queue that nothing consumes, connectors where there are none, or
            something that is switched off.
    """
    if (known := _GRANTS.get(need)) is not None:
        return known(shared)
    if need.endswith(QUEUE_SUFFIX):
        return _queue(shared, need)
    raise NeedError(f"infra/needs.py does not say what {need!r} grants")


def all_granted(needs: tuple[Need, ...], shared: Shared) -> Grant:
    """Return what several needs grant together.

    Raises:
        NeedError: two of them want a variable to differ, as two roles of the database would.
    """
    grants = [granted(need, shared) for need in needs]
    variables = {pair for grant in grants for pair in grant.environment.items()}
    names = sorted(name for name, _ in variables)
    if len(names) != len(set(names)):
        raise NeedError(f"{', '.join(needs)} cannot be needed together: {names}")
    return Grant(
        statements=tuple(statement for grant in grants for statement in grant.statements),
        environment={k: v for grant in grants for k, v in grant.environment.items()},
        database=any(grant.database for grant in grants),
        layers=tuple(layer for grant in grants for layer in grant.layers),
    )


def _database(shared: Shared, role: str) -> Grant:
    host = {"IVY_DATABASE_HOST": shared.database_host} if shared.database_host else {}
    secret = _secret(shared, "IVY_DATABASE_SECRET", (role,))
    return Grant(
        statements=secret.statements, environment={**secret.environment, **host}, database=True
    )


def _owner(shared: Shared) -> Grant:
    """Migrations set the passwords of the other roles, so they read those secrets too."""
    roles = {f"ivy_{role}": shared.secrets[role] for role in DATABASE_ROLES}
    own = _secret(shared, "IVY_DATABASE_SECRET", ("owner", *DATABASE_ROLES))
    stack = Stack.of(shared.secrets["owner"])
    named = stack.to_json_string({role: secret.secret_arn for role, secret in roles.items()})
    return Grant(
        statements=own.statements,
        environment={**own.environment, "IVY_ROLE_SECRETS": named},
        database=True,
    )


def _secret(shared: Shared, variable: str, names: tuple[str, ...]) -> Grant:
    """Read secrets; the variable names the first."""
    arns = [shared.secrets[each].secret_arn for each in names]
    statements = [iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=arns)]
    if shared.key is not None:
        service = f"secretsmanager.{Stack.of(shared.key).region}.amazonaws.com"
        statements.append(
            iam.PolicyStatement(
                actions=["kms:Decrypt"],
                resources=[shared.key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": service}},
            )
        )
    return Grant(statements=tuple(statements), environment={variable: arns[0]})


def _table(shared: Shared) -> Grant:
    actions = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    return Grant(
        statements=(iam.PolicyStatement(actions=actions, resources=[shared.table.table_arn]),),
        environment={"IVY_IDEMPOTENCY_TABLE": shared.table.table_name},
    )


def _queue(shared: Shared, need: Need) -> Grant:
    name = need.removesuffix(QUEUE_SUFFIX)
    queue = shared.queues.get(name)
    if queue is None:
        raise NeedError(
            f"{need} is needed, but no function is declared @consumer({name!r}): "
            f"queues exist because something consumes them ({sorted(shared.queues)} do)"
        )
    return Grant(
        statements=(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[queue.queue_arn]),),
        environment={f"IVY_{need.upper()}_URL": queue.queue_url},
    )


def _connectors(shared: Shared) -> Grant:
    """Invoke each connector, by its name, which never changes: nothing is imported."""
    if not shared.connectors:
        raise NeedError("connectors are needed, but no function is declared @connector(…)")
    stack = Stack.of(shared.table)
    arns = [
        stack.format_arn(
            service="lambda",
            resource="function",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        for name in shared.connectors.values()
    ]
    return Grant(
        statements=(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=arns),),
        environment={"IVY_CONNECTORS": json.dumps(dict(shared.connectors))},
    )


def _acquirer_table(shared: Shared) -> Grant:
    arn, name = shared.acquirer_table.table_arn, shared.acquirer_table.table_name
    indexes = [f"{arn}/index/{index}" for index in ACQUIRER_INDEXES.values()]
    return Grant(
        statements=(
            iam.PolicyStatement(actions=["dynamodb:GetItem", "dynamodb:PutItem"], resources=[arn]),
            iam.PolicyStatement(actions=["dynamodb:Query"], resources=indexes),
        ),
        environment={"IVY_ACQUIRER_TABLE": name},
    )


def _webhook_secrets(shared: Shared, *, items: tuple[str, ...], crypt: str) -> Grant:
    """Touch the items of the table and encrypt or decrypt what is bound to an endpoint."""
    return Grant(
        statements=(
            iam.PolicyStatement(
                actions=[f"dynamodb:{action}" for action in items],
                resources=[shared.webhook_table.table_arn],
            ),
            iam.PolicyStatement(
                actions=[crypt],
                resources=[shared.webhook_key.key_arn],
                conditions={
                    "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "endpoint"},
                },
            ),
        ),
        environment={
            "IVY_WEBHOOK_SECRETS_TABLE": shared.webhook_table.table_name,
            "IVY_WEBHOOK_KEY": shared.webhook_key.key_arn,
        },
    )


def _documents(
    shared: Shared, *, listed: tuple[str, ...] = (), objects: Mapping[str, tuple[str, ...]]
) -> Grant:
    """List some prefixes of the bucket, and do some things to the objects of others."""
    arn = shared.documents.bucket_arn
    statements = [
        iam.PolicyStatement(
            actions=[f"s3:{action}"], resources=[f"{arn}/{prefix}*" for prefix in prefixes]
        )
        for action, prefixes in objects.items()
    ]
    if listed:
        statements.append(
            iam.PolicyStatement(
                actions=["s3:ListBucket"],
                resources=[arn],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in listed]}},
            )
        )
    return Grant(
        statements=tuple(statements),
        environment={"IVY_DOCUMENTS_BUCKET": shared.documents.bucket_name},
    )


def _stripe(shared: Shared) -> Grant:
    if "stripe" not in shared.secrets:
        raise NeedError(f"{Need.STRIPE} is needed, but switched off: --context stripe=true")
    return replace(_secret(shared, "IVY_STRIPE_SECRET", ("stripe",)), layers=("stripe",))


_GRANTS: Mapping[Need, Callable[[Shared], Grant]] = {
    Need.DATABASE: partial(_database, role="app"),
    Need.DATABASE_JOBS: partial(_database, role="jobs"),
    Need.DATABASE_SETTLE: partial(_database, role="settle"),
    Need.DATABASE_OWNER: _owner,
    Need.ACCESS_SECRET: partial(_secret, variable="IVY_ACCESS_SECRET", names=("access",)),
    Need.IDEMPOTENCY_TABLE: _table,
    Need.CONNECTORS: _connectors,
    Need.ACQUIRER_TABLE: _acquirer_table,
    Need.WEBHOOK_SECRETS_WRITE: partial(
        _webhook_secrets, items=("GetItem", "PutItem", "DeleteItem"), crypt="kms:Encrypt"
    ),
    Need.WEBHOOK_SECRETS_READ: partial(_webhook_secrets, items=("GetItem",), crypt="kms:Decrypt"),
    Need.BANK_OUT_WRITE: partial(_documents, objects={"PutObject": ("bank/out/",)}),
    Need.BANK_IN_READ: partial(
        _documents,
        listed=("bank/in/",),
        objects={
            "GetObject": ("bank/in/",),
            "DeleteObject": ("bank/in/",),
            "PutObject": ("bank/archive/",),
        },
    ),
    Need.SIMULATED_BANK: partial(
        _documents,
        listed=("bank/out/test/", "bank/simulated/"),
        objects={
            "GetObject": ("bank/out/test/", "bank/simulated/"),
            "PutObject": ("bank/in/test/", "bank/simulated/"),
            "DeleteObject": ("bank/simulated/",),
        },
    ),
    Need.SIMULATED_BANK_LIST: partial(
        _documents, listed=("bank/out/test/", "bank/in/test/", "bank/simulated/"), objects={}
    ),
    Need.SIMULATED_BANK_DUE: partial(_documents, objects={"PutObject": ("bank/simulated/due/",)}),
    Need.REPORTS_WRITE: partial(_documents, objects={"PutObject": ("reports/",)}),
    Need.REPORTS_READ: partial(_documents, objects={"GetObject": ("reports/",)}),
    Need.STRIPE: _stripe,
    Need.REFERENCE: lambda _: Grant(layers=("reference",)),
}
