"""Migrations at deploy time: the schema is ready before the first function that needs it.

Jobs without a schedule live in the data stack, which every other stack follows. On AWS a custom
resource runs the migration whenever its SQL changes. Locally ``ivy up`` invokes the same function
itself, because there the secrets get their values after the stack exists.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import CustomResource, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from infra.catalogue import declared
from infra.function import LOG_RETENTION, own_logs
from infra.layers import IVY
from infra.needs import all_granted
from ivy.needs import Need
from ivy.serve.declaration import Job

if TYPE_CHECKING:
    from infra.catalogue import Function
    from infra.data import DataStack
    from infra.function import FunctionFactory
    from infra.target import Target

RUNNER = Path(__file__).parent / "run_migrations.py"
RUNNER_TIMEOUT = Duration.minutes(15)


def add_migrations(
    data: DataStack, target: Target, functions: list[Function], make: FunctionFactory
) -> None:
    """Add the deploy-time jobs, and on AWS what runs those that own the schema."""
    for function, job in declared(functions, Job):
        if job.schedule is not None:
            continue
        made = make.make(function, all_granted(job.needs, data.shared))
        if target.on_aws and Need.DATABASE_OWNER in job.needs:
            _run_on_deploy(data, target, made)


def schema_digest(folder: Path = IVY / "schema") -> str:
    """Hash the migrations: when it changes, a deployment runs them."""
    told = hashlib.sha256()
    for path in sorted(folder.glob("*.sql")):
        told.update(path.name.encode())
        told.update(path.read_bytes())
    return told.hexdigest()


def _run_on_deploy(data: DataStack, target: Target, migrate: lambda_.Function) -> None:
    name = f"{target.prefix}-run-migrations"
    log_group = logs.LogGroup(
        data,
        "RunMigrationsLogs",
        log_group_name=f"/aws/lambda/{name}",
        retention=LOG_RETENTION,
        removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
    )
    invoke = iam.PolicyStatement(
        actions=["lambda:InvokeFunction"], resources=[migrate.function_arn]
    )
    role = iam.Role(
        data,
        "RunMigrationsRole",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description="Invokes the migration and tells CloudFormation how it went",
        inline_policies={"needs": iam.PolicyDocument(statements=[*own_logs(log_group), invoke])},
    )
    runner = lambda_.Function(
        data,
        "RunMigrations",
        function_name=name,
        description="Runs the migrations of a deployment",
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.ARM_64,
        handler="index.handler",
        code=lambda_.Code.from_inline(RUNNER.read_text(encoding="utf-8")),
        role=role.without_policy_updates(),
        log_group=log_group,
        timeout=RUNNER_TIMEOUT,
        environment={"MIGRATE_FUNCTION": migrate.function_name},
    )
    run = CustomResource(
        data,
        "Migrations",
        service_token=runner.function_arn,
        resource_type="Custom::Migrations",
        properties={"SchemaDigest": schema_digest()},
        service_timeout=RUNNER_TIMEOUT,
    )
    run.node.add_dependency(migrate, *data.shared.secrets.values())  # with the cluster's address
    if data.database is not None:
        run.node.add_dependency(data.database)
