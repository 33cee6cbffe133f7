"""The REST API: routes, the authoriser in front of them, and what the gateway answers itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, CfnOutput, Duration, RemovalPolicy, Size, Stack, Tags
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_xray as xray

from infra import responses
from infra.catalogue import declared
from infra.responses import STAGE
from ivy.serve.declaration import Authorizer, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from constructs import Construct

    from infra.catalogue import Function
    from infra.target import Target

INTEGRATION_TIMEOUT = Duration.seconds(29)
"""The longest REST allows. Above every function's own limit, so the function answers first."""

AUTHORIZER_CACHE = Duration.seconds(60)
"""A revoked key may read for this long; routes that move money check it again themselves."""

BEARER = "[Bb][Ee][Aa][Rr][Ee][Rr] .+"
"""Anything else is answered as no credential at all, without starting a function."""

RATE_PER_SECOND, BURST = 1000, 2000
LOGIN_RATE_PER_SECOND, LOGIN_BURST = 50, 100
"""Public routes that change something hash a password: 46 MiB and a core for a moment."""

TRACED = 0.01
"""The part of all requests that is traced; what is wrong with one of the others, its lines say."""

ACCESS_LOG_FIELDS: Mapping[str, str] = {
    "request_id": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "method": "$context.httpMethod",
    "route": "$context.resourcePath",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "latency_ms": "$context.responseLatency",
    "integration_ms": "$context.integrationLatency",
    "authorizer_ms": "$context.authorizer.latency",
    "credential": "$context.authorizer.credential",
    "address": "$context.identity.sourceIp",
    "gateway_error": "$context.error.responseType",
}


COMPRESSED_FROM = 512
"""Bytes of a body from which on a client that says so gets it in gzip: a list is a tenth of it."""


class NoAuthorizerError(RuntimeError):
    """There are routes that are not public, and nothing to guard them."""


