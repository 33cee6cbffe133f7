"""The command: what it refuses, what it writes, and that it needs no node of the machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.app import synthesise
from tests.infra.templates import REPOSITORY, Assembly

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = """
import pytest
from infra.app import use_node_of_this_environment
use_node_of_this_environment()
from aws_cdk import App, Stack, aws_sqs
from infra import nag
app = App(outdir={out!r})
queue = aws_sqs.Queue(Stack(app, "planted"), "Unencrypted")
nag.check(app)
app.synth()
"""


def test_stacks_in_order(local: Assembly, aws: Assembly) -> None:
    def order(assembly: Assembly) -> dict[str, list[str]]:
        artifacts = json.loads((assembly.folder / "manifest.json").read_text())["artifacts"]
        return {
            name: [d for d in found.get("dependencies", []) if not d.endswith(".assets")]
            for name, found in artifacts.items()
            if found["type"] == "aws:cloudformation:stack"
        }

    assert order(local)["ivy-data"] == []
    assert order(aws)["ivy-data"] == ["ivy-network"]
    for found in (order(local), order(aws)):
        assert "ivy-data" in found["ivy-connectors"]
        assert "ivy-connectors" in found["ivy-routes"]
        assert "ivy-workers" in found["ivy-api"]
        assert "ivy-api" in found["ivy-watch"]


def test_every_asset_is_a_finished_zip(assembly: Assembly) -> None:
    for manifest in assembly.folder.glob("*.assets.json"):
        for asset in json.loads(manifest.read_text())["files"].values():
            assert asset["source"]["packaging"] == "file"
            assert (assembly.folder / asset["source"]["path"]).is_file()


def test_cdk_nag_refuses_what_is_not_accepted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANTED.format(out=str(tmp_path))],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "AwsSolutions-SQS" in (tmp_path / "validation-report.json").read_text()


def test_proxy_stands_between_functions_and_aurora(proxied: Assembly) -> None:
    assert proxied.one("AWS::RDS::DBProxy").properties["RequireTLS"] is True
    for name, function in proxied.functions().items():
        environment = function.properties.get("Environment", {}).get("Variables", {})
        if "IVY_DATABASE_SECRET" in environment:
            direct = "IVY_DATABASE_HOST" not in environment
            assert direct == (name == "ivy-database-migrate"), name


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local or aws"):
        synthesise("moon", tmp_path)


def test_sam_local_finds_templates_variables_and_layers(local: Assembly) -> None:
    settings = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())
    settings.pop("version")
    for environment in settings.values():
        name = environment["global"]["parameters"]["template_file"]
        assert name.removeprefix("cdk.out/").removesuffix(".template.json") in local.templates
        variables = REPOSITORY / environment["local_invoke"]["parameters"]["env_vars"]
        known = {
            variable
            for function in local.functions().values()
            for variable in function.properties["Environment"]["Variables"]
        }
        assert set(json.loads(variables.read_text())["Parameters"]) <= known
    for template in local.templates.values():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::LayerVersion":
                assert (Path(resource["Metadata"]["aws:asset:path"]) / "python").is_dir()
