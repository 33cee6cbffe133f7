"""Deploys a synthesised cloud assembly through CloudFormation, as `cdk deploy` would."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.aws import ACCOUNT, REGION
from local.errors import LocalError
from local.shared_layers import is_layer, link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.aws import Aws

POLL_SECONDS = 0.1
DEPLOY_SECONDS = 300.0
DIGEST_TAG = "ivy:digest"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
BOOTSTRAP_PARAMETER = re.compile(r"^/cdk-bootstrap/\w+/version$")
BOOTSTRAP_VERSION = "99"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Asset:
    """A file that a template refers to, and where it belongs."""

    source: Path
    packaging: str
    bucket: str
    key: str


@dataclass(frozen=True)
class Stack:
    """One synthesised stack."""

    name: str
    template: Path
    assets: tuple[Asset, ...]

    @property
    def template_asset(self) -> Asset:
        """The asset that is the template itself."""
        return next(asset for asset in self.assets if asset.source == self.template)

    @property
    def digest(self) -> str:
        """Changes exactly when deploying again would: asset keys are hashes of their content."""
        content = hashlib.sha256(self.template.read_bytes())
        for asset in self.assets:
            content.update(asset.key.encode())
        return content.hexdigest()


class Deployer:
    """Brings the stacks of an assembly into an emulator, each only when it changed.

    Args:
        aws: The emulator.
        layers: Where layers are unpacked for all workers; None to hand them over as they are.
    """

    def __init__(self, aws: Aws, layers: Path | None = None) -> None:
        self._cloudformation = aws.client("cloudformation")
        self._s3 = aws.client("s3")
        self._ssm = aws.client("ssm")
        self._aws = aws
        self._layers = layers
        self._prepared: set[str] = set()

    def deployed(self, stack: Stack) -> bool:
        """Tell whether the emulator already has exactly this stack."""
        found = self._describe(stack.name)
        tags = {tag["Key"]: tag["Value"] for tag in (found or {}).get("Tags", ())}
        done = (found or {}).get("StackStatus", "").endswith("_COMPLETE")
        return done and tags.get(DIGEST_TAG) == stack.digest

    def deploy(self, stack: Stack) -> bool:
        """Deploy one stack if it changed; tell whether it had to.

        Raises:
            LocalError: CloudFormation refused it; the message holds the failed resources.
        """
        found = self._describe(stack.name)
        if found is not None and self.deployed(stack):
            return False
        if found is not None and "ROLLBACK" in found["StackStatus"]:
            self._delete(stack.name)
            found = None
        for asset in stack.assets:
            self._upload(asset)
        self._bootstrap(stack)
        template = stack.template_asset
        request: dict[str, Any] = {
            "StackName": stack.name,
            "TemplateURL": f"{self._aws.endpoint}/{template.bucket}/{template.key}",
            "Capabilities": CAPABILITIES,
            "Tags": [{"Key": DIGEST_TAG, "Value": stack.digest}],
        }
        began = time.time()
        if found is None:
            self._cloudformation.create_stack(**request)
        elif not self._update(request):
            return False
        self._settle(stack.name, began)
        return True

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of a deployed stack."""
        found = self._describe(name) or {}
        return {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", ())}

    def resources(self, found: list[Stack], kind: str) -> list[str]:
        """Return the physical ids of every resource of one type in the deployed stacks."""
        return [
            resource["PhysicalResourceId"]
            for stack in found
            for resource in self._cloudformation.describe_stack_resources(StackName=stack.name)[
                "StackResources"
            ]
            if resource["ResourceType"] == kind
        ]

    def _update(self, request: dict[str, Any]) -> bool:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - loaded with the first client

        try:
            self._cloudformation.update_stack(**request)
        except ClientError as error:
            if "No updates" in error.response["Error"]["Message"]:
                return False
            raise
        return True

    def _upload(self, asset: Asset) -> None:
        """Put an asset where the template looks for it, unless it is there."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - loaded with the first client

        if asset.bucket not in self._prepared:
            with suppress(self._s3.exceptions.BucketAlreadyOwnedByYou):
                self._s3.create_bucket(Bucket=asset.bucket)
            self._prepared.add(asset.bucket)
        try:
            self._s3.head_object(Bucket=asset.bucket, Key=asset.key)
        except ClientError:
            body = zipped(asset.source) if asset.packaging == "zip" else asset.source.read_bytes()
            body = link(body, self._layers) if is_layer(body) else body
            self._s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=body)

    def _bootstrap(self, stack: Stack) -> None:
        """Provide the version parameter that CDK's own bootstrap stack would have left."""
        parameters = json.loads(stack.template.read_text()).get("Parameters", {})
        for parameter in parameters.values():
            name = str(parameter.get("Default", ""))
            if BOOTSTRAP_PARAMETER.match(name) and name not in self._prepared:
                self._ssm.put_parameter(
                    Name=name, Value=BOOTSTRAP_VERSION, Type="String", Overwrite=True
                )
                self._prepared.add(name)

    def _describe(self, name: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - loaded with the first client

        try:
            found = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError:
            return None
        live = [stack for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]
        return live[0] if live else None

    def _delete(self, name: str) -> None:
        self._cloudformation.delete_stack(StackName=name)
        deadline = time.monotonic() + DEPLOY_SECONDS
        while self._describe(name) is not None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _settle(self, name: str, began: float) -> None:
        """Wait until a stack is complete; fail with what CloudFormation says went wrong."""
        deadline = time.monotonic() + DEPLOY_SECONDS
        while time.monotonic() < deadline:
            status = (self._describe(name) or {}).get("StackStatus", "DELETE_COMPLETE")
            if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
                return
            if status.endswith(("_COMPLETE", "_FAILED")) and "CLEANUP" not in status:
                raise LocalError(
                    f"Stack {name} ended as {status}:\n{self._failures(name, began)}",
                    "Correct the template (infra/), then run the command again.",
                )
            time.sleep(POLL_SECONDS)
        raise LocalError(f"Stack {name} is not complete after {DEPLOY_SECONDS:.0f} s.")

    def _failures(self, name: str, began: float) -> str:
        events = self._cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        return "\n".join(
            f"  {event['LogicalResourceId']} ({event.get('ResourceType', '')}):"
            f" {event.get('ResourceStatusReason', event['ResourceStatus'])}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("_FAILED")
            and event["Timestamp"].timestamp() >= began - 1
        )


def stacks(assembly: Path) -> list[Stack]:
    """Return the stacks of a cloud assembly, each after those it depends on."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    return [
        _stack(assembly, name, artifacts[name])
        for name in _ordered(artifacts)
        if artifacts[name]["type"] == "aws:cloudformation:stack"
    ]


def zipped(source: Path) -> bytes:
    """Return a directory as a zip whose bytes depend on its content alone; a zip as it is."""
    if source.is_file():
        return source.read_bytes()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(source).as_posix(), ZIP_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (path.stat().st_mode & 0o7777) << 16
                archive.writestr(entry, path.read_bytes())
    return content.getvalue()


def _ordered(artifacts: dict[str, Any]) -> Iterator[str]:
    """Yield artifact names so that each comes after its dependencies."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done or name not in artifacts:
            return
        done.add(name)
        for needed in artifacts[name].get("dependencies", ()):
            yield from visit(needed)
        yield name

    for name in artifacts:
        yield from visit(name)


def _stack(assembly: Path, name: str, artifact: dict[str, Any]) -> Stack:
    properties = artifact["properties"]
    manifest = assembly / f"{name}.assets.json"
    files = json.loads(manifest.read_text())["files"] if manifest.exists() else {}
    return Stack(
        name=properties.get("stackName", name),
        template=assembly / properties["templateFile"],
        assets=tuple(
            Asset(
                source=assembly / file["source"]["path"],
                packaging=file["source"]["packaging"],
                bucket=_resolved(destination["bucketName"]),
                key=_resolved(destination["objectKey"]),
            )
            for file in files.values()
            for destination in file["destinations"].values()
        ),
    )


def _resolved(text: str) -> str:
    """Fill in the pseudo parameters that an asset's destination may hold."""
    for name, value in (("AccountId", ACCOUNT), ("Region", REGION), ("Partition", "aws")):
        text = text.replace(f"${{AWS::{name}}}", value)
    return text
