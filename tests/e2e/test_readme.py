"""Every command in the README is run, in order, on a fresh stack; what it prints is compared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, START_SECONDS, Stack, decided, running_stack

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(sh|json|text)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

# Proved otherwise: `make dev` starts the stack of this very module; `make test` is running now;
# `make deploy` needs an AWS account, and its templates are tested in tests/infra.
ELSEWHERE = {"make dev", "make test", "make deploy"}

LISTEN = ".venv/bin/ivy listen"

CHANGING = (
    (r"[a-z]{2,3}_[0-9a-f]{32}", "<id>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"^\d\d:\d\d:\d\d", "<time>"),
    (r"#\d+ +", "#<number> "),
    (r"\d{4}-\d\d-\d\d", "<date>"),
    (r"(?<=PAYOUT)( +)\d{6}", r"\1<day>"),
    (r"(?<=0000005000)[0-9a-f]{15}", "<payout>"),
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


@contextmanager
def meanwhile(command: str, shown: str, environment: dict[str, str]) -> Iterator[None]:
    """Run a command that goes on until Ctrl-C beside others; at last, compare what it printed."""
    process = subprocess.Popen(
        command.split(), cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    patience = threading.Timer(START_SECONDS, process.kill)
    patience.start()
    try:
        printed = [process.stdout.readline()]  # from now on it listens
        yield
        printed += [process.stdout.readline() for _ in shown.strip().split("\n")[1:]]
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
        patience.cancel()
    assert process.returncode == 0
    assert steady("".join(printed) + rest) == steady(shown), command


def test_every_command(fresh: Stack) -> None:
    address = fresh.api.removesuffix("/api/v1")
    environment = {**os.environ, "IVY_HOME": str(fresh.home), "PAGER": "cat"}
    ran = 0
    with ExitStack() as beside:
        for command, shown in steps():
            if command in ELSEWHERE:
                continue
            if command.startswith(LISTEN):
                beside.enter_context(meanwhile(command, shown or "", environment))
                continue
            run(command.replace("http://localhost:8000", address), shown, fresh, environment)
            ran += 1
    assert ran >= 7


def run(command: str, shown: str | None, fresh: Stack, environment: dict[str, str]) -> None:
    """Run one command of the README, and compare what it prints with what is shown."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert done.stdout, command
    if shown is not None:
        assert steady(done.stdout) == steady(shown), command
    if "/charges" in command and "ch_" in done.stdout:
        charge_id = re.findall(r"ch_[0-9a-f]{32}", done.stdout)[0]
        with fresh.client() as client:
            decided(client, charge_id)


def test_every_linked_file_exists() -> None:
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert linked
    assert [link for link in linked if not (REPOSITORY / Path(link)).exists()] == []
