"""What sends webhooks to strangers: one queue in, one queue out, one secret at a time, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.webhooks import deliver
from infra.catalogue import Function, read_functions
from ivy.needs import Need
from tests.infra.templates import Assembly, Resource, as_list, statements

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "ivy-webhooks-deliver"


@pytest.fixture
def sender(aws: Assembly) -> Resource:
    return aws.functions()[NAME]


@pytest.fixture
def granted(aws: Assembly, sender: Resource) -> dict[str, dict[str, Any]]:
    """The statement that allows each action; every statement allows."""
    role = aws.role_of(sender)
    assert {each["Effect"] for each in statements(role)} == {"Allow"}
    actions = [action for each in statements(role) for action in as_list(each["Action"])]
    assert len(actions) == len(set(actions))
    return {action: each for each in statements(role) for action in as_list(each["Action"])}


def names(value: Any) -> Iterator[str]:
    """Yield every text in a template's value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from names(each)
    elif isinstance(value, list):
        for each in value:
            yield from names(each)


def pointed(aws: Assembly, statement: dict[str, Any], kind: str) -> set[str]:
    """Return which resources of a kind a statement names, by their logical ids; no others."""
    found = {each.logical_id for each in aws.resources(kind)}
    said: set[str] = set()
    for resource in as_list(statement["Resource"]):
        (named,) = [
            each for each in found if any(each in text for text in names(resource))
        ]  # each is exactly one
        assert "*" not in set(names(resource))
        said.add(named)
    return said


def test_it_declares_no_database_and_no_other_secret() -> None:
    assert set(deliver.handler.needs) == {
        Need.WEBHOOK_SECRETS_READ,
        Need.DELIVERY_RESULTS_QUEUE,
    }
    readers = {
        function.name
        for function in read_functions()
        if Need.WEBHOOK_SECRETS_READ in function.declaration.needs
    }
    assert readers == {"webhooks/deliver"}


def test_it_lies_outside_the_private_network(aws: Assembly, sender: Resource) -> None:
    assert "VpcConfig" not in sender.properties
    databases = [each for each in aws.functions().values() if "VpcConfig" in each.properties]
    assert databases  # which lie inside


def test_it_has_these_rights_and_no_others(granted: dict[str, dict[str, Any]]) -> None:
    assert set(granted) == {
        "dynamodb:GetItem",
        "kms:Decrypt",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:SendMessage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    starred = {action for action, each in granted.items() if "*" in as_list(each["Resource"])}
    assert starred == {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def test_it_reads_items_of_one_table_and_decrypts_what_is_bound_to_an_endpoint(
    aws: Assembly, sender: Resource, granted: dict[str, dict[str, Any]]
) -> None:
    (table,) = pointed(aws, granted["dynamodb:GetItem"], "AWS::DynamoDB::Table")
    assert "Webhook" in table
    (key,) = pointed(aws, granted["kms:Decrypt"], "AWS::KMS::Key")
    assert granted["kms:Decrypt"]["Condition"] == {
        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "endpoint"}
    }
    shared = {
        resource
        for each in aws.functions().values()
        for statement in statements(aws.role_of(each))
        if "secretsmanager:GetSecretValue" in as_list(statement["Action"])
        for resource in names(statement["Resource"])
    }
    assert not shared & {table, key}
    environment = sender.properties["Environment"]["Variables"]
    assert any(table in text for text in names(environment["IVY_WEBHOOK_SECRETS_TABLE"]))
    assert any(key in text for text in names(environment["IVY_WEBHOOK_KEY"]))
    others = {"IVY_DATABASE_SECRET", "IVY_ACCESS_SECRET", "IVY_WEBHOOKS_QUEUE_URL"}
    assert not others & set(environment)


def test_it_takes_from_its_queue_and_tells_one_other(
    aws: Assembly, sender: Resource, granted: dict[str, dict[str, Any]]
) -> None:
    consumed = {
        queue
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
        for queue in pointed(aws, granted[action], "AWS::SQS::Queue")
    }
    queues = {each.logical_id: each.properties for each in aws.resources("AWS::SQS::Queue")}
    (queue,) = consumed
    (told,) = pointed(aws, granted["sqs:SendMessage"], "AWS::SQS::Queue")
    assert queues[queue]["QueueName"] == "ivy-webhooks"
    assert queues[told]["QueueName"] == "ivy-delivery_results"
    feeding = [
        each
        for each in aws.resources("AWS::Lambda::EventSourceMapping")
        if sender.logical_id in set(names(each.properties["FunctionName"]))
    ]
    (mapping,) = feeding
    assert any(queue in text for text in names(mapping.properties["EventSourceArn"]))


def test_nobody_reaches_it_over_http(aws: Assembly, sender: Resource) -> None:
    permitted = [
        each
        for each in aws.resources("AWS::Lambda::Permission", "AWS::Lambda::Url")
        if sender.logical_id in set(names(each.properties))
    ]
    assert permitted == []


def test_the_parallel_consumer_is_this_one_alone(functions: list[Function]) -> None:
    parallel = {each.name for each in functions if getattr(each.declaration, "parallel", False)}
    assert parallel == {"webhooks/deliver"}
