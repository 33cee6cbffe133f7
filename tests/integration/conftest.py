"""One deployment for all tests of a file, where they do not disturb each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg import sql

from functions.charges import create, process
from functions.charges import get as get_charge
from local.postgres import Postgres
from tests.books import Books, played
from tests.cloud import Cloud
from tests.conftest import Store, copied
from tests.driving import Account, Platform


@pytest.fixture(scope="module")
def shared_store(cluster: Postgres) -> Iterator[Store]:
    with copied(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, shared_store: Store) -> Iterator[Platform]:
    with Platform(cloud, shared_store) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def ada(deployed: Platform) -> Account:
    return deployed.open_account("ada@example.com")


@pytest.fixture(scope="module")
def bob(deployed: Platform) -> Account:
    return deployed.open_account("bob@example.com")


@dataclass(frozen=True)
class History:
    """Healthy books with everything in them, which tests copy and do not touch."""

    store: Store
    books: Books

    @property
    def ada(self) -> int:
        return self.books.ada.account.merchant_id

    @property
    def bob(self) -> int:
        return self.books.bob.account.merchant_id


@pytest.fixture(scope="session")
def history(cluster: Postgres, cloud: Cloud) -> Iterator[History]:
    with copied(cluster) as store:
        with Platform(cloud, store) as platform:
            books = played(platform)
        yield History(store, books)


@pytest.fixture
def copy(cluster: Postgres, history: History) -> Iterator[Store]:
    with copied(cluster, history.store.name) as store:
        yield store


Charging = Callable[..., dict[str, Any]]


@pytest.fixture
def charging() -> Charging:
    """Make a charge through the handlers and return it decided."""

    def charge(platform: Platform, account: Account, key: str, **fields: Any) -> dict[str, Any]:
        body = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"} | fields
        made = platform.request(
            create.handler, body, bearer=account.secret_key, headers={"Idempotency-Key": key}
        )
        assert made.status == create.handler.status, made.body
        platform.drain(process.handler)
        found = platform.request(
            get_charge.handler, bearer=account.secret_key, id=made.json()["id"]
        )
        decided: dict[str, Any] = found.json()
        return decided

    return charge


@pytest.fixture
def logged(
    capsys: pytest.CaptureFixture[str],
    to_stdout: None,  # noqa: ARG001 - it makes the output appear
) -> Callable[[], list[dict[str, Any]]]:
    """Return the log lines written since the last call; every line must be JSON."""

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return lines


Logged = Callable[[], str]


@pytest.fixture
def everything_logged(
    capsys: pytest.CaptureFixture[str],
    to_stdout: None,  # noqa: ARG001 - it makes the output appear
    caplog: pytest.LogCaptureFixture,
) -> Logged:
    """Return all that was printed or logged since the last call."""
    caplog.set_level("DEBUG", logger="ivy")

    def text() -> str:
        written = "".join(capsys.readouterr())
        assert '"level"' in written
        return written

    return text


def kept(platform: Platform, text: str) -> list[str]:
    """Return where a text is kept: tables, the idempotency table, queues."""
    found: list[str] = []
    with platform.store.superuser() as root:
        tables = root.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
            " AND relkind IN ('r', 'p')"
        ).fetchall()
        for (table,) in tables:
            search = sql.SQL(
                "SELECT count(*) FROM {} AS row"
                " WHERE strpos(row::text, %s) > 0 OR strpos(row::text, %s) > 0"
            ).format(sql.Identifier(table))
            (rows,) = root.execute(search, (text, text.encode().hex())).fetchone() or (0,)
            found += [table] * bool(rows)
    found += ["front"] * (text in str(platform.records()))
    found += [f"queue {name}" for name in platform.queues if text in str(platform.messages(name))]
    return found
