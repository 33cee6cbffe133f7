from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local import interpreter, processes
from local.aws import Aws
from local.errors import LocalError
from local.home import free_port
from tests.local.conftest import an_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.emulator import Emulator


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator that a test may stop and kill."""
    emulator = an_emulator(tmp_path)
    emulator.start()
    yield emulator
    emulator.stop()


def queues(emulator: Emulator) -> list[str]:
    found = Aws(emulator.endpoint).client("sqs").list_queues().get("QueueUrls", [])
    return [url.rsplit("/", 1)[-1] for url in found]


def make_queue(emulator: Emulator, name: str) -> None:
    Aws(emulator.endpoint).client("sqs").create_queue(QueueName=name)


def test_state_survives_a_stop(own: Emulator) -> None:
    make_queue(own, "kept")
    own.stop()
    own.start()
    assert queues(own) == ["kept"]


def test_state_older_than_a_kill_is_not_used(own: Emulator) -> None:
    make_queue(own, "saved")
    own.stop()
    own.start()
    make_queue(own, "never-saved")
    own.kill()
    own.start()
    assert queues(own) == []


def test_state_from_another_port_is_not_used(own: Emulator) -> None:
    """A queue's address holds the port, and deployed functions hold the queue's address."""
    make_queue(own, "elsewhere")
    own.stop()
    own.port = free_port()
    own.start()
    assert queues(own) == []


def test_one_that_a_killed_command_left_behind_saves_its_state_and_ends(own: Emulator) -> None:
    make_queue(own, "orphan")
    before = own.process
    assert before is not None
    again = an_emulator(own.directory)
    again.port = own.port
    again.start()
    try:
        assert before.wait(timeout=10) == 0
        assert queues(again) == ["orphan"]
    finally:
        again.stop()


def test_it_listens_on_the_loopback_address_only(emulator: Emulator) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", emulator.port), timeout=1)


def test_temporary_files_of_earlier_runs_are_gone(own: Emulator) -> None:
    own.stop()
    left = own.directory / "tmp" / "layer"
    left.mkdir()
    own.start()
    assert not left.exists()


def test_functions_see_nothing_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("IVY_HOME", "/somewhere")
    seen = an_emulator(tmp_path)._environment(tmp_path)
    assert not {name for name in seen if name.startswith(("AWS_", "IVY_", "PYTHON"))}


def test_one_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        emulator = an_emulator(tmp_path)
        emulator.port = taken.getsockname()[1]
        with pytest.raises(LocalError, match="already in use"):
            emulator.start()


def test_its_interpreter_has_boto3_and_not_the_project(tmp_path: Path) -> None:
    python = interpreter.prepare(tmp_path / "python")
    made = python.lstat().st_mtime_ns
    names = {path.name for path in (tmp_path / "python").glob("lib/*/site-packages/*")}
    assert {"boto3", "botocore", "ministack"} <= names
    assert not {"pydantic", "pytest", "ivy", "aws_cdk", "_ivy.pth"} & names
    assert interpreter.prepare(tmp_path / "python").lstat().st_mtime_ns == made


def test_a_remembered_process_is_not_confused_with_a_later_one(tmp_path: Path) -> None:
    note = tmp_path / "process.json"
    processes.remember(note, os.getpid())
    assert processes.recall(note) == os.getpid()
    noted = json.loads(note.read_text())
    note.write_text(json.dumps(noted | {"started": noted["started"] - 100}))
    assert processes.recall(note) is None


def test_a_process_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    stubborn = processes.spawn(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        log=tmp_path / "log",
        environment=os.environ,
        cwd=tmp_path,
    )
    while "ready" not in (tmp_path / "log").read_text():
        pass
    assert not processes.end(stubborn.pid, ask=signal.SIGTERM, grace_seconds=0.3)
    assert stubborn.wait(timeout=5) == -signal.SIGKILL
    assert Path(tmp_path / "log").exists()
