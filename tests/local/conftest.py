from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.aws import Aws
from local.emulator import Emulator
from local.home import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def an_emulator(directory: Path) -> Emulator:
    directory.mkdir(exist_ok=True)
    return Emulator(directory, free_port(), directory / "emulator.log", directory / "emulator.json")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    running = an_emulator(tmp_path_factory.mktemp("emulator"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def aws(emulator: Emulator) -> Aws:
    return Aws(emulator.endpoint)
