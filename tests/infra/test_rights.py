"""Every function has a role of its own with exactly what its needs say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from infra.catalogue import declared, read_functions
from ivy.needs import Need
from ivy.serve.declaration import ConnectorFunction, Consumer, Job
from tests.infra.templates import REPOSITORY, Assembly, Resource, as_list, statements

if TYPE_CHECKING:
    from infra.catalogue import Function

OWN_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
SECRET = {"secretsmanager:GetSecretValue"}
SEND = {"sqs:SendMessage"}
EXPECTED = {
    Need.DATABASE: SECRET,
    Need.DATABASE_JOBS: SECRET,
    Need.DATABASE_SETTLE: SECRET,
    Need.DATABASE_OWNER: SECRET,
    Need.ACCESS_SECRET: SECRET,
    Need.IDEMPOTENCY_TABLE: {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"},
    Need.CHARGES_QUEUE: SEND,
    Need.REFUNDS_QUEUE: SEND,
    Need.DISPUTES_QUEUE: SEND,
    Need.PAYOUTS_QUEUE: SEND,
    Need.CLOCK_QUEUE: SEND,
    Need.SETTLEMENTS_QUEUE: SEND,
    Need.SETTLEMENT_REPORTS_QUEUE: SEND,
    Need.REPORTS_QUEUE: SEND,
    Need.SCHEDULED_PAYOUTS_QUEUE: SEND,
    Need.TEST_BANKING_QUEUE: SEND,
    Need.EVENTS_QUEUE: SEND,
    Need.WEBHOOKS_QUEUE: SEND,
    Need.DELIVERY_RESULTS_QUEUE: SEND,
    Need.WEBHOOK_SECRETS_WRITE: {
        *("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"),
        "kms:Encrypt",
    },
    Need.WEBHOOK_SECRETS_READ: {"dynamodb:GetItem", "kms:Decrypt"},
    Need.CONNECTORS: {"lambda:InvokeFunction"},
    Need.ACQUIRER_TABLE: {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
    Need.BANK_OUT_WRITE: {"s3:PutObject"},
    Need.BANK_IN_READ: {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
    Need.REPORTS_WRITE: {"s3:PutObject"},
    Need.REPORTS_READ: {"s3:GetObject"},
    Need.SIMULATED_BANK: {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"},
    Need.SIMULATED_BANK_LIST: {"s3:ListBucket"},
    Need.SIMULATED_BANK_DUE: {"s3:PutObject"},
    Need.STRIPE: SECRET,
    Need.REFERENCE: set(),
}
DATABASE_NEEDS = {
    Need.DATABASE, Need.DATABASE_JOBS, Need.DATABASE_SETTLE, Need.DATABASE_OWNER,
}  # fmt: skip
STAR_ACTIONS = re.compile(r"^(xray:Put\w+|ec2:\w+)$")


def allowed(role: Resource) -> set[str]:
    return {
        action
        for statement in statements(role)
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


def expected(function: Function) -> set[str]:
    actions = set(OWN_LOGS).union(*(EXPECTED[need] for need in function.declaration.needs))
    if isinstance(function.declaration, Consumer):
        actions |= {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
    if isinstance(function.declaration, Job) and function.declaration.schedule:
        actions |= SEND  # its dead letters
    return actions


def test_every_need_is_expected_here() -> None:
    assert set(EXPECTED) == set(Need)


def test_every_declaration_is_a_function(assembly: Assembly, functions: list[Function]) -> None:
    declared = {f.physical_name("ivy") for f in functions}
    assert declared <= set(assembly.functions())
    extra = {"ivy-run-migrations", "ivy-connectors-stripe"}
    assert set(assembly.functions()) - declared <= extra


def test_a_role_of_its_own(assembly: Assembly) -> None:
    roles = [assembly.role_of(f).where for f in assembly.functions().values()]
    assert len(roles) == len(set(roles))


def test_exactly_the_actions_of_its_needs(local: Assembly, functions: list[Function]) -> None:
    for function in functions:
        role = local.role_of(local.functions()[function.physical_name("ivy")])
        assert allowed(role) == expected(function), function.name


def test_aws_adds_only_tracing_decryption_and_the_network(
    aws: Assembly, functions: list[Function]
) -> None:
    for function in functions:
        role = aws.role_of(aws.functions()[function.physical_name("ivy")])
        wanted = expected(function) | {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
        needs = set(function.declaration.needs)
        if needs & (DATABASE_NEEDS | {Need.ACCESS_SECRET}):
            wanted.add("kms:Decrypt")
        found = {a for a in allowed(role) if not a.startswith("ec2:")}
        assert found == wanted, function.name
        assert any(a.startswith("ec2:") for a in allowed(role)) == bool(needs & DATABASE_NEEDS)


def test_only_its_own_log_group(assembly: Assembly) -> None:
    groups = {
        (r.stack, r.logical_id): r.properties["LogGroupName"]
        for r in assembly.resources("AWS::Logs::LogGroup")
        if "LogGroupName" in r.properties
    }
    for name, function in assembly.functions().items():
        (writing,) = (
            s
            for s in statements(assembly.role_of(function))
            if OWN_LOGS & set(as_list(s["Action"]))
        )
        (resource,) = as_list(writing["Resource"])
        logical_id = resource["Fn::GetAtt"][0]
        assert groups[function.stack, logical_id] == f"/aws/lambda/{name}"
        assert function.properties["LoggingConfig"]["LogGroup"] == {"Ref": logical_id}


def test_no_managed_and_no_attached_policy(assembly: Assembly) -> None:
    for role in assembly.resources("AWS::IAM::Role"):
        assert not role.properties.get("ManagedPolicyArns"), role.where
    types = {r.type for r in assembly.resources()}
    assert not types & {"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"}


def test_a_star_only_where_aws_has_no_resource_to_name(assembly: Assembly) -> None:
    for role in assembly.resources("AWS::IAM::Role"):
        if role.logical_id.startswith("LogsRole"):
            continue  # API Gateway's account-wide setting
        for statement in statements(role):
            if "*" in as_list(statement["Resource"]):
                wild = [a for a in as_list(statement["Action"]) if not STAR_ACTIONS.match(a)]
                assert not wild, role.where


def test_no_action_is_a_wildcard(assembly: Assembly) -> None:
    for role in assembly.resources("AWS::IAM::Role"):
        wild = [a for s in statements(role) for a in as_list(s["Action"]) if "*" in a]
        assert not wild, role.where


def test_each_star_in_the_source_says_why() -> None:
    stars = [
        (path.name, line.strip())
        for path in sorted((REPOSITORY / "infra").glob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"resources=\[[\"']\*[\"']\]", line)
    ]
    assert stars
    assert [s for s in stars if "# " not in s[1]] == []


def test_the_code_itself_may_not_touch_the_network(aws: Assembly) -> None:
    for name, function in aws.functions().items():
        if "VpcConfig" not in function.properties:
            continue
        denied: list[dict[str, Any]] = [
            s for s in statements(aws.role_of(function)) if s["Effect"] == "Deny"
        ]
        (condition,) = (s["Condition"]["ArnEquals"] for s in denied)
        assert name in str(condition["lambda:SourceFunctionArn"])


@pytest.mark.parametrize("need", sorted(DATABASE_NEEDS))
def test_private_network_exactly_for_the_database(
    aws: Assembly, functions: list[Function], need: Need
) -> None:
    for function in functions:
        made = aws.functions()[function.physical_name("ivy")].properties
        if need in function.declaration.needs:
            assert "VpcConfig" in made, function.name
        if not DATABASE_NEEDS & set(function.declaration.needs):
            assert "VpcConfig" not in made, function.name


def test_only_connectors_are_invoked_and_only_by_those_who_say_so(
    assembly: Assembly, functions: list[Function]
) -> None:
    connectors = {
        function.physical_name("ivy")
        for function, _ in declared(read_functions(), ConnectorFunction)
        if function.physical_name("ivy") in assembly.functions()
    }
    assert connectors
    for function in functions:
        role = assembly.role_of(assembly.functions()[function.physical_name("ivy")])
        invoked = {
            str(resource["Fn::Join"][1][-1] if isinstance(resource, dict) else resource).rpartition(
                ":"
            )[2]
            for statement in statements(role)
            if "lambda:InvokeFunction" in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }
        asks = Need.CONNECTORS in function.declaration.needs
        assert invoked == (connectors if asks else set()), function.name


def test_a_connector_holds_no_ledger_and_its_table_nobody_else(functions: list[Function]) -> None:
    for function in functions:
        needs = set(function.declaration.needs)
        if isinstance(function.declaration, ConnectorFunction):
            assert not needs & (DATABASE_NEEDS | {Need.ACCESS_SECRET}), function.name
        else:
            assert Need.ACQUIRER_TABLE not in needs, function.name


def test_the_acquirers_table_is_read_through_its_indexes(local: Assembly) -> None:
    role = local.role_of(local.functions()["ivy-connectors-simulated"])
    (query,) = (s for s in statements(role) if "dynamodb:Query" in as_list(s["Action"]))
    indexes = {str(resource["Fn::Join"][1][-1]) for resource in as_list(query["Resource"])}
    assert indexes == {"/index/due_by_account", "/index/due_by_mailbox"}
    made = next(
        table.properties["GlobalSecondaryIndexes"]
        for table in local.resources("AWS::DynamoDB::Table")
        if "GlobalSecondaryIndexes" in table.properties
    )
    assert {f"/index/{index['IndexName']}" for index in made} == indexes


def test_documents_only_under_the_prefixes_of_each_need(aws: Assembly) -> None:
    """Who lists, reads, writes and removes where: all of it, on one page."""
    found = {
        name: {
            (action.removeprefix("s3:"), prefix)
            for statement in statements(aws.role_of(function))
            for action in as_list(statement["Action"])
            if action.startswith("s3:")
            for prefix in _prefixes(statement)
        }
        for name, function in aws.functions().items()
    }
    submits = {("PutObject", "bank/out/*")}
    receives = {
        ("ListBucket", "bank/in/*"), ("GetObject", "bank/in/*"), ("DeleteObject", "bank/in/*"),
        ("PutObject", "bank/archive/*"),
    }  # fmt: skip
    answers = {
        ("ListBucket", "bank/out/test/*"), ("ListBucket", "bank/simulated/*"),
        ("GetObject", "bank/out/test/*"), ("GetObject", "bank/simulated/*"),
        ("PutObject", "bank/in/test/*"), ("PutObject", "bank/simulated/*"),
        ("DeleteObject", "bank/simulated/*"),
    }  # fmt: skip
    assert {name: rights for name, rights in found.items() if rights} == {
        "ivy-payouts-submit": submits,
        "ivy-bank-receive": receives,
        "ivy-bank-simulated": answers,
        "ivy-bank-acquirer": {("PutObject", "bank/simulated/due/*")},
        "ivy-test-clock-bank": submits | receives | answers,
        "ivy-test-clock-step": {
            ("ListBucket", "bank/out/test/*"), ("ListBucket", "bank/in/test/*"),
            ("ListBucket", "bank/simulated/*"),
        },
        "ivy-reports-make": {("PutObject", "reports/*")},
        "ivy-reports-content": {("GetObject", "reports/*")},
        "ivy-settlements-itemise": {("PutObject", "reports/*")},
        "ivy-settlements-report": {("GetObject", "reports/*")},
    }  # fmt: skip


def _prefixes(statement: dict[str, Any]) -> list[str]:
    """Return the prefixes of a statement: of its objects, or of what it may list."""
    listed = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
    if listed is not None:
        return as_list(listed)
    return [each["Fn::Join"][1][-1].removeprefix("/") for each in as_list(statement["Resource"])]


def test_the_documents_are_closed(aws: Assembly) -> None:
    bucket = aws.one("AWS::S3::Bucket").properties
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (denied,) = aws.one("AWS::S3::BucketPolicy").properties["PolicyDocument"]["Statement"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (gateway,) = (
        endpoint
        for endpoint in aws.resources("AWS::EC2::VPCEndpoint")
        if endpoint.properties.get("PolicyDocument")
    )
    (allowed_there,) = gateway.properties["PolicyDocument"]["Statement"]
    assert "aws:ResourceAccount" in allowed_there["Condition"]["StringEquals"]
