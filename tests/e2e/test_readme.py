"""Every command in the README is run, in order, on a fresh stack; what it prints is compared."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, Stack, decided, running_stack

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|json|text)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

# Proved otherwise: `make dev` starts the stack of this very module; `make test` is running now;
# `make deploy` needs an AWS account, and its templates are tested in tests/infra.
ELSEWHERE = {"make dev", "make test", "make deploy"}

CHANGING = (
    (r"[a-z]{2,3}_[0-9a-f]{32}", "<id>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"\d{4}-\d\d-\d\d", "<date>"),
    (r" +$", ""),
)


def steps() -> Iterator[tuple[str, str | None]]:
    """Yield each command with the output that the README shows after it, if any."""
    for position, (language, text) in enumerate(BLOCKS):
        if language != "sh":
            continue
        following = BLOCKS[position + 1 : position + 2]
        shown = following[0][1] if following and following[0][0] != "sh" else None
        commands = [text] if "\\\n" in text or shown else text.strip().split("\n")
        for command in commands:
            yield command.strip(), shown


def steady(text: str) -> str:
    for pattern, replacement in CHANGING:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text.strip()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack started by the README's own first command."""
    with running_stack(tmp_path_factory.mktemp("readme"), ["make", "dev"]) as stack:
        yield stack


def test_the_readme_opens_with_a_sentence_and_a_command() -> None:
    title, sentence, command, *_ = README.split("\n\n")
    assert title == "# Ivy"
    assert sentence.count(".") == 1
    assert command == "```sh\nmake dev\n```"


def test_ci_runs_the_readmes_test_command() -> None:
    assert ("make test", None) in list(steps())
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert re.search(r"^(exec )?make test$", script, re.MULTILINE)


def test_every_command(fresh: Stack) -> None:
    address = fresh.api.removesuffix("/api/v1")
    ran = 0
    for command, shown in steps():
        if command in ELSEWHERE:
            continue
        done = subprocess.run(
            ["bash", "-c", command.replace("http://localhost:8000", address)],
            cwd=REPOSITORY,
            env={**os.environ, "IVY_HOME": str(fresh.home), "PAGER": "cat"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stdout, command
        if shown is not None:
            assert steady(done.stdout) == steady(shown), command
        ran += 1
        if "/charges" in command and "ch_" in done.stdout:
            charge_id = re.findall(r"ch_[0-9a-f]{32}", done.stdout)[0]
            with fresh.client() as client:
                decided(client, charge_id)
    assert ran >= 6


def test_every_linked_file_exists() -> None:
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert linked
    assert [link for link in linked if not (REPOSITORY / Path(link)).exists()] == []
