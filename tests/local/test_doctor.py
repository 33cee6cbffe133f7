from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from local import doctor, leftovers, processes, report
from local.errors import LocalError
from local.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.doctor import Finding


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def broken(home: Home) -> list[Finding]:
    return [finding for finding in doctor.examine(home) if finding.fix]


def test_a_sound_machine_has_nothing_to_fix(tmp_path: Path, home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home.write("ports", {"front": port, "emulator": port, "postgres": port})
    assert broken(home) == []
    assert tmp_path.exists()


def test_an_old_python_is_named_with_its_fix(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert "3.11" in broken(home)[0].fix


def test_a_missing_wheel_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.WHEELS, "not_there_at_all", "the missing thing")
    [finding] = [f for f in broken(home) if "Not installed" in f.what]
    assert "the missing thing" in finding.what
    assert finding.fix == "make setup"


def test_a_full_disk_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e8))
    [finding] = [f for f in broken(home) if "GB free" in f.what]
    assert "IVY_HOME" in finding.fix


def test_a_taken_port_is_named(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        home.write("ports", {"front": port})
        [finding] = [f for f in broken(home) if f"Port {port} " in f.what]
    assert f":{port}" in finding.fix


def test_root_without_setpriv_is_told_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    [finding] = [f for f in broken(home) if "setpriv" in f.what]
    assert "util-linux" in finding.fix


def test_stale_notes_are_named_and_removed(home: Home) -> None:
    home.write("local", {"api": "http://gone"})
    home.process("ivy").write_text('{"pid": 1, "started": 1.0}')
    [finding] = [f for f in broken(home) if "Stale" in f.what]
    assert "local.json" in finding.what
    assert finding.fix == "ivy down"

    leftovers.end(home)

    assert not [f for f in broken(home) if "Stale" in f.what]


@pytest.fixture
def orphan(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Something that runs under the emulator's name, as after a killed ``ivy up``."""
    process = subprocess.Popen(["sleep", "60"])
    processes.remember(home.process("emulator"), process.pid)
    yield process
    process.kill()
    process.wait()


def test_a_process_left_over_is_named_and_ended(
    home: Home, orphan: subprocess.Popen[bytes]
) -> None:
    [finding] = [f for f in broken(home) if "left" in f.what]
    assert "the emulator" in finding.what
    assert finding.fix == "ivy down"

    assert leftovers.end(home) == ["the emulator"]

    assert orphan.wait(timeout=5) != 0
    assert not [f for f in broken(home) if "left" in f.what]


def test_a_home_that_never_ran_is_not_running(tmp_path: Path) -> None:
    state = report.status(Home(tmp_path / "never"))
    assert state["running"] is False
    assert "→ ivy up" in report.as_text(state)
    assert not (tmp_path / "never").exists()


def test_logs_of_a_stack_that_does_not_run_are_explained(home: Home) -> None:
    with pytest.raises(LocalError) as raised:
        report.logs(home, "charges/create", follow=False)
    assert "ivy up" in raised.value.fix


def test_a_part_has_a_log_of_its_own(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.log("postgres").write_text("database system is ready\n")
    report.logs(home, "postgres", follow=False)
    assert capsys.readouterr().out == "database system is ready\n"
