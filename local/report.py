"""What runs, and what it says: ``ivy status`` and ``ivy logs``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from local import processes
from local.aws import Aws
from local.emulator import answers
from local.errors import LocalError
from local.home import PREFIX, PROJECT, port_taken

if TYPE_CHECKING:
    from local.home import Home

POLL_SECONDS = 0.5
EARLIER_SECONDS = 600
"""How far back a log starts."""

NOISE = ("START RequestId", "END RequestId", "REPORT RequestId", '{"_aws"')
"""The platform's own lines, and metrics that travel as log lines."""

FILES = ("ivy", "emulator", "postgres")


def status(home: Home) -> dict[str, Any]:
    """Return what runs in a home, part by part."""
    facts, ports = home.read("local"), home.read("ports")
    emulator = facts.get("emulator") or f"http://127.0.0.1:{ports.get('emulator', 0)}"
    parts = {
        "ivy": {"answers": processes.recall(home.process("ivy")) is not None},
        "front": _port(ports.get("front")),
        "emulator": {"answers": answers(emulator), "address": emulator},
        "postgres": _port(ports.get("postgres")),
    }
    return {
        "home": str(home.path),
        "running": bool(facts) and all(part["answers"] for part in parts.values()),
        "parts": parts,
        **{name: facts[name] for name in ("api", "docs", "database") if name in facts},
    }


def as_json(state: dict[str, Any]) -> str:
    """Render a status for programs."""
    return json.dumps(state, indent=2)


def as_text(state: dict[str, Any]) -> str:
    """Render a status for people."""
    lines = [f"{'Running' if state['running'] else 'Not running'} in {state['home']}"]
    for name, part in state["parts"].items():
        mark = "✓" if part["answers"] else "✗"
        lines.append(f"  {mark} {name:<10} {part.get('address', '')}".rstrip())
    lines += [f"  {name:<12} {state[name]}" for name in ("api", "docs") if name in state]
    if not state["running"]:
        lines.append("→ ivy up" if not state["parts"]["ivy"]["answers"] else "→ ivy logs ivy")
    return "\n".join(lines)


def logs(home: Home, name: str, *, follow: bool) -> None:
    """Print what functions logged, or the log file of a part, and follow it.

    Raises:
        LocalError: Nothing runs, or nothing is called that.
    """
    try:
        if name in FILES:
            _file(home, name, follow=follow)
        else:
            _functions(home, name, follow=follow)
    except KeyboardInterrupt:
        return


def _file(home: Home, name: str, *, follow: bool) -> None:
    path = home.log(name)
    if not path.exists():
        raise LocalError(f"There is no {path}.", "Start the stack with `ivy up`.")
    with path.open(errors="replace") as lines:
        while True:
            print(lines.read(), end="", flush=True)  # noqa: T201 - a command's answer
            if not follow:
                return
            time.sleep(POLL_SECONDS)


def _functions(home: Home, name: str, *, follow: bool) -> None:
    facts = home.running()
    client = Aws(facts["emulator"]).client("logs")
    wanted = name.replace("/", "-").replace("_", "-")
    since = int((time.time() - EARLIER_SECONDS) * 1000)
    while True:
        groups = _groups(client, wanted)
        if not groups and wanted:
            raise LocalError(
                f"No function called {name!r} has logged yet.",
                "`ivy logs` without a name follows all of them.",
            )
        until = int(time.time() * 1000)
        lines = [line for group in groups for line in _lines(client, group, since, until)]
        for _, group, message in sorted(lines, key=lambda line: line[0]):
            print(f"{group:<24} {message}", flush=True)  # noqa: T201 - a command's answer
        if not follow:
            return
        since = until
        time.sleep(POLL_SECONDS)


def _groups(client: Any, wanted: str) -> list[str]:
    pages = client.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=f"/aws/lambda/{PREFIX}-"
    )
    names = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    return [name for name in names if wanted in name]


def _lines(client: Any, group: str, since: int, until: int) -> list[tuple[int, str, str]]:
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=since, endTime=until - 1
    )
    short = group.removeprefix(f"/aws/lambda/{PREFIX}-")
    return [
        (event["timestamp"], short, event["message"].rstrip())
        for page in pages
        for event in page["events"]
        if not event["message"].startswith(NOISE)
    ]


def _port(port: int | None) -> dict[str, Any]:
    if not port:
        return {"answers": False}
    return {"answers": port_taken(port), "address": f"127.0.0.1:{port}"}


def invoke(home: Home, name: str) -> str:
    """Invoke a deployed function with its sample event and return its answer.

    Raises:
        LocalError: Nothing runs, there is no such function, or it failed.
    """
    facts = home.running()
    sample = PROJECT / "events" / f"{name}.json"
    if not sample.exists():
        raise LocalError(f"There is no {sample}.", "Name a function, such as outbox/relay.")
    answer = (
        Aws(facts["emulator"])
        .client("lambda")
        .invoke(
            FunctionName=f"{PREFIX}-{name}".replace("/", "-").replace("_", "-"),
            Payload=sample.read_bytes(),
        )
    )
    text = str(answer["Payload"].read().decode())
    if "FunctionError" in answer:
        raise LocalError(f"{name} failed: {text}", f"`ivy logs {name}` says why.")
    return text
