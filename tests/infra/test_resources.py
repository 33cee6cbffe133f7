"""What the templates promise about time, loss, encryption and size."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ministack.services.cloudformation import provisioners

from ivy.serve.declaration import Consumer, Job, Route
from tests.infra.templates import REPOSITORY, Assembly

if TYPE_CHECKING:
    from infra.catalogue import Function

MOST_RESOURCES = 450
"""CloudFormation refuses 500; the rest is room for the change that splits a stack."""

MOST_OUTPUTS = 190
LONGEST_CACHE_SECONDS = 60
DATABASE_ROLES = ("owner", "app", "jobs", "settle", "read")


def seconds(setting: str) -> int:
    """A setting that migrations give every role, such as ``statement_timeout``."""
    text = "".join(
        path.read_text()
        for path in sorted((REPOSITORY / "layers/ivy/python/ivy/schema").glob("*.sql"))
    )
    (found,) = set(re.findall(rf"SET {setting} = %L', role_name, '(\d+)s'", text))
    return int(found)


def test_log_groups_forget(assembly: Assembly) -> None:
    groups = assembly.resources("AWS::Logs::LogGroup")
    assert groups
    for group in groups:
        assert group.properties["RetentionInDays"] <= 90, group.where


def test_each_limit_is_inside_the_next(assembly: Assembly, functions: list[Function]) -> None:
    gateway = {
        r.properties["Integration"]["TimeoutInMillis"] / 1000
        for r in assembly.resources("AWS::ApiGateway::Method")
    }
    functions_allow = {
        assembly.functions()[f.physical_name("ivy")].properties["Timeout"]
        for f in functions
        if isinstance(f.declaration, Route)
    }
    statement, lock = seconds("statement_timeout"), seconds("lock_timeout")
    assert (gateway, functions_allow, statement, lock) == ({29.0}, {15}, 8, 3)


def test_what_is_written_for_each_request_costs_little(aws: Assembly) -> None:
    """It is as the price of a charge assumes: see ``bench/prices.json``."""
    (access,) = (
        group
        for group in aws.resources("AWS::Logs::LogGroup")
        if group.properties.get("LogGroupName") == "/aws/apigateway/ivy/access"
    )
    assert access.properties["LogGroupClass"] == "INFREQUENT_ACCESS"
    api = aws.one("AWS::ApiGateway::RestApi").properties
    assert api["MinimumCompressionSize"] == 512


def test_authoriser_forgets_within_a_minute(assembly: Assembly) -> None:
    authorizer = assembly.one("AWS::ApiGateway::Authorizer").properties
    assert 0 < authorizer["AuthorizerResultTtlInSeconds"] <= LONGEST_CACHE_SECONDS
    assert authorizer["IdentitySource"] == "method.request.header.Authorization"


def test_authoriser_on_every_route_that_is_not_public(
    assembly: Assembly, functions: list[Function]
) -> None:
    methods = {
        r.properties["OperationName"]: r.properties["AuthorizationType"]
        for r in assembly.resources("AWS::ApiGateway::Method")
    }
    declared = {
        f.construct_id: "NONE" if f.declaration.public else "CUSTOM"
        for f in functions
        if isinstance(f.declaration, Route)
    }
    assert methods == declared


def queue_name(resource: Any) -> str:
    return str(resource.properties["QueueName"])


def test_every_queue_has_dead_letters(assembly: Assembly) -> None:
    queues = assembly.resources("AWS::SQS::Queue")
    dead = {q.logical_id for q in queues if queue_name(q).endswith("-dead-letters")}
    for queue in queues:
        if queue.logical_id in dead:
            assert queue.properties["MessageRetentionPeriod"] == 14 * 24 * 3600
            continue
        redrive = queue.properties["RedrivePolicy"]
        assert redrive["deadLetterTargetArn"]["Fn::GetAtt"][0] in dead, queue.where
        assert redrive["maxReceiveCount"] <= 10


def test_a_consumer_has_time_to_finish_before_a_message_returns(
    assembly: Assembly, functions: list[Function]
) -> None:
    queues = {queue_name(q): q.properties for q in assembly.resources("AWS::SQS::Queue")}
    for function in functions:
        if isinstance(function.declaration, Consumer):
            made = assembly.functions()[function.physical_name("ivy")].properties
            queue = queues[f"ivy-{function.declaration.queue}"]
            assert queue["VisibilityTimeout"] == 6 * made["Timeout"]


def test_one_bad_message_does_not_return_its_batch(assembly: Assembly) -> None:
    mappings = assembly.resources("AWS::Lambda::EventSourceMapping")
    assert mappings
    for mapping in mappings:
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_schedules_lose_nothing(assembly: Assembly, functions: list[Function]) -> None:
    scheduled = [f for f in functions if isinstance(f.declaration, Job) and f.declaration.schedule]
    rules = assembly.resources("AWS::Events::Rule")
    assert len(rules) == len(scheduled)
    for rule in rules:
        for target in rule.properties["Targets"]:
            assert "Arn" in target["DeadLetterConfig"], rule.where
    failures = assembly.resources("AWS::Lambda::EventInvokeConfig")
    assert len(failures) == len(scheduled)
    for failure in failures:
        assert failure.properties["DestinationConfig"]["OnFailure"]["Destination"], failure.where


def test_encrypted_at_rest(aws: Assembly) -> None:
    for queue in aws.resources("AWS::SQS::Queue"):
        assert queue.properties["SqsManagedSseEnabled"] is True, queue.where
    for table in aws.resources("AWS::DynamoDB::Table"):
        assert table.properties["SSESpecification"]["SSEEnabled"] is True, table.where
        recovery = table.properties["PointInTimeRecoverySpecification"]
        assert recovery["PointInTimeRecoveryEnabled"] is True, table.where
    cluster = aws.one("AWS::RDS::DBCluster").properties
    assert cluster["StorageEncrypted"] is True
    assert "KmsKeyId" in cluster
    for secret in aws.resources("AWS::SecretsManager::Secret"):
        assert "KmsKeyId" in secret.properties, secret.where
    for key in aws.resources("AWS::KMS::Key"):
        assert key.properties["EnableKeyRotation"] is True, key.where


def test_aurora_is_kept_and_private(aws: Assembly) -> None:
    cluster = aws.one("AWS::RDS::DBCluster").properties
    assert cluster["EngineVersion"] == "18.4"
    assert cluster["DeletionProtection"] is True
    assert cluster["BackupRetentionPeriod"] >= 14
    for instance in aws.resources("AWS::RDS::DBInstance"):
        assert instance.properties["PubliclyAccessible"] is False
        assert instance.properties["DBInstanceClass"] == "db.serverless"
    parameters = aws.one("AWS::RDS::DBClusterParameterGroup").properties["Parameters"]
    assert parameters["rds.force_ssl"] == "1"
    assert parameters["log_parameter_max_length"] == "0"


def test_nothing_leads_to_the_internet(aws: Assembly) -> None:
    types = {r.type for r in aws.resources()}
    assert not types & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP"}


def test_database_secrets_belong_to_the_cluster(aws: Assembly) -> None:
    attached = aws.resources("AWS::SecretsManager::SecretTargetAttachment")
    assert len(attached) == len(DATABASE_ROLES)


def test_migrations_run_when_they_change_and_before_what_needs_them(aws: Assembly) -> None:
    run = aws.one("Custom::Migrations")
    assert re.fullmatch("[0-9a-f]{64}", run.properties["SchemaDigest"])
    assert run.stack == "ivy-data"
    after = aws.templates["ivy-data"]["Resources"][run.logical_id]["DependsOn"]
    types = [aws.templates["ivy-data"]["Resources"][each]["Type"] for each in after]
    assert {"AWS::RDS::DBInstance", "AWS::Lambda::Function"} <= set(types)
    assert types.count("AWS::SecretsManager::SecretTargetAttachment") == len(DATABASE_ROLES)


def test_the_gateway_logs_no_bodies(aws: Assembly) -> None:
    stage = aws.one("AWS::ApiGateway::Stage").properties
    assert stage["TracingEnabled"] is True
    for setting in stage["MethodSettings"]:
        assert setting["DataTraceEnabled"] is False
        assert setting["LoggingLevel"] == "ERROR"
        assert setting["MetricsEnabled"] is True
    assert "uthorization" not in stage["AccessLogSetting"]["Format"]


def test_the_firewall_counts_by_address(aws: Assembly) -> None:
    (rule,) = aws.one("AWS::WAFv2::WebACL").properties["Rules"]
    assert rule["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert rule["Action"] == {"Block": {}}
    assert aws.one("AWS::WAFv2::WebACLAssociation").stack == "ivy-api"


def test_stage_is_called_api_and_limits_requests(assembly: Assembly) -> None:
    stage = assembly.one("AWS::ApiGateway::Stage").properties
    assert stage["StageName"] == "api"
    (everywhere,) = (s for s in stage["MethodSettings"] if s["ResourcePath"] == "/*")
    assert everywhere["ThrottlingRateLimit"] > 0


def test_stacks_have_room(assembly: Assembly) -> None:
    for name, template in assembly.templates.items():
        assert len(template["Resources"]) < MOST_RESOURCES, name
        assert len(template.get("Outputs", {})) < MOST_OUTPUTS, name


def test_outputs_are_named(assembly: Assembly, functions: list[Function]) -> None:
    queues = {
        f.declaration.queue.title().replace("_", "")
        for f in functions
        if isinstance(f.declaration, Consumer)
    }
    named = {
        name
        for template in assembly.templates.values()
        for name in template.get("Outputs", {})
        if not name.startswith("ExportsOutput")
    }
    assert named == {"ApiId", "ApiUrl"} | {f"{queue}QueueUrl" for queue in queues}


def test_the_emulator_knows_every_local_type(local: Assembly) -> None:
    used = {r.type for r in local.resources()}
    assert used - set(provisioners._RESOURCE_HANDLERS) == set()


def test_runtimes(local: Assembly, aws: Assembly) -> None:
    assert {f.properties["Runtime"] for f in aws.functions().values()} == {"python3.13"}
    assert {f.properties["Architectures"][0] for f in aws.functions().values()} == {"arm64"}
    assert len({f.properties["Runtime"] for f in local.functions().values()}) == 1


def test_what_keeps_state_outlives_its_stack(aws: Assembly) -> None:
    stateful = {
        "AWS::DynamoDB::Table": "RetainExceptOnCreate",
        "AWS::SecretsManager::Secret": "RetainExceptOnCreate",
        "AWS::KMS::Key": "RetainExceptOnCreate",
        "AWS::RDS::DBCluster": "Snapshot",
    }
    for template in aws.templates.values():
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] in stateful:
                assert resource["DeletionPolicy"] == stateful[resource["Type"]], logical_id


# -- snapshots, memory, and what Lambda writes by itself

FROM_A_SNAPSHOT = {"ivy-charges-create", "ivy-access-authorize"}
BACKGROUND = {"ivy-charges-process", "ivy-events-publish"}


def test_a_charge_and_its_authoriser_start_from_snapshots(aws: Assembly) -> None:
    functions = aws.functions()
    started = {name for name, f in functions.items() if "SnapStart" in f.properties}
    assert started == FROM_A_SNAPSHOT, "each is paid for by the month: docs/decisions/memory.md"
    versions = {(v.stack, v.logical_id): v for v in aws.resources("AWS::Lambda::Version")}
    aliases = aws.resources("AWS::Lambda::Alias")
    published = set()
    for alias in aliases:
        version = versions[alias.stack, alias.properties["FunctionVersion"]["Fn::GetAtt"][0]]
        of = version.properties["FunctionName"]["Ref"]
        assert alias.properties["Name"] == "live"
        assert alias.properties["FunctionName"]["Ref"] == of
        published.add((alias.stack, of))
    for name in FROM_A_SNAPSHOT:
        function = functions[name]
        assert function.properties["SnapStart"] == {"ApplyOn": "PublishedVersions"}
        assert (function.stack, function.logical_id) in published, name
    assert len(versions) == len(aliases) == len(FROM_A_SNAPSHOT)


def test_the_gateway_invokes_what_was_published(aws: Assembly) -> None:
    """A snapshot is of a version: whoever invokes the latest code starts without one."""
    invoked = [
        str(r.properties["Integration"]["Uri"]) for r in aws.resources("AWS::ApiGateway::Method")
    ]
    invoked += [
        str(r.properties["AuthorizerUri"]) for r in aws.resources("AWS::ApiGateway::Authorizer")
    ]
    allowed = {
        str(r.properties["FunctionName"])
        for r in aws.resources("AWS::Lambda::Permission")
        if r.stack == "ivy-api"
    }
    for name in FROM_A_SNAPSHOT:
        uris = [uri for uri in invoked if f"function:{name}" in uri]
        assert uris
        assert all(f"function:{name}:live" in uri for uri in uris), name
        assert any(f"function:{name}:live" in each for each in allowed), name
    assert sum(":live" in uri for uri in invoked) == len(FROM_A_SNAPSHOT)


def test_the_emulator_gets_no_versions(local: Assembly) -> None:
    assert not local.resources("AWS::Lambda::Version", "AWS::Lambda::Alias")
    assert not any("SnapStart" in f.properties for f in local.functions().values())


def test_memory_is_what_the_decision_says(assembly: Assembly, functions: list[Function]) -> None:
    for function in functions:
        name = function.physical_name("ivy")
        made = assembly.functions().get(name)
        expected = 256 if name in BACKGROUND else 512
        assert made is None or made.properties["MemorySize"] == expected, name


def test_lambda_writes_of_what_failed_only(aws: Assembly, functions: list[Function]) -> None:
    for name in {function.physical_name("ivy") for function in functions} & set(aws.functions()):
        logging = aws.functions()[name].properties["LoggingConfig"]
        assert logging["LogFormat"] == "JSON", name
        assert logging["SystemLogLevel"] == "WARN", name
        assert logging["ApplicationLogLevel"] == "INFO", name


def test_one_request_in_a_hundred_is_traced(aws: Assembly) -> None:
    rule = aws.one("AWS::XRay::SamplingRule").properties["SamplingRule"]
    assert (rule["ReservoirSize"], rule["FixedRate"]) == (1, 0.01)
    assert rule["ServiceName"] == "ivy/api"
