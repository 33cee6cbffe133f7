"""LocalStack instead of the embedded emulator, with a second emulator standing for LocalStack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.errors import LocalError
from local.home import Home
from local.progress import Progress
from local.stack import LocalStack, Outside

if TYPE_CHECKING:
    from pathlib import Path

    from local.emulator import Emulator


def stack(tmp_path: Path) -> LocalStack:
    home = Home(tmp_path)
    home.create()
    return LocalStack(home, Progress())


def test_the_embedded_emulator_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IVY_AWS_ENDPOINT", "IVY_DATABASE_HOST", "IVY_DATABASE_LISTEN"):
        monkeypatch.delenv(name, raising=False)
    assert Outside.read() == Outside("", "127.0.0.1", ("127.0.0.1",))


def test_functions_in_containers_reach_the_host_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IVY_AWS_ENDPOINT", "http://localhost:4566/")
    assert Outside.read().endpoint == "http://localhost:4566"
    assert Outside.read().database_host == "host.docker.internal"
    monkeypatch.setenv("IVY_DATABASE_HOST", "172.17.0.1")
    monkeypatch.setenv("IVY_DATABASE_LISTEN", "127.0.0.1, 172.17.0.1")
    assert Outside.read().database_host == "172.17.0.1"
    assert Outside.read().listen == ("127.0.0.1", "172.17.0.1")


def test_an_emulator_elsewhere_is_used_and_not_started(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IVY_AWS_ENDPOINT", emulator.endpoint)
    made = stack(tmp_path)
    assert made._start_emulator().endpoint == emulator.endpoint
    assert made.emulator is None


def test_nobody_at_that_address_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IVY_AWS_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(LocalError, match="IVY_AWS_ENDPOINT"):
        stack(tmp_path)._start_emulator()


def test_a_port_taken_in_the_last_moment_is_replaced(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415 - only here

    made = stack(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as winner:
        taken = winner.getsockname()[1]
        made._ports = {"front": taken}
        tried: list[int] = []

        def start(port: int) -> None:
            tried.append(port)
            if port == taken:
                raise LocalError("taken")

        made._on_free_port("front", start)
    assert tried[0] == taken
    assert made._ports["front"] == tried[1] != taken


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    made = stack(tmp_path)
    made._ports = {"front": 1}

    def start(_: int) -> None:
        raise LocalError("broken")

    with pytest.raises(LocalError, match="broken"):
        made._on_free_port("front", start)
