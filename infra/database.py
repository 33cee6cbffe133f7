"""Aurora PostgreSQL on AWS: the cluster, whom it knows, and RDS Proxy where it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.needs import DATABASE_ROLES
from infra.network import POSTGRES_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_kms as kms

    from infra.network import Network
    from infra.target import Target

DATABASE_NAME = "ivy"
ENGINE = rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_18_4)
"""The version that the wheel brings locally: one major everywhere."""

BACKUP_RETENTION = Duration.days(14)
CAPACITY_UNITS = (0.5, 16)
"""Aurora capacity units, least and most. Zero would pause: the first charge then waits 15 s."""

PARAMETERS = {
    "rds.force_ssl": "1",
    "log_min_duration_statement": "1000",
    "log_parameter_max_length": "0",  # slow statements are logged without their values
    "log_parameter_max_length_on_error": "0",
    "idle_in_transaction_session_timeout": "30000",
}


class Database(Construct):
    """An Aurora cluster of two instances in two zones, so that losing one takes seconds.

    Attributes:
        cluster: The cluster.
        proxy_host: Address of RDS Proxy, if this target uses one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        target: Target,
        network: Network,
        secrets: Mapping[str, secretsmanager.ISecret],
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        identifier = f"{target.prefix}-ledger"
        server_logs = logs.LogGroup(
            self,
            "ServerLogs",
            log_group_name=f"/aws/rds/cluster/{identifier}/postgresql",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        self._group = ec2.SecurityGroup(
            self,
            "Group",
            vpc=network.vpc,
            description="Aurora and RDS Proxy: only functions get in, nothing gets out",
            allow_all_outbound=False,
        )
        self._group.add_ingress_rule(network.functions, ec2.Port.tcp(POSTGRES_PORT), "Functions")
        self.cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            cluster_identifier=identifier,
            engine=ENGINE,
            default_database_name=DATABASE_NAME,
            credentials=rds.Credentials.from_secret(secrets["owner"]),
            writer=_instance("Writer"),
            readers=[_instance("Standby")],
            serverless_v2_min_capacity=CAPACITY_UNITS[0],
            serverless_v2_max_capacity=CAPACITY_UNITS[1],
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            security_groups=[self._group],
            storage_encrypted=True,
            storage_encryption_key=key,
            iam_authentication=True,
            backup=rds.BackupProps(retention=BACKUP_RETENTION, preferred_window="03:00-04:00"),
            preferred_maintenance_window="sun:04:30-sun:05:30",
            parameter_group=rds.ParameterGroup(
                self, "Parameters", engine=ENGINE, parameters=PARAMETERS
            ),
            cloudwatch_logs_exports=["postgresql"],
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            removal_policy=RemovalPolicy.SNAPSHOT,
        )
        self.cluster.node.add_dependency(server_logs)
        for role in DATABASE_ROLES:
            secrets[role].attach(self.cluster)
        self.proxy_host = self._proxy(target, network, secrets, key) if target.proxy else None

    def _proxy(
        self,
        target: Target,
        network: Network,
        secrets: Mapping[str, secretsmanager.ISecret],
        key: kms.IKey,
    ) -> str:
        """Pool the connections of functions; migrations go straight to the cluster."""
        # By ARN: with the key attached, CDK would add the proxy to the key's policy, in a circle.
        pooled = [
            secretsmanager.Secret.from_secret_complete_arn(self, role, secrets[role].secret_arn)
            for role in ("app", "jobs")
        ]
        role = iam.Role(
            self,
            "ProxyRole",
            assumed_by=iam.ServicePrincipal("rds.amazonaws.com"),
            description="Lets RDS Proxy sign in as the roles it pools",
            inline_policies={
                "secrets": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["secretsmanager:GetSecretValue"],
                            resources=[secret.secret_arn for secret in pooled],
                        ),
                        iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]),
                    ]
                )
            },
        )
        proxy = self.cluster.add_proxy(
            "Proxy",
            db_proxy_name=f"{target.prefix}-ledger",
            secrets=pooled,
            role=role.without_policy_updates(),
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            security_groups=[self._group],
            require_tls=True,
            iam_auth=False,
        )
        return proxy.endpoint


def _instance(name: str) -> rds.IClusterInstance:
    """An instance that is as large as the load asks; a standby grows with the writer."""
    return rds.ClusterInstance.serverless_v2(
        name,
        enable_performance_insights=True,
        auto_minor_version_upgrade=True,
        publicly_accessible=False,
        scale_with_writer=True if name == "Standby" else None,
    )
