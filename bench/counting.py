"""What one charge takes, counted and not timed: statements, calls of AWS, bytes of log and of rows.

The handlers run as they are deployed, warm, against Postgres and a real HTTP endpoint for AWS.
Statements are counted in the server's own log, calls where they leave this process. Nothing here
depends on how fast the machine is, so the suite compares it with what is committed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from botocore.httpsession import URLLib3Session
from psycopg import sql

from bench.silence import heard
from functions.charges import create, process
from functions.events import publish
from tests.driving import Account, LambdaContext, Platform

CHARGE = {
    "amount": 10_000,
    "currency": "USD",
    "payment_method": "tok_visa",
    "description": "INV-7",
    "metadata": {"order": "1042"},
}
WARM = 2
KEPT = ("charges", "journal", "events", "event_numbers", "idempotency_keys", "attempts")
"""Where a charge leaves rows for good; its row in the outbox is gone when it has succeeded."""

COMMITTED = Path(__file__).parent / "results" / "counted.json"

_STATEMENT = re.compile(r"LOG:  (execute [^:]*|statement): ")
_IMPORTS = """
import functions.charges.create, json, sys
found = {name for name, module in sys.modules.items() if getattr(module, "__file__", None)}
print(json.dumps(sorted(found)))
"""

Counts = dict[str, Any]
Watch = Callable[[Callable[[], Any]], tuple[Any, "Taken"]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one invocation took."""

    statements: int
    calls: dict[str, int]
    log_bytes: int


def counted(platform: Platform, account: Account) -> Counts:
    """Return everything that is counted, as it is committed."""
    with _watching(platform) as watch:
        for _ in range(WARM):
            life(platform, account, watch)
        before = _rows(platform)
        steps = life(platform, account, watch)
        after = _rows(platform)
        items = [_item_bytes(item) for item in platform.records()]
    return {
        "statements": {name: step.statements for name, step in steps.items()},
        "calls": {name: dict(sorted(step.calls.items())) for name, step in steps.items()},
        "log_bytes": {name: step.log_bytes for name, step in steps.items()},
        "row_bytes": {table: after[table] - before[table] for table in KEPT},
        "item_bytes": max(items),
        "modules": imported(),
    }


def life(platform: Platform, account: Account, watch: Watch) -> dict[str, Taken]:
    """Make a charge, decide it, publish its events; returns what each invocation took."""
    taken: dict[str, Taken] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        answer, taken[name] = watch(work)
        return answer

    def publishing(event: dict[str, Any]) -> Any:
        return step("events/publish", lambda: publish.handler(event, LambdaContext()))

    def processing(event: dict[str, Any]) -> Any:
        return step("charges/process", lambda: process.handler(event, LambdaContext()))

    made = step("charges/create", lambda: platform.post(create.handler, account, CHARGE))
    assert made.status == create.handler.status, made.body
    assert platform.deliver(process.handler, processing) == 1
    assert platform.deliver(publish.handler, publishing) == 1
    return taken


@contextmanager
def _watching(platform: Platform) -> Iterator[Watch]:
    """Let the server log each statement of this database, and see each call leave this process."""
    name, log = platform.store.name, platform.store.log
    _log_statements(platform, "all")
    platform.forget()  # the setting is for new connections
    calls: Counter[str] = Counter()
    send = URLLib3Session.send

    def sent(session: URLLib3Session, request: Any) -> Any:
        calls[_operation(request)] += 1
        return send(session, request)

    def watch(work: Callable[[], Any]) -> tuple[Any, Taken]:
        calls.clear()
        before = log.stat().st_size
        said = StringIO()
        with heard(said):
            answer = work()
        with log.open() as lines:
            lines.seek(before)
            ran = sum(f"@{name} " in line and bool(_STATEMENT.search(line)) for line in lines)
        return answer, Taken(ran, dict(calls), len(said.getvalue().encode()))

    try:
        with mock.patch.object(URLLib3Session, "send", sent):
            yield watch
    finally:
        _log_statements(platform, "none")
        platform.forget()


def _log_statements(platform: Platform, which: str) -> None:
    with platform.store.superuser() as root:
        root.execute(
            sql.SQL("ALTER DATABASE {} SET log_statement = {}").format(
                sql.Identifier(platform.store.name), sql.Literal(which)
            )
        )


def _operation(request: Any) -> str:
    """Return what is called: ``DynamoDB PutItem``, or ``Lambda Invoke``, which has no target."""
    target = request.headers.get("X-Amz-Target", b"Lambda.Invoke")
    service, _, operation = (target.decode() if isinstance(target, bytes) else target).partition(
        "."
    )
    return f"{service.partition('_')[0]} {operation}"


def _rows(platform: Platform) -> dict[str, int]:
    """Return the bytes of all rows of each table, without the pages around them."""
    with platform.store.superuser() as root:
        found = {}
        for table in KEPT:
            size = sql.SQL("SELECT coalesce(sum(pg_column_size(kept.*)), 0) FROM {} AS kept")
            row = root.execute(size.format(sql.Identifier(table))).fetchone()
            assert row is not None
            found[table] = int(row[0])
        return found


def _item_bytes(item: dict[str, dict[str, str]]) -> int:
    """Return the size of an item as DynamoDB bills it: names, texts, and two digits in a byte."""
    size = 0
    for name, typed in item.items():
        ((kind, value),) = typed.items()
        size += len(name) + (len(value) // 2 + 2 if kind == "N" else len(value.encode()))
    return size


def imported() -> list[str]:
    """Return the modules that the charge function imports, and no other process imported before.

    Of the product each module; of other packages, and none of Python's own, their names.
    """
    project = Path(__file__).resolve().parent.parent
    paths = [str(project), str(project / "layers" / "ivy" / "python")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    own = ("ivy", "functions")
    names = {
        name if name.partition(".")[0] in own else name.partition(".")[0]
        for name in json.loads(done.stdout)
    }
    return sorted(name for name in names - sys.stdlib_module_names if name[0] != "_")
