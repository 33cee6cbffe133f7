"""The command itself: two stacks started at the same moment, one of them killed and repaired."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from local.home import PROJECT, command, port_taken

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = str(Path(sys.executable).with_name("ivy"))
START_SECONDS = 300


def ivy(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=PROJECT,
        env=os.environ | {"IVY_HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


def facts(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "local.json").read_text())
    return found


def ask(home: Path, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    told = facts(home)
    answer = httpx.request(
        "POST" if body else "GET",
        told["api"] + path,
        json=body,
        headers={
            "Authorization": f"Bearer {told['merchant']['secret_key']}",
            "Idempotency-Key": uuid.uuid4().hex,
        },
        timeout=60,
    )
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def pid_of(home: Path, part: str) -> int:
    if part == "postgres":
        return int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return int(json.loads((home / "run" / f"{part}.json").read_text())["pid"])


def processes_of(home: Path) -> list[str]:
    """Whatever runs out of a home: emulator, workers, PostgreSQL, the command."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(home) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Two stacks, started at the same moment, so that they want the same ports."""
    made = [tmp_path_factory.mktemp("side") / "by-side" for _ in range(2)]
    starts = [
        subprocess.Popen(
            [COMMAND, "up", "--detach"],
            cwd=PROJECT,
            env=os.environ | {"IVY_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for home in made
    ]
    try:
        for start in starts:
            output, _ = start.communicate(timeout=START_SECONDS)
            assert start.returncode == 0, output
            assert "curl -s http://localhost:" in output
        yield made
    finally:
        for home in made:
            ivy(home, "down")


def test_stacks_side_by_side_share_nothing(homes: list[Path]) -> None:
    one, two = (facts(home) for home in homes)
    assert one["api"] != two["api"]
    assert one["emulator"] != two["emulator"]
    assert one["merchant"]["secret_key"] != two["merchant"]["secret_key"]

    made = ask(homes[0], "/charges", CHARGE)

    assert [charge["id"] for charge in ask(homes[0], "/charges")["data"]] == [made["id"]]
    assert ask(homes[1], "/charges")["data"] == []


def test_local_json_is_private_and_complete(homes: list[Path]) -> None:
    assert (homes[0] / "local.json").stat().st_mode & 0o777 == 0o600
    told = facts(homes[0])
    assert told.keys() == {"api", "docs", "emulator", "database", "merchant"}
    assert told["merchant"].keys() == {
        "id",
        "email",
        "password",
        "secret_key",
        "publishable_key",
    }
    page = httpx.get(told["docs"], timeout=60, follow_redirects=True)
    assert "swagger" in page.text.lower()


def test_a_second_start_of_the_same_home_shows_the_first(homes: list[Path]) -> None:
    before = pid_of(homes[0], "ivy")
    again = ivy(homes[0], "up")
    assert again.returncode == 0
    assert facts(homes[0])["api"] in again.stdout
    assert pid_of(homes[0], "ivy") == before


def test_the_other_commands_know_the_running_stack(homes: list[Path]) -> None:
    home = homes[0]
    state = json.loads(ivy(home, "status", "--json").stdout)
    assert state["running"]
    assert all(part["answers"] for part in state["parts"].values())
    assert ivy(home, "key").stdout.strip() == facts(home)["merchant"]["secret_key"]
    assert ivy(home, "psql", "-Atc", "SELECT current_user, 6 * 7").stdout == "ivy_read|42\n"
    assert "charges-create" in ivy(home, "logs", "charges/create", "--no-follow").stdout
    doctor = ivy(home, "doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_killing_the_command_leaves_nothing_that_cannot_be_repaired(homes: list[Path]) -> None:
    home = homes[0]
    charge = ask(home, "/charges", CHARGE)
    key = facts(home)["merchant"]["secret_key"]
    os.kill(pid_of(home, "ivy"), signal.SIGKILL)

    until(lambda: ivy(home, "status").returncode == 1)
    doctor = ivy(home, "doctor")
    assert doctor.returncode == 1
    assert "left the emulator running" in doctor.stdout
    assert f"→ {command()} down" in doctor.stdout

    again = ivy(home, "up", "--detach")
    assert again.returncode == 0, again.stdout + again.stderr
    assert facts(home)["merchant"]["secret_key"] == key
    assert ask(home, f"/charges/{charge['id']}")["amount"] == 10000


@pytest.mark.parametrize(
    ("part", "name"), [("emulator", "The emulator"), ("postgres", "PostgreSQL")]
)
def test_a_part_that_dies_ends_the_rest_and_the_next_start_repairs_it(
    homes: list[Path], part: str, name: str
) -> None:
    home = homes[0]
    charge = ask(home, "/charges", CHARGE)
    # an attempt whose report dies with the emulator holds its endpoint up until the next sweep
    until(lambda: delivered(home, charge["id"]))
    os.kill(pid_of(home, part), signal.SIGKILL)
    # said last of all, after the others have ended
    until(lambda: f"{name} ended unexpectedly" in (home / "logs" / "ivy.log").read_text())
    assert not (home / "run" / "ivy.json").exists()
    assert not (home / "local.json").exists()

    again = ivy(home, "up", "--detach")
    assert again.returncode == 0, again.stdout + again.stderr
    assert ask(home, f"/charges/{charge['id']}")["amount"] == 10000
    later = ask(home, "/charges", CHARGE)["id"]
    until(lambda: in_inbox(home, later))
    assert in_inbox(home, later) == {""}  # although its secret was in the emulator


def delivered(home: Path, subject: str) -> bool:
    """Say whether an object's events have arrived, and whether Ivy knows."""
    told = [ask(home, f"/events/{each['id']}") for each in events_of(home, subject)]
    states = [delivery["status"] for event in told for delivery in event["deliveries"]]
    return len(states) >= EVENTS and set(states) == {"succeeded"}


def events_of(home: Path, subject: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(home, f"/events?object={subject}")["data"]
    return found


def in_inbox(home: Path, subject: str) -> set[str]:
    """Return what the inbox found wrong with deliveries about an object; "" for nothing."""
    address = facts(home)["api"].removesuffix("/api/v1")
    found = httpx.get(f"{address}/inbox/deliveries").json()["deliveries"]
    return {each["refused"] for each in found if each["subject"] == subject}


def test_down_ends_everything_of_this_home_and_nothing_of_the_other(homes: list[Path]) -> None:
    home = homes[0]
    port = int(facts(home)["api"].split(":")[2].split("/")[0])
    assert ivy(home, "down").stdout == "Stopped.\n"
    assert not (home / "local.json").exists()
    assert not port_taken(port)
    until(lambda: not processes_of(home))
    assert ivy(home, "down").stdout == "Nothing was running.\n"
    assert ask(homes[1], "/me")["object"] == "me"


EVENTS = 2
"""Of a charge that succeeds: it was pending before."""

CHARGE = {"amount": 10000, "currency": "USD", "payment_method": "tok_visa"}


def until(question: Any, within_seconds: float = 90) -> None:
    deadline = time.monotonic() + within_seconds
    while not question():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.1)
