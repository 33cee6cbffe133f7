"""cdk-nag over the AWS target, and what is accepted: one resource, one rule, one reason each.

Synthesis fails on any finding that is not accepted here, so the list is the whole truth.
"""

from __future__ import annotations

import json
import re
from itertools import product
from typing import TYPE_CHECKING

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from cdk_nag import AwsSolutionsChecks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_cdk import App
    from constructs import IConstruct

API_LOGS_ROLE = "LogsRole"
DEAD_LETTERS = "DeadLetters"
_PREFIX = re.compile(r"/((?:bank/[a-z/]+|reports)/\*)")


def check(app: App) -> None:
    """Make synthesis fail on findings, except those accepted below."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    everything = app.node.find_all()
    buckets = [_exported(each) for each in everything if isinstance(each, s3.Bucket)]
    for construct in everything:
        for rule, reason in (*_accepted(construct), *_prefixes(construct, buckets)):
            Validations.of(construct).acknowledge(Acknowledgment(id=rule, reason=reason))


def _accepted(construct: IConstruct) -> Iterator[tuple[str, str]]:
    """Yield the rules that one resource may break, each with why."""
    path = construct.node.path
    if isinstance(construct, iam.CfnRole):
        yield "AwsSolutions-IAM5[Resource::*]", _star(path)
    elif isinstance(construct, lambda_.CfnFunction):
        yield "AwsSolutions-L1", "The layers are built for 3.13; infra/target.py moves both at once"
    elif isinstance(construct, secretsmanager.CfnSecret):
        yield "AwsSolutions-SMG4", "Rotated by docs/runbooks/rotate-secrets.md, without an outage"
    elif isinstance(construct, sqs.CfnQueue) and DEAD_LETTERS in path:
        yield "AwsSolutions-SQS3", "This is the dead-letter queue"
    elif isinstance(construct, s3.CfnBucket):
        yield (
            "AwsSolutions-S1",
            "Only functions of this deployment reach it, and each logs what it does",
        )
    elif isinstance(construct, apigateway.CfnRestApi):
        yield "AwsSolutions-APIG2", "Functions validate; all errors of a body in one answer"
    elif isinstance(construct, apigateway.CfnMethod):
        yield "AwsSolutions-COG4", "functions/access/authorize.py guards every route not public"
        if construct.authorization_type == "NONE":
            yield "AwsSolutions-APIG4", "Declared public, and listed so in tests/infra/routes.txt"


def _exported(bucket: s3.Bucket) -> str:
    """Return the name under which other stacks know a bucket."""
    stack = Stack.of(bucket)
    imported: dict[str, str] = stack.resolve(stack.export_value(bucket.bucket_arn))
    return imported["Fn::ImportValue"]


def _prefixes(construct: IConstruct, buckets: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the prefixes of buckets that a role may touch: objects have no other names."""
    if not isinstance(construct, iam.CfnRole):
        return
    allowed = json.dumps(Stack.of(construct).resolve(construct.policies))
    for bucket, found in product(buckets, sorted(set(_PREFIX.findall(allowed)))):
        rule = f"AwsSolutions-IAM5[Resource::{bucket}/{found}]"
        yield rule, "Objects come and go; infra/needs.py names the prefixes, and no more"


def _star(path: str) -> str:
    if path.endswith(f"{API_LOGS_ROLE}/Resource"):
        return "An account-wide setting: API Gateway writes the logs of every API of the region"
    return "X-Ray has no resources; Lambda attaches to the network before there is an interface"
