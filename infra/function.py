"""One declared function as resources: its role, its log group, itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.catalogue import LIVE
from infra.needs import Grant
from ivy.serve.declaration import DEPLOYED_AS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from infra.catalogue import Function
    from infra.layers import Layer
    from infra.network import Network
    from infra.target import Target

LOG_RETENTION = logs.RetentionDays.ONE_MONTH
METRICS_NAMESPACE = "Ivy"

NETWORK_INTERFACE_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


class FunctionFactory:
    """Makes the functions of one stack: they share its layers and, on AWS, its private network.

    Layers are per stack because a version that another stack imports could not be replaced.
    """

    def __init__(
        self,
        stack: Stack,
        target: Target,
        layers: Mapping[str, Layer],
        network: Network | None,
        build: Path,
    ) -> None:
        self._stack = stack
        self._target = target
        self._built = layers
        self._network = network
        self._build = build
        self._versions: dict[str, lambda_.LayerVersion] = {}

    def make(
        self, function: Function, grant: Grant, *more: iam.PolicyStatement
    ) -> lambda_.Function:
        """Add one function with exactly the rights of its needs and of whatever invokes it."""
        place = Construct(self._stack, function.construct_id)
        name = function.physical_name(self._target.prefix)
        network = self._network if grant.database else None
        log_group = logs.LogGroup(
            place,
            "Logs",
            log_group_name=f"/aws/lambda/{name}",
            retention=LOG_RETENTION,
            removal_policy=_removal(self._target),
        )
        statements = [*own_logs(log_group), *grant.statements, *more]
        if self._target.on_aws:
            statements += _tracing()
        if network is not None:
            statements += _network_interfaces(self._stack, name)
        role = iam.Role(
            place,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What functions/{function.name}.py may touch",
            inline_policies={"needs": iam.PolicyDocument(statements=statements)},
        )
        made = lambda_.Function(
            place,
            "Function",
            function_name=name,
            description=_summary(function),
            runtime=_runtime(self._target),
            architecture=_architecture(self._target),
            handler=function.handler,
            code=lambda_.Code.from_asset(str(function.zipped(self._build))),
            layers=self._layers(grant),
            role=role.without_policy_updates(),
            log_group=log_group,
            timeout=Duration.seconds(function.declaration.timeout_seconds),
            memory_size=function.declaration.memory_mb,
            tracing=_tracing_mode(self._target),
            **_quiet(self._target),
            **_snapshot(self._target, function),
            environment={**_common(self._target, function), **grant.environment},
            vpc=network.vpc if network else None,
            vpc_subnets=network.subnets if network else None,
            security_groups=[network.functions] if network else None,
        )
        if function.from_snapshot(self._target):
            # The version's id follows from all that is in it, so each change publishes a new one,
            # and the one before goes: its snapshot would be paid for as long as it is there.
            lambda_.Alias(place, "Live", alias_name=LIVE, version=made.current_version)
        return made

    def _layers(self, grant: Grant) -> Sequence[lambda_.ILayerVersion]:
        return [self._version(name) for name in ("dependencies", "ivy", *grant.layers)]

    def _version(self, name: str) -> lambda_.LayerVersion:
        """Make a layer version of this stack when its first function asks for it."""
        if name not in self._versions:
            layer = self._built[name]
            version = lambda_.LayerVersion(
                self._stack,
                f"{name.title()}Layer",
                layer_version_name=f"{self._target.prefix}-{name}",
                description=f"{name} {layer.digest}",
                code=lambda_.Code.from_asset(str(layer.archive), asset_hash=layer.digest),
                compatible_architectures=[_architecture(self._target)],
            )
            # `sam local` mounts a layer from a directory; it would not unpack the zip.
            resource = version.node.default_child
            if isinstance(resource, lambda_.CfnLayerVersion):
                resource.add_metadata("aws:asset:path", str(layer.directory))
                resource.add_metadata("aws:asset:property", "Content")
            self._versions[name] = version
        return self._versions[name]


def _summary(function: Function) -> str:
    """The first line of the function's docstring, which is its documentation."""
    text = (function.declaration.function.__doc__ or function.name).strip()
    return text.splitlines()[0][:256]


def _runtime(target: Target) -> lambda_.Runtime:
    return lambda_.Runtime(
        f"python{target.python}",
        lambda_.RuntimeFamily.PYTHON,
        supports_snap_start=target.on_aws,  # from 3.12 on
    )


def _architecture(target: Target) -> lambda_.Architecture:
    arm = target.architecture == "arm64"
    return lambda_.Architecture.ARM_64 if arm else lambda_.Architecture.X86_64


def _tracing_mode(target: Target) -> lambda_.Tracing:
    return lambda_.Tracing.ACTIVE if target.on_aws else lambda_.Tracing.DISABLED


def _quiet(target: Target) -> dict[str, Any]:
    """Leave out Lambda's three lines about each invocation that went well: two fifths of all.

    Those of a failed one stay. How long one took, and the memory it had, our own line says.
    """
    if not target.on_aws:
        return {}
    return {
        "logging_format": lambda_.LoggingFormat.JSON,
        "system_log_level_v2": lambda_.SystemLogLevel.WARN,
        "application_log_level_v2": lambda_.ApplicationLogLevel.INFO,
    }


def _snapshot(target: Target, function: Function) -> dict[str, Any]:
    if not function.from_snapshot(target):
        return {}
    return {"snap_start": lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS}


def _removal(target: Target) -> RemovalPolicy:
    """Logs of a real deployment outlive a mistake with a stack; they expire by themselves.

    Not after a failed creation, whose leftovers would stand in the way of the next.
    """
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if target.on_aws else RemovalPolicy.DESTROY


def _common(target: Target, function: Function) -> dict[str, str]:
    return {
        "IVY_TARGET": target.name,
        DEPLOYED_AS: function.name,
        "POWERTOOLS_SERVICE_NAME": function.noun,
        "POWERTOOLS_METRICS_NAMESPACE": METRICS_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **_switched_on(target),
    }


def _switched_on(target: Target) -> dict[str, str]:
    """Name the connectors of a deployment that has more than the usual one."""
    return {"IVY_CONNECTOR_NAMES": '["simulated", "stripe"]'} if target.stripe else {}


def own_logs(log_group: logs.LogGroup) -> list[iam.PolicyStatement]:
    """The right to write to one log group, already made."""
    return [
        iam.PolicyStatement(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[log_group.log_group_arn],
        )
    ]


def _tracing() -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
            resources=["*"],  # X-Ray has no resources to name
        )
    ]


def _network_interfaces(stack: Stack, function_name: str) -> list[iam.PolicyStatement]:
    """Let Lambda attach the function to the network, and deny the same to the function's code."""
    own = stack.format_arn(
        service="lambda",
        resource="function",
        resource_name=function_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    actions = list(NETWORK_INTERFACE_ACTIONS)
    return [
        iam.PolicyStatement(
            actions=actions,
            resources=["*"],  # Lambda calls these before an interface exists to be named
        ),
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=actions,
            resources=["*"],  # a denial: the code itself may touch no interface at all
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": own}},
        ),
    ]
