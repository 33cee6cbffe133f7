"""What a killed ``ivy up`` leaves running, found again through the notes in its home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local import postgres, processes
from local.emulator import Emulator

if TYPE_CHECKING:
    from local.home import Home


def find(home: Home) -> list[str]:
    """Return the parts that run without the command that started them."""
    if not home.path.exists() or processes.recall(home.process("ivy")) is not None:
        return []
    found = []
    if processes.recall(home.process("emulator")) is not None:
        found.append("the emulator")
    if home.cluster.exists() and processes.working_in(home.cluster):
        found.append("PostgreSQL")
    return found


def end(home: Home) -> list[str]:
    """Stop those parts, the emulator with its state saved, and drop every stale note."""
    found = find(home)
    port = int(home.read("ports").get("emulator", 0))
    Emulator(home.emulator, port, home.log("emulator"), home.process("emulator")).clear()
    if home.cluster.exists():
        postgres.clear(home.cluster)
    home.forget("local")
    processes.forget(home.process("ivy"))
    return found