class ApiStack(Stack):
    """The gateway. The functions it calls are in another stack, by name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        target: Target,
        functions: list[Function],
        **stack: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack)
        self._target = target
        self.api = self._rest_api(declared(functions, Route))
        self._answers()
        authorizer = self._authorizer(functions)
        for function, route in declared(functions, Route):
            if not route.public and authorizer is None:
                raise NoAuthorizerError(
                    f"functions/{function.name}.py is not public, and no function is declared "
                    f"@authorizer"
                )
            self._route(function, route, None if route.public else authorizer)
        if target.on_aws:
            from infra.firewall import add_firewall  # noqa: PLC0415 - slow, and only for AWS

            add_firewall(self, f"{target.prefix}-api", self.api.deployment_stage)
        CfnOutput(self, "ApiId", value=self.api.rest_api_id)
        CfnOutput(self, "ApiUrl", value=self.api.url)

    def _rest_api(self, routes: list[tuple[Function, Route]]) -> apigateway.RestApi:
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=self._target.prefix,
            description="Ivy: the payment gateway whose books anyone can check",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,  # its role has a managed policy; ours is below
            min_compression_size=Size.bytes(COMPRESSED_FROM),
            deploy_options=self._stage(routes),
        )
        api.node.try_remove_child("Endpoint")  # an output of its own; ours are named below
        if self._target.on_aws:
            errors = logs.LogGroup(
                self,
                "ErrorLogs",  # API Gateway would make it itself, and keep it for ever
                log_group_name=f"API-Gateway-Execution-Logs_{api.rest_api_id}/{STAGE}",
                retention=logs.RetentionDays.THREE_MONTHS,
                removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            )
            api.deployment_stage.node.add_dependency(self._account(), errors)
        else:
            # The emulator takes the id from this tag, so that the address survives a redeploy.
            pinned = hashlib.sha256(self._target.prefix.encode()).hexdigest()[:8]
            Tags.of(api).add("ms-custom-id", pinned)
        return api

    def _stage(self, routes: list[tuple[Function, Route]]) -> apigateway.StageOptions:
        observed: dict[str, Any] = {"data_trace_enabled": False}  # bodies are never logged
        if self._target.on_aws:
            observed |= {
                "metrics_enabled": True,
                "logging_level": apigateway.MethodLoggingLevel.ERROR,
            }
        limited = {
            f"{route.path}/{route.method}": apigateway.MethodDeploymentOptions(
                throttling_rate_limit=LOGIN_RATE_PER_SECOND,
                throttling_burst_limit=LOGIN_BURST,
                **observed,
            )
            for _, route in routes
            if route.public and route.method != "GET"
        }
        common: dict[str, Any] = {
            "stage_name": STAGE,
            "throttling_rate_limit": RATE_PER_SECOND,
            "throttling_burst_limit": BURST,
            "method_options": limited,
            **observed,
        }
        if not self._target.on_aws:
            return apigateway.StageOptions(**common)
        self._sample()
        access = logs.LogGroup(
            self,
            "Access",
            # No group changes its class: one that was deployed in another needs another name.
            log_group_name=f"/aws/apigateway/{self._target.prefix}/access",
            # Half the price. It is searched, and nothing is counted from it or follows it.
            log_group_class=logs.LogGroupClass.INFREQUENT_ACCESS,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        return apigateway.StageOptions(
            **common,
            tracing_enabled=True,
            access_log_destination=apigateway.LogGroupLogDestination(access),
            access_log_format=apigateway.AccessLogFormat.custom(
                self.to_json_string(dict(ACCESS_LOG_FIELDS))
            ),
        )

    def _sample(self) -> None:
        """Trace a request a second and one in a hundred beyond: AWS's own rule traces one in 20."""
        xray.CfnSamplingRule(
            self,
            "Sampling",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=self._target.prefix,
                version=1,
                priority=1000,
                reservoir_size=1,
                fixed_rate=TRACED,
                service_name=f"{self._target.prefix}/{STAGE}",
                service_type="AWS::ApiGateway::Stage",
                resource_arn="*",
                host="*",
                http_method="*",
                url_path="*",
            ),
        )

    def _account(self) -> apigateway.CfnAccount:
        """Let API Gateway write logs: one setting per account and region."""
        role = iam.Role(
            self,
            "LogsRole",
            assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"),
            description="Lets API Gateway write the logs of its stages",
            inline_policies={
                "logs": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[
                                "logs:CreateLogGroup",
                                "logs:CreateLogStream",
                                "logs:DescribeLogGroups",
                                "logs:DescribeLogStreams",
                                "logs:FilterLogEvents",
                                "logs:GetLogEvents",
                                "logs:PutLogEvents",
                            ],
                            resources=["*"],  # the account's setting serves every API, old and new
                        )
                    ]
                )
            },
        )
        account = apigateway.CfnAccount(self, "Account", cloud_watch_role_arn=role.role_arn)
        account.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
        return account

    def _answers(self) -> None:
        for kind, answer in responses.answers().items():
            self.api.add_gateway_response(
                kind.title().replace("_", ""),
                type=apigateway.ResponseType.of(kind),
                status_code=str(answer.status),
                response_headers=dict(answer.headers),
                templates={"application/json": answer.body},
            )

    def _by_name(self, function: Function) -> lambda_.IFunction:
        """A function of another stack by its name, which never changes.

        An import would tie every function to an export of the other stack, and the permission to
        call it would lie over there and point back here.
        """
        arn = self.format_arn(
            service="lambda",
            resource="function",
            resource_name=function.invoked(self._target),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return lambda_.Function.from_function_attributes(
            self, function.construct_id, function_arn=arn, same_environment=True
        )

    def _authorizer(self, functions: list[Function]) -> apigateway.TokenAuthorizer | None:
        for function, _ in declared(functions, Authorizer):
            return apigateway.TokenAuthorizer(
                self,
                "Authorizer",
                authorizer_name=function.physical_name(self._target.prefix),
                handler=self._by_name(function),
                identity_source=apigateway.IdentitySource.header("Authorization"),
                validation_regex=BEARER,
                results_cache_ttl=AUTHORIZER_CACHE,
            )
        return None

    def _route(
        self, function: Function, route: Route, authorizer: apigateway.TokenAuthorizer | None
    ) -> None:
        custom = apigateway.AuthorizationType.CUSTOM
        self.api.root.resource_for_path(route.path).add_method(
            route.method,
            apigateway.LambdaIntegration(
                self._by_name(function), allow_test_invoke=False, timeout=INTEGRATION_TIMEOUT
            ),
            operation_name=function.construct_id,
            authorizer=authorizer,
            authorization_type=custom if authorizer else apigateway.AuthorizationType.NONE,
        )
