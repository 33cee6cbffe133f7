from __future__ import annotations

import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from local.home import PROJECT, Home, free_port, port_taken, typed, write_private


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.create()
    return made


def test_the_home_is_in_the_project_unless_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("IVY_HOME", raising=False)
    assert Home.current().path == PROJECT / ".ivy"
    monkeypatch.setenv("IVY_HOME", str(tmp_path / "other"))
    assert Home.current().path == tmp_path / "other"


def test_secrets_are_made_once_and_private(home: Home) -> None:
    made = home.secrets()
    assert home.secrets() == made
    assert len(set(made.values())) == len(made)
    assert stat.S_IMODE((home.path / "secrets.json").stat().st_mode) == 0o600


def test_what_the_processes_write_is_private_too(tmp_path: Path) -> None:
    """Logs show keys and the emulator's state holds passwords, whatever an older start left."""
    home = Home(tmp_path / "home")
    (home.path / "logs").mkdir(parents=True, mode=0o755)
    home.create()
    for folder in (home.emulator, home.path / "logs", home.path / "run"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_secret_added_later_leaves_the_others_alone(home: Home) -> None:
    home.write("secrets", {"postgres": "kept"})
    assert home.secrets()["postgres"] == "kept"
    assert home.secrets()["pepper"]


def test_a_record_appears_whole_or_not_at_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write("local", {"api": "first"})

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        home.write("local", {"api": "second"})
    assert home.read("local") == {"api": "first"}


def test_a_damaged_record_reads_as_absent(home: Home) -> None:
    (home.path / "ports.json").write_text("{")
    assert home.read("ports") == {}


def test_a_taken_port_is_replaced_and_the_choice_kept(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        home.write("ports", {"front": taken})
        chosen = home.ports()["front"]
        assert chosen != taken
        assert port_taken(taken)
    assert home.ports()["front"] == chosen


def test_commands_are_spelled_as_this_shell_can_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "`ivy up` starts Ivy; ivy logs postgres, not /x/ivy up nor ivy grows"
    ours = tmp_path / "bin" / "ivy"
    ours.parent.mkdir()
    ours.touch(mode=0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(ours.parent))
    assert typed(text) == text

    monkeypatch.setenv("PATH", "/nowhere")
    assert typed(text) == text.replace("`ivy", f"`{ours}").replace("; ivy", f"; {ours}")

    monkeypatch.setattr(sys, "prefix", str(PROJECT / ".venv"))
    assert typed("ivy down") == ".venv/bin/ivy down"


def test_a_free_port_is_near_the_preferred_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        assert free_port(taken) != taken


def test_one_stack_per_home(home: Home) -> None:
    held = home.lock()
    assert held is not None
    assert home.lock() is None
    held.close()
    again = home.lock()
    assert again is not None
    again.close()


def test_private_files_leave_no_draft(tmp_path: Path) -> None:
    write_private(tmp_path / "a.json", json.dumps({}))
    assert [path.name for path in Path(tmp_path).iterdir()] == ["a.json"]
