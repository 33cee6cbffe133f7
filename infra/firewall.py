"""The firewall before the gateway: turn away addresses that ask far more than anyone needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_wafv2 as wafv2

if TYPE_CHECKING:
    from aws_cdk import aws_apigateway as apigateway
    from constructs import Construct

REQUESTS_PER_ADDRESS = 5000
"""In five minutes, before an address is turned away."""


def add_firewall(scope: Construct, name: str, stage: apigateway.Stage) -> None:
    """Put a firewall with a rate rule before a stage."""
    acl = wafv2.CfnWebACL(
        scope,
        "Firewall",
        name=name,
        scope="REGIONAL",
        default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
        visibility_config=_visible(name),
        rules=[
            wafv2.CfnWebACL.RuleProperty(
                name="rate",
                priority=0,
                action=wafv2.CfnWebACL.RuleActionProperty(block={}),
                visibility_config=_visible(f"{name}-rate"),
                statement=wafv2.CfnWebACL.StatementProperty(
                    rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                        limit=REQUESTS_PER_ADDRESS, aggregate_key_type="IP"
                    )
                ),
            )
        ],
    )
    wafv2.CfnWebACLAssociation(
        scope, "FirewallOfApi", web_acl_arn=acl.attr_arn, resource_arn=stage.stage_arn
    )


def _visible(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=True
    )
