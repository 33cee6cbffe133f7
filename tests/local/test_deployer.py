from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from local.deployer import Deployer, stacks, zipped
from local.errors import LocalError
from local.gaps import expire_items
from local.stack import invoke

if TYPE_CHECKING:
    from pathlib import Path

    from local.aws import Aws

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
VERSION = "/cdk-bootstrap/hnb659fds/version"


def assembly(
    folder: Path, templates: dict[str, dict[str, Any]], needs: dict[str, list[str]]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = {}
    for name, template in templates.items():
        text = json.dumps(template)
        (folder / f"{name}.template.json").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        file = {
            "source": {"path": f"{name}.template.json", "packaging": "file"},
            "destinations": {"here": {"bucketName": BUCKET, "objectKey": f"{digest}.json"}},
        }
        (folder / f"{name}.assets.json").write_text(json.dumps({"files": {digest: file}}))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": [f"{name}.assets", *needs.get(name, [])],
        }
        artifacts[f"{name}.assets"] = {"type": "cdk:asset-manifest", "properties": {}}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


def a_table(name: str = "front") -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True},
        },
    }


def add_file(folder: Path, stack: str, path: str, packaging: str, key: str) -> None:
    manifest = json.loads((folder / f"{stack}.assets.json").read_text())
    manifest["files"][key] = {
        "source": {"path": path, "packaging": packaging},
        "destinations": {"here": {"bucketName": BUCKET, "objectKey": key}},
    }
    (folder / f"{stack}.assets.json").write_text(json.dumps(manifest))


def test_stacks_come_after_those_they_depend_on(tmp_path: Path) -> None:
    made = assembly(
        tmp_path,
        {"api": {"Resources": {}}, "data": {"Resources": {}}},
        {"api": ["data"]},
    )
    assert [stack.name for stack in stacks(made)] == ["data", "api"]


def test_a_stack_is_deployed_once_and_again_only_when_it_changed(aws: Aws, tmp_path: Path) -> None:
    version = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": VERSION}
    template = {
        "Parameters": {"BootstrapVersion": version},
        "Resources": {"Table": a_table("once")},
        "Outputs": {"Name": {"Value": {"Ref": "Table"}}},
    }
    [stack] = stacks(assembly(tmp_path / "first", {"once": template}, {}))
    deployer = Deployer(aws)
    assert deployer.deploy(stack)
    assert deployer.outputs("once") == {"Name": "once"}
    assert not Deployer(aws).deploy(stack)

    template["Resources"]["Queue"] = {"Type": "AWS::SQS::Queue"}
    [changed] = stacks(assembly(tmp_path / "second", {"once": template}, {}))
    assert Deployer(aws).deploy(changed)
    assert len(deployer.resources([changed], "AWS::SQS::Queue")) == 1


def test_the_time_to_live_that_the_emulator_ignores_is_set(aws: Aws, tmp_path: Path) -> None:
    found = stacks(assembly(tmp_path, {"ttl": {"Resources": {"Table": a_table("ttl")}}}, {}))
    Deployer(aws).deploy(found[0])

    assert expire_items(aws, found) == 1

    state = aws.client("dynamodb").describe_time_to_live(TableName="ttl")["TimeToLiveDescription"]
    assert state["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    assert state["AttributeName"] == "expiration"


def test_a_refused_template_names_the_resource_and_the_next_attempt_succeeds(
    aws: Aws, tmp_path: Path
) -> None:
    bad = {"Resources": {"Culprit": {"Type": "AWS::EC2::EIP"}}}
    [stack] = stacks(assembly(tmp_path / "bad", {"mended": bad}, {}))
    with pytest.raises(Exception, match=r"Culprit|EIP"):
        Deployer(aws).deploy(stack)

    good = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}
    [stack] = stacks(assembly(tmp_path / "good", {"mended": good}, {}))
    assert Deployer(aws).deploy(stack)


def test_a_function_runs_with_its_layer_and_without_the_project(aws: Aws, tmp_path: Path) -> None:
    folder = assembly(tmp_path, {"run": {"Resources": _a_function()}}, {})
    layer = folder / "layer" / "python" / "shared"
    layer.mkdir(parents=True)
    (layer / "__init__.py").write_text("ANSWER = 42\n")
    code = folder / "code" / "functions" / "tests"
    code.mkdir(parents=True)
    (code / "probe.py").write_text(PROBE)
    add_file(folder, "run", "layer", "zip", "layer.zip")
    add_file(folder, "run", "code", "zip", "code.zip")
    Deployer(aws).deploy(stacks(folder)[0])

    seen = invoke(aws, "probe", {"fail": False})
    assert seen == {"answer": 42, "found": ["boto3"]}
    with pytest.raises(LocalError, match="asked to"):
        invoke(aws, "probe", {"fail": True})


def test_a_zip_depends_on_content_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "python").mkdir(parents=True)
        (tmp_path / name / "python" / "a.py").write_text("A = 1\n")
    assert zipped(tmp_path / "one") == zipped(tmp_path / "two")
    assert base64.b64encode(zipped(tmp_path / "one")) != b""
    with zipfile.ZipFile(io.BytesIO(zipped(tmp_path / "one"))) as archive:
        assert archive.namelist() == ["python/a.py"]


PROBE = """
import importlib.util
from shared import ANSWER

def handler(event, context):
    if event["fail"]:
        raise RuntimeError("asked to")
    names = ("boto3", "pydantic", "pytest", "ivy", "local", "infra")
    return {"answer": ANSWER, "found": [n for n in names if importlib.util.find_spec(n)]}
"""


def _a_function() -> dict[str, Any]:
    import sys  # noqa: PLC0415 - only here

    bucket = "cdk-hnb659fds-assets-000000000000-us-east-1"
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        },
        "Layer": {
            "Type": "AWS::Lambda::LayerVersion",
            "Properties": {
                "LayerName": "shared",
                "Content": {"S3Bucket": bucket, "S3Key": "layer.zip"},
            },
        },
        "Probe": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": "probe",
                "Runtime": runtime,
                "Handler": "functions.tests.probe.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Layers": [{"Ref": "Layer"}],
                "Code": {"S3Bucket": bucket, "S3Key": "code.zip"},
            },
        },
    }
