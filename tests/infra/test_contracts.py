"""The import contracts hold, and each is seen to break when it is breached."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.infra.templates import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {
    "ivy": "layers/ivy/python/ivy",
    "functions": "functions",
    "infra": "infra",
    "local": "local",
}

LINT = """
import sys
repository, here, *contracts = sys.argv[1:]
originals = {"", repository, repository + "/layers/ivy/python"}
sys.path = [here, *(path for path in sys.path if path not in originals)]
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=here + "/pyproject.toml", limit_to_contracts=contracts,
                      no_cache=True))
"""

BREACHES = [
    ("direction", "ivy/money.py", "import functions.charges.get"),
    ("direction", "ivy/money.py", "import infra.target"),
    ("direction", "functions/charges/get.py", "import infra.target"),
    ("direction", "infra/target.py", "import local.home"),
    ("functions-apart", "functions/charges/get.py", "import functions.charges.list"),
    ("functions-apart", "functions/charges/get.py", "import functions.ledger.roll_up"),
    ("inside-ivy", "ivy/money.py", "import ivy.ledger"),
    ("inside-ivy", "ivy/ledger.py", "import ivy.serve"),
    ("inside-ivy", "ivy/charges.py", "import ivy.access"),
    ("inside-ivy", "ivy/helpers.py", ""),
    ("http-in-serve", "ivy/charges.py", "def later():\n    import fastapi"),
    ("http-in-serve", "functions/charges/get.py", "import starlette.responses"),
    ("aws-at-the-edge", "ivy/charges.py", "def later():\n    import boto3"),
    ("aws-at-the-edge", "functions/charges/get.py", "import botocore.config"),
    ("stripe-in-its-layer", "ivy/connectors/stripe.py", "def later():\n    import stripe"),
    ("stripe-in-its-layer", "functions/charges/get.py", "from stripe import StripeClient"),
    ("templates-stay-home", "ivy/ledger.py", "import aws_cdk"),
]


@pytest.fixture(scope="module")
def contracts() -> set[str]:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return {each["id"] for each in document["tool"]["importlinter"]["contracts"]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, source in SOURCES.items():
        shutil.copytree(
            REPOSITORY / source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, str(REPOSITORY), str(tree), *contracts],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_all_contracts_hold(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout


def test_every_contract_is_breached_below(contracts: set[str]) -> None:
    assert {contract for contract, _, _ in BREACHES} == contracts


@pytest.mark.parametrize(("contract", "path", "text"), BREACHES)
def test_a_breach_is_seen(tree: Path, contract: str, path: str, text: str) -> None:
    with (tree / path).open("a") as source:
        source.write(f"\n{text}\n")
    done = lint(tree, contract)
    assert done.returncode != 0, done.stdout
    assert "BROKEN" in done.stdout, done.stdout + done.stderr
