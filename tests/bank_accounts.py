"""A merchant's bank accounts, driven through the handlers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import psycopg

from functions.api_keys import create as create_key
from functions.bank_accounts import create, delete, get, verify
from functions.events import list as list_events
from ivy import errors
from ivy.callers import Caller
from ivy.database import Database, Tenant
from tests.conftest import Store
from tests.driving import Account, Platform, Reply

RIGHT, WRONG = [32, 45], [32, 46]
US = {"country": "US", "currency": "USD", "account_holder_name": "Analytical Engines"}
BY_ROUTING = US | {"routing_number": "110000000", "account_number": "000123456789"}
BY_IBAN = {
    "country": "DE",
    "currency": "EUR",
    "account_holder_name": "Analytical Engines",
    "iban": "DE89 3704 0044 0532 0130 00",
}
THREADS = 8
REFERENCE = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text())


def add(platform: Platform, account: Account, body: Any = None, **fields: Any) -> Reply:
    return platform.post(create.handler, account, (body or BY_ROUTING) | fields)


def added(platform: Platform, account: Account, body: Any = None, **fields: Any) -> dict[str, Any]:
    answer = add(platform, account, body, **fields)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json()
    return made


def linked(
    platform: Platform,
    connection: psycopg.Connection[Any],
    account: Account,
    number: str,
    **fields: Any,
) -> str:
    """Give a merchant the bank account of a number, payable at once, and return its id."""
    body: dict[str, Any] = {"account_holder_name": "Analytical Engines"}
    if number[:2].isalpha():
        country, currency = number[:2], "GBP" if number.startswith("GB") else "EUR"
        body |= {"country": country, "currency": currency, "iban": number}
    else:
        body |= {"country": "US", "currency": "USD", "account_number": number}
        body |= {"routing_number": "110000000"}
    made = added(platform, account, body, **fields)
    verified(platform, account, made)
    connection.execute("ALTER TABLE bank_accounts DISABLE TRIGGER legal_change")
    connection.execute("UPDATE bank_accounts SET cools_off = false, payable_from = verified_at")
    connection.execute("ALTER TABLE bank_accounts ENABLE TRIGGER legal_change")
    return str(made["id"])


def attempt(platform: Platform, account: Account, made: dict[str, Any], amounts: Any) -> Reply:
    body = {"amounts": amounts}
    return platform.request(verify.handler, body, bearer=account.secret_key, id=made["id"])


def verified(platform: Platform, account: Account, made: dict[str, Any]) -> dict[str, Any]:
    answer = attempt(platform, account, made, RIGHT)
    assert answer.status == 200, answer.body
    after: dict[str, Any] = answer.json()
    return after


def removed(platform: Platform, account: Account, made: dict[str, Any]) -> dict[str, Any]:
    answer = platform.request(delete.handler, bearer=account.secret_key, id=made["id"])
    assert answer.status == 200, answer.body
    after: dict[str, Any] = answer.json()
    return after


def shown(platform: Platform, account: Account, made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = platform.read(get.handler, account, id=made["id"])
    return found


def history(platform: Platform, account: Account, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of an account, oldest first, each in the form of the reference."""
    platform.publish()
    query = {"object": made["id"], "after_sequence": "0"}
    found: list[dict[str, Any]] = platform.read(list_events.handler, account, query=query)["data"]
    for event in found:
        jsonschema.Draft202012Validator(
            {"$ref": "#/components/schemas/BankAccount", "components": REFERENCE["components"]}
        ).validate(event["data"])
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def key_of_id(text: str) -> UUID:
    return UUID(hex=text.partition("_")[2])


def live_key(platform: Platform, account: Account) -> Account:
    """Return a merchant in live mode."""
    made = platform.request(
        create_key.handler, {"name": "live", "mode": "live"}, bearer=account.access_token
    ).json()
    return Account(account.merchant_id, account.access_token, made["secret"], made["id"])


def open_live(store: Store) -> None:
    with store.superuser() as root:
        root.execute("UPDATE merchants SET live_open = true")


def caller_of(account: Account, *, livemode: bool = False) -> Caller:
    return Caller(
        Tenant(account.merchant_id, livemode),
        UUID(int=0),
        frozenset(),
        credential=key_of_id(account.key_id),
    )


def at_once(store: Store, work: Callable[[Database], str]) -> list[str]:
    """Return what came of the same work in several connections at the same moment."""
    barrier = threading.Barrier(THREADS)

    def begin(_: int) -> str:
        database = Database(store.url("ivy_app"))
        with database.transaction():
            pass  # connected: what follows begins at once
        barrier.wait()
        try:
            return work(database)
        except errors.Problem as problem:
            return problem.code
        finally:
            database.close()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(begin, range(THREADS)))
