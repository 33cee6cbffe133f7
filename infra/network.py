"""The private network of the AWS target: no internet gateway, no NAT, nothing reachable.

Functions and Aurora live in isolated subnets of two zones. What functions call outside is six
AWS services, each through its own endpoint: four interface endpoints cost less than the NAT
gateways of two zones, and no packet has a way to the internet. One of the six is Lambda: what
needs the internet, such as an acquirer, is a function outside that is invoked from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

if TYPE_CHECKING:
    from constructs import Construct

POSTGRES_PORT = 5432
ZONES = 2


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where functions that reach Postgres run.

    Attributes:
        vpc: The network.
        subnets: Its isolated subnets.
        functions: Security group of the functions.
    """

    vpc: ec2.Vpc
    subnets: ec2.SubnetSelection
    functions: ec2.SecurityGroup


class NetworkStack(Stack):
    """VPC, endpoints, security groups, flow logs."""

    def __init__(self, scope: Construct, construct_id: str, **stack: Any) -> None:
        super().__init__(scope, construct_id, **stack)
        self._vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.64.0.0/20"),
            max_azs=ZONES,
            nat_gateways=0,
            restrict_default_security_group=False,  # would need a custom resource; nothing uses it
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=23
                )
            ],
        )
        subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.network = Network(
            vpc=self._vpc,
            subnets=subnets,
            functions=self._group("Functions", "Functions that reach Postgres"),
        )
        self._allow()
        self._endpoints(subnets)
        self._flow_logs()

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self, name, vpc=self._vpc, description=description, allow_all_outbound=False
        )

    def _allow(self) -> None:
        """Postgres inside the network, and what has a route out of it: the endpoints."""
        functions = self.network.functions
        functions.add_egress_rule(
            ec2.Peer.ipv4(self._vpc.vpc_cidr_block), ec2.Port.tcp(POSTGRES_PORT), "Postgres"
        )
        functions.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "The endpoints: no route leads anywhere else"
        )

    def _endpoints(self, subnets: ec2.SubnetSelection) -> None:
        group = self._group("Endpoints", "AWS services that functions call")
        group.add_ingress_rule(self.network.functions, ec2.Port.tcp(443), "Functions")
        self._vpc.add_gateway_endpoint(
            "DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
        )
        self._vpc.add_gateway_endpoint(
            "S3", service=ec2.GatewayVpcEndpointAwsService.S3
        ).add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"],
                resources=["*"],  # whatever the roles allow, and no bucket of anybody else's
                conditions={"StringEquals": {"aws:ResourceAccount": self.account}},
            )
        )
        services = {
            "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
            "Lambda": ec2.InterfaceVpcEndpointAwsService.LAMBDA_,
            "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
            "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
        }
        for name, service in services.items():
            self._vpc.add_interface_endpoint(
                name, service=service, subnets=subnets, security_groups=[group], open=False
            )

    def _flow_logs(self) -> None:
        """Rejected traffic only: in a network with no way out, that is what deserves a look."""
        group = logs.LogGroup(
            self,
            "FlowLogs",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        role = iam.Role(
            self,
            "FlowLogsRole",
            assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"),
            description="Writes the flow logs",
            inline_policies={
                "logs": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[
                                "logs:CreateLogStream",
                                "logs:DescribeLogStreams",
                                "logs:PutLogEvents",
                            ],
                            resources=[group.log_group_arn],
                        )
                    ]
                )
            },
        )
        self._vpc.add_flow_log(
            "Rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                group, role.without_policy_updates()
            ),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
