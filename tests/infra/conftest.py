"""The templates of both targets, written once a session by the command that people run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra import layers
from infra.app import use_node_of_this_environment
from infra.catalogue import Function, deployed, read_functions
from infra.target import target_named
from tests.infra.templates import REPOSITORY, Assembly

SYNTH_SECONDS = 240
SYNTHESISED = {
    "local": ("--target", "local"),
    "aws": ("--target", "aws"),
    "proxied": ("--target", "aws", "--proxy", "--stripe"),
}
"""The third has everything that can be switched on."""


use_node_of_this_environment()  # some tests import CDK themselves, which starts node at once

NO_NODE = "/nonexistent"
"""A PATH without node, so that every run of these tests shows that none is needed."""


def _start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CDK_", "JSII_"))}
    environment = {**kept, "PATH": NO_NODE, "UV": layers.uv()}
    return subprocess.Popen(
        [sys.executable, "-m", "infra.app", "--out", str(out), *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _read(process: subprocess.Popen[str], out: Path) -> Assembly:
    said, _ = process.communicate(timeout=SYNTH_SECONDS)
    assert process.returncode == 0, said
    templates = {
        path.name.removesuffix(".template.json"): json.loads(path.read_text())
        for path in sorted(out.glob("*.template.json"))
    }
    return Assembly(out, templates)


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Assembly]:
    folder = tmp_path_factory.mktemp("assemblies")
    started = {name: _start(folder / name, *arguments) for name, arguments in SYNTHESISED.items()}
    return {name: _read(process, folder / name) for name, process in started.items()}


@pytest.fixture(scope="session")
def local(assemblies: dict[str, Assembly]) -> Assembly:
    return assemblies["local"]


@pytest.fixture(scope="session")
def aws(assemblies: dict[str, Assembly]) -> Assembly:
    return assemblies["aws"]


@pytest.fixture(scope="session")
def proxied(assemblies: dict[str, Assembly]) -> Assembly:
    return assemblies["proxied"]


@pytest.fixture(params=["local", "aws", "proxied"])
def assembly(request: pytest.FixtureRequest, assemblies: dict[str, Assembly]) -> Assembly:
    return assemblies[request.param]


@pytest.fixture(scope="session")
def functions() -> list[Function]:
    """The functions of a deployment with nothing switched on."""
    return deployed(read_functions(), target_named("local"))
