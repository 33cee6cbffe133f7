"""The application: which stacks exist and in which order they are deployed."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aws_cdk import App, DefaultStackSynthesizer, Environment, Stack

from infra import layers
from infra.api import ApiStack
from infra.catalogue import deployed, read_functions
from infra.connectors import ConnectorsStack
from infra.data import DataStack
from infra.function import FunctionFactory
from infra.migrations import add_migrations
from infra.network import NetworkStack
from infra.routes import RoutesStack
from infra.watch import WatchStack
from infra.workers import WorkersStack

if TYPE_CHECKING:
    from pathlib import Path

    from infra.catalogue import Function
    from infra.layers import Layer
    from infra.network import Network
    from infra.target import Target

LOCAL_ENVIRONMENT = Environment(account="000000000000", region="us-east-1")
LOCAL_ASSETS = "ivy-assets"
"""The bucket that the local deployer creates and fills."""


def assemble(target: Target, out: Path, functions: Path, build: Path | None) -> list[str]:
    """Write the assembly and return the stacks in deployment order."""
    build = build or layers.BUILD
    built = layers.build(target.name, build, stripe=target.stripe)
    app = application(target, out, deployed(read_functions(functions), target), built, build)
    if target.on_aws:
        from infra import nag  # noqa: PLC0415 - thousands of rules that only this target loads

        nag.check(app)
    return [stack.stack_name for stack in app.synth().stacks]


def application(
    target: Target, out: Path, functions: list[Function], built: dict[str, Layer], build: Path
) -> App:
    """Return the application with its stacks, not yet written."""
    app = App(outdir=str(out), context=_context(target), analytics_reporting=False)
    network: Network | None = None
    order: list[Stack] = []
    if target.on_aws:
        network_stack = NetworkStack(app, f"{target.prefix}-network", **_placed(target))
        network = network_stack.network
        order.append(network_stack)
    data = DataStack(
        app,
        f"{target.prefix}-data",
        target=target,
        functions=functions,
        network=network,
        **_placed(target),
    )
    add_migrations(data, target, functions, FunctionFactory(data, target, built, network, build))
    connectors = ConnectorsStack(app, f"{target.prefix}-connectors", **_placed(target))
    connectors.add(
        functions, data.shared, FunctionFactory(connectors, target, built, network, build)
    )
    routes = RoutesStack(app, f"{target.prefix}-routes", **_placed(target))
    routes.add(functions, data.shared, FunctionFactory(routes, target, built, network, build))
    workers = WorkersStack(app, f"{target.prefix}-workers", **_placed(target))
    workers.add(
        target, functions, data.shared, FunctionFactory(workers, target, built, network, build)
    )
    api = ApiStack(
        app, f"{target.prefix}-api", target=target, functions=functions, **_placed(target)
    )
    watch = WatchStack(
        app,
        f"{target.prefix}-watch",
        target=target,
        functions=functions,
        data=data,
        workers=workers,
        **_placed(target),
    )
    order += [data, connectors, routes, workers, api, watch]
    for earlier, later in pairwise(order):
        later.add_stack_dependency(earlier)
    return app


def _context(target: Target) -> dict[str, Any]:
    """The flags of cdk.json, so that this module and the CDK command line write the same."""
    flags: dict[str, Any] = json.loads((layers.REPOSITORY / "cdk.json").read_text())["context"]
    if target.on_aws:
        return flags
    return {
        **flags,
        "aws:cdk:enable-asset-metadata": True,  # where `sam local` finds the code
        "aws:cdk:disable-stack-trace": True,
    }


def _placed(target: Target) -> dict[str, Any]:
    """Where a stack goes, and how its assets are named."""
    if target.on_aws:
        account, region = (os.environ.get(f"CDK_DEFAULT_{x}") for x in ("ACCOUNT", "REGION"))
        return {"env": Environment(account=account, region=region)} if account else {}
    return {
        "env": LOCAL_ENVIRONMENT,
        "synthesizer": DefaultStackSynthesizer(
            file_assets_bucket_name=LOCAL_ASSETS, generate_bootstrap_version_rule=False
        ),
    }
