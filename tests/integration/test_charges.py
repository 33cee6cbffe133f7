"""Charges: from the request through the acquirer to the books, in every currency and outcome."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import pytest
from psycopg import errors

from functions.charges import create, process
from functions.charges import get as get_charge
from functions.charges import list as list_charges
from functions.ledger import get_transaction
from functions.merchants import balance
from ivy import availability, ids, money
from ivy.connectors import simulated_orders
from ivy.database import Database, Tenant
from tests.conftest import Store
from tests.driving import Account, Platform, Reply
from tests.integration.conftest import Charging

PENDING_FIELDS = {
    "object": "charge",
    "livemode": False,
    "status": "pending",
    "capture": True,
    "capture_before": None,
    "amount_captured": 0,
    "amount_refunded": 0,
    "disputed": False,
    "fee": None,
    "fee_returned": 0,
    "net": None,
    "available_on": None,
    "next_action": None,
    "failure_code": None,
    "decline_code": None,
    "fee_plan": "standard/1",
    "ledger_transaction": None,
    "version": 1,
}


def charge(platform: Platform, account: Account, headers: Any = None, **fields: Any) -> Reply:
    body = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"} | fields
    key = {"Idempotency-Key": uuid.uuid4().hex} | (headers or {})
    return platform.request(create.handler, body, bearer=account.secret_key, headers=key)


def count(store: Store, question: str, *values: Any) -> int:
    with store.superuser() as root:
        found = root.execute(question.encode(), values).fetchone()
    assert found is not None
    return int(found[0])


def test_a_charge_of_a_hundred_dollars(platform: Platform, store: Store) -> None:
    """The worked example of the ledger: fee 2.9 % + 0.30, cost 1.80, to the last leg."""
    ada = platform.open_account()
    asked = {"description": "INV-7", "statement_descriptor": "ADA", "metadata": {"order": "7"}}
    pending = charge(platform, ada, **asked)
    assert pending.status == 201
    made = pending.json()
    assert made.items() >= (PENDING_FIELDS | asked | {"amount": 10_000, "exponent": 2}).items()
    assert platform.request(get_charge.handler, bearer=ada.secret_key, id=made["id"]).json() == made

    platform.drain(process.handler)
    decided = platform.request(get_charge.handler, bearer=ada.secret_key, id=made["id"]).json()
    changed = {key for key in made if made[key] != decided[key]}
    assert changed == {
        *("status", "amount_captured", "fee", "net", "available_on", "ledger_transaction"),
        "version",
    }
    assert (decided["status"], decided["version"]) == ("succeeded", 2)
    assert (decided["amount_captured"], decided["fee"], decided["net"]) == (10_000, 320, 9_680)
    expected = two_days_on(store, ada.merchant_id, "USD", ids.now())
    assert decided["available_on"] == expected.isoformat()

    posted = platform.request(
        get_transaction.handler, bearer=ada.secret_key, id=decided["ledger_transaction"]
    ).json()
    assert (posted["kind"], posted["source"]) == ("charge.captured", made["id"])
    assert {e["account"]: (e["direction"], e["amount"]) for e in posted["entries"]} == {
        "acquirer_receivable:simulated": ("debit", 9_820),
        "expense:processor": ("debit", 180),
        "income:processing": ("credit", -320),
        "merchant:pending": ("credit", -9_680),
    }
    held = platform.request(balance.handler, bearer=ada.secret_key).json()
    assert held["balances"] == [
        {
            "currency": "USD",
            "exponent": 2,
            "pending": 9_680,
            "available": 0,
            "reserved": 0,
            "disputed": 0,
            "in_transit": 0,
        }
    ]


def two_days_on(store: Store, merchant_id: int, currency: str, at: datetime) -> date:
    """Return the day on which a merchant, in UTC, can spend what it captures at a time."""
    database = Database(store.url("ivy_app"))
    with database.transaction(Tenant(merchant_id, livemode=False)) as tx:
        found = availability.expected_on(tx, currency, at)
    database.close()
    return found


@pytest.mark.parametrize(
    ("captured", "available"),
    [
        (date(2026, 11, 24), date(2026, 11, 27)),
        (date(2026, 11, 25), date(2026, 11, 30)),
        (date(2026, 12, 31), date(2027, 1, 5)),
        (date(2027, 6, 17), date(2027, 6, 21)),
    ],
)
def test_the_calendar_in_the_database(
    deployed: Platform, ada: Account, captured: date, available: date
) -> None:
    noon = datetime.combine(captured, time(12), UTC)
    assert two_days_on(deployed.store, ada.merchant_id, "USD", noon) == available


@pytest.mark.parametrize(
    ("currency", "exponent", "amount", "fee", "cost"),
    [
        ("JPY", 0, 50, 31, 31),
        ("JPY", 0, 1_000_000, 29_030, 15_030),
        ("EUR", 2, 1_050, 60, 46),
        ("KWD", 3, 500, 315, 308),
        ("KWD", 3, 10_000, 590, 450),
        ("USD", 2, money.MAX_AMOUNT_MINOR, 29_000_000_030, 15_000_000_030),
    ],
)
def test_each_exponent(
    deployed: Platform,
    ada: Account,
    charging: Charging,
    currency: str,
    exponent: int,
    amount: int,
    fee: int,
    cost: int,
) -> None:
    key = f"{currency}-{amount}"
    made = charging(deployed, ada, key, amount=amount, currency=currency.lower())
    assert (made["currency"], made["exponent"], made["fee"]) == (currency, exponent, fee)
    posted = deployed.request(
        get_transaction.handler, bearer=ada.secret_key, id=made["ledger_transaction"]
    ).json()
    legs = {entry["account"]: entry["amount"] for entry in posted["entries"]}
    assert (posted["currency"], posted["exponent"]) == (currency, exponent)
    assert sum(legs.values()) == 0
    assert legs["merchant:pending"] == fee - amount
    assert legs["acquirer_receivable:simulated"] == amount - cost


@pytest.mark.parametrize(
    ("token", "failure_code", "decline_code"),
    [
        ("tok_declined", "card_declined", "generic_decline"),
        ("tok_insufficient_funds", "card_declined", "insufficient_funds"),
        ("tok_expired_card", "expired_card", "expired_card"),
        ("tok_processing_error", "processing_error", None),
    ],
)
def test_a_failed_charge_posts_nothing(
    deployed: Platform,
    ada: Account,
    charging: Charging,
    token: str,
    failure_code: str,
    decline_code: str | None,
) -> None:
    journal = "SELECT count(*) FROM journal"
    before = count(deployed.store, journal)
    failed = charging(deployed, ada, token, payment_method=token)
    assert (failed["status"], failed["version"]) == ("failed", 2)
    assert (failed["failure_code"], failed["decline_code"]) == (failure_code, decline_code)
    assert failed["fee"] is failed["net"] is failed["ledger_transaction"] is None
    assert failed["amount_captured"] == 0
    assert count(deployed.store, journal) == before
    asked = "SELECT count(*) FROM attempts WHERE subject = %s AND outcome = 'declined'"
    assert count(deployed.store, asked, UUID(hex=failed["id"][3:])) == 1


def test_every_token_that_is_declined_at_once_is_tested_here() -> None:
    tested = {"tok_declined", "tok_insufficient_funds", "tok_expired_card", "tok_processing_error"}
    assert set(simulated_orders._REFUSED) == tested


@pytest.mark.parametrize(("token", "end"), [("tok_visa", "succeeded"), ("tok_declined", "failed")])
def test_each_version_has_one_event_that_shows_it(
    deployed: Platform, ada: Account, charging: Charging, token: str, end: str
) -> None:
    decided = charging(deployed, ada, f"events-{token}", payment_method=token)
    with deployed.store.superuser() as root:
        events = root.execute(
            "SELECT version, type, data FROM events WHERE object_id = %s ORDER BY version",
            (UUID(hex=decided["id"][3:]),),
        ).fetchall()
    assert [(version, kind) for version, kind, _ in events] == [
        (1, "charge.pending"),
        (2, f"charge.{end}"),
    ]
    assert events[1][2] == decided
    assert events[0][2].items() >= PENDING_FIELDS.items()


def test_a_second_event_for_a_version_is_refused(deployed: Platform, ada: Account) -> None:
    made = charge(deployed, ada).json()
    with deployed.store.superuser() as root, pytest.raises(errors.UniqueViolation):
        root.execute(
            "INSERT INTO events (merchant_id, livemode, id, object_id, version, type, data,"
            " created_at) SELECT merchant_id, livemode, gen_random_uuid(), object_id, version,"
            " type, data, created_at FROM events WHERE object_id = %s",
            (UUID(hex=made["id"][3:]),),
        )


def test_the_promise_is_kept_and_struck_out(platform: Platform, store: Store) -> None:
    ada = platform.open_account()
    charge(platform, ada)
    assert count(store, "SELECT count(*) FROM outbox") == 1
    (message,) = platform.messages()
    platform.drain(process.handler)
    assert count(store, "SELECT count(*) FROM outbox") == 0
    assert platform.hand_over(process.handler, message) == []  # a copy arrives late
    assert count(store, "SELECT count(*) FROM attempts") == 1
    assert count(store, "SELECT count(*) FROM journal") == 1
    assert count(store, "SELECT count(*) FROM events") == 2


SUCCEED = (
    "status = 'succeeded', fee = 1, available_on = now(), ledger_transaction = gen_random_uuid(),"
    " amount_captured = amount"
)
REOPEN = (
    "status = 'pending', fee = NULL, available_on = NULL, amount_captured = 0,"
    " ledger_transaction = NULL"
)
AUTHORIZE = "status = 'authorized', capture_before = now()"


@pytest.mark.parametrize(
    ("start", "change", "refused"),
    [
        (
            "tok_visa",
            "status = 'canceled', version = version + 1",
            "no way from succeeded to canceled",
        ),
        (
            "tok_visa",
            f"{REOPEN}, version = version + 1",
            "no way from succeeded to pending",
        ),
        (
            "tok_declined",
            f"{SUCCEED}, failure_code = NULL, version = version + 1",
            "no way from failed to succeeded",
        ),
        (None, SUCCEED, "version 1 must follow 1"),
        (None, f"{SUCCEED}, version = version + 2", "version 3 must follow 1"),
        (None, "version = version - 1", "version 0 must follow 1"),
        (None, "amount_captured = 1", "version 1 must follow 1"),
        (None, "amount_refunded = 1", "version 1 must follow 1"),
        (None, "fee = 1", "version 1 must follow 1"),
        (None, "status = 'succeeded', version = version + 1", "captured_means_posted"),
        (None, f"{AUTHORIZE}, fee = 5, version = version + 1", "captured_means_posted"),
        (None, f"{AUTHORIZE}, available_on = now(), version = 2", "captured_means_posted"),
        (
            None,
            f"{SUCCEED}, version = 2, status = 'authorized', capture_before = now()".replace(
                "status = 'succeeded', ", ""
            ),
            "captured_means_posted",
        ),
        (None, "status = 'authorized', version = version + 1", "authorized_until"),
        (None, "status = 'requires_action', version = version + 1", "action_means_where"),
        (None, f"{AUTHORIZE}, next_action_url = '/', version = 2", "action_means_where"),
        (None, "status = 'failed', version = version + 1", "failed_means_why"),
        ("tok_visa", "failure_code = 'x', version = version + 1", "failed_means_why"),
        (None, "status = 'lost', version = version + 1", "no way from pending to lost"),
        (None, f"{SUCCEED} + 1, version = version + 1", "captured_within_amount"),
        (
            "tok_visa",
            "amount_refunded = amount + 1, version = version + 1",
            "refunded_within_captured",
        ),
        ("tok_visa", "amount_disputed = amount + 1", "refunded_within_captured"),
        ("tok_visa", "amount_refund_pending = -1", "refunded_within_captured"),
        ("tok_visa", "fee_returned = fee + 1", "fee_returned_within_fee"),
    ],
    ids=str,
)
def test_the_database_refuses_illegal_changes(
    deployed: Platform,
    ada: Account,
    charging: Charging,
    start: str | None,
    change: str,
    refused: str,
) -> None:
    if start is None:
        made = charge(deployed, ada).json()
        deployed.lose_messages()
    else:
        made = charging(deployed, ada, uuid.uuid4().hex, payment_method=start)
    with deployed.store.superuser() as root:
        update = f"UPDATE charges SET {change} WHERE id = %s".encode()
        with pytest.raises(errors.CheckViolation, match=refused):
            root.execute(update, (UUID(hex=made["id"][3:]),))


@pytest.mark.parametrize("column", ["amount", "currency", "payment_method", "created_at"])
def test_what_was_agreed_never_changes(deployed: Platform, ada: Account, column: str) -> None:
    other = {
        "amount": "amount + 1",
        "currency": "'EUR'",
        "payment_method": "'tok_declined'",
        "created_at": "now()",
    }
    made = charge(deployed, ada).json()
    deployed.lose_messages()
    with deployed.store.superuser() as root, pytest.raises(errors.CheckViolation):
        root.execute(
            f"UPDATE charges SET {column} = {other[column]}, version = 2 WHERE id = %s".encode(),
            (UUID(hex=made["id"][3:]),),
        )


@pytest.mark.parametrize(
    ("currency", "amount", "fine"),
    [
        ("USD", 49, False),
        ("USD", 50, True),
        ("JPY", 49, False),
        ("JPY", 50, True),
        ("KWD", 499, False),
        ("KWD", 500, True),
        ("USD", money.MAX_AMOUNT_MINOR, True),
        ("USD", money.MAX_AMOUNT_MINOR + 1, False),
    ],
)
def test_amounts_have_bounds(
    deployed: Platform,
    ada: Account,
    currency: str,
    amount: int,
    fine: bool,
) -> None:
    answer = charge(deployed, ada, currency=currency, amount=amount)
    assert answer.status == (201 if fine else 422)
    if not fine:
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/amount"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"payment_method": "tok_unknown"}, [("/payment_method", "token_unknown")]),
        ({"payment_method": "tok_ach", "capture": False}, [("/capture", "capture_required")]),
    ],
)
def test_what_only_we_can_know_is_refused_in_one_reply(
    deployed: Platform, ada: Account, fields: dict[str, Any], wrong: list[tuple[str, str]]
) -> None:
    answer = charge(deployed, ada, amount=1, **fields)
    assert answer.code == "request_invalid"
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [
        ("/amount", "amount_too_small"),
        *wrong,
    ]


@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ({"statement_descriptor": "x" * 22}, True),
        ({"statement_descriptor": None}, True),
        ({"statement_descriptor": "x" * 23}, False),
        ({"statement_descriptor": ""}, False),
        ({"statement_descriptor": "a\x00b"}, False),
        ({"description": "ü" * 1_000}, True),
        ({"description": "x" * 1_001}, False),
        ({"description": "\ud800"}, False),
        ({"metadata": {"k" * 40: "v" * 500}}, True),
        ({"metadata": {f"{n}": "日本" for n in range(50)}}, True),
        ({"metadata": {f"{n}": "" for n in range(51)}}, False),
        ({"metadata": None}, False),
        ({"payment_method": "4242424242424242"}, False),
        ({"capture": False}, True),
        ({"capture": "no"}, False),
    ],
)
def test_the_words_around_a_charge(
    deployed: Platform,
    ada: Account,
    fields: dict[str, Any],
    fine: bool,
) -> None:
    answer = charge(deployed, ada, **fields)
    assert answer.status == (201 if fine else 422)
    if fine:
        made = answer.json()
        kept = deployed.request(get_charge.handler, bearer=ada.secret_key, id=made["id"]).json()
        assert made.items() >= fields.items()
        assert kept.items() >= fields.items()


def test_live_charges_wait_for_verification(platform: Platform, store: Store) -> None:
    ada = platform.open_account()

    def live(token: str) -> Reply:
        principal = platform.principal(ada.access_token)
        assert principal["user"]
        body = {"amount": 100, "currency": "USD", "payment_method": token}
        headers = {"Idempotency-Key": "live", "Ivy-Mode": "live"}
        return platform.request(create.handler, body, bearer=ada.access_token, headers=headers)

    refused = live("tok_visa")
    assert (refused.status, refused.code) == (403, "live_mode_locked")
    with store.superuser() as root:
        root.execute("UPDATE merchants SET live_open = true")
    unreal = live("tok_visa")
    assert unreal.json()["errors"][0]["code"] == "token_for_tests"
    assert count(store, "SELECT count(*) FROM charges") == 0
    platform.override(IVY_CONNECTOR_NAMES='["simulated", "stripe"]')
    opened = live("pm_card_visa")
    assert (opened.status, opened.json()["livemode"]) == (201, True)
    unseen = platform.request(get_charge.handler, bearer=ada.secret_key, id=opened.json()["id"])
    assert unseen.code == "resource_missing"


def listed(platform: Platform, account: Account, **query: str) -> list[str]:
    answer = platform.request(list_charges.handler, bearer=account.secret_key, query=query)
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json()["data"]]


def test_listing(platform: Platform, charging: Charging) -> None:
    ada, bob = platform.open_account(), platform.open_account("bob@example.com")
    charging(platform, bob, "bob's")
    made = [
        charging(platform, ada, f"{n}", payment_method=["tok_visa", "tok_declined"][n % 2])
        for n in range(6)
    ]
    pending = charge(platform, ada).json()
    newest_first = [pending["id"], *(m["id"] for m in reversed(made))]
    assert listed(platform, ada) == newest_first

    assert listed(platform, ada, status="pending") == [pending["id"]]
    assert listed(platform, ada, status="succeeded") == newest_first[2::2]
    assert listed(platform, ada, status="failed") == newest_first[1::2]
    assert listed(platform, ada, status="failed", limit="2") == newest_first[1:4:2]

    third = made[3]["created_at"]
    assert listed(platform, ada, **{"created_at[gt]": third}) == newest_first[:3]
    assert listed(platform, ada, **{"created_at[gte]": third}) == newest_first[:4]
    assert listed(platform, ada, **{"created_at[lt]": third}) == newest_first[4:]
    assert listed(platform, ada, **{"created_at[lte]": third}) == newest_first[3:]
    assert listed(platform, ada, **{"created_at[gte]": "1960-01-01T00:00:00Z"}) == newest_first

    seen: list[str] = []
    query = {"limit": "3"}
    for _ in range(3):
        body = platform.request(list_charges.handler, bearer=ada.secret_key, query=query).json()
        seen += [item["id"] for item in body["data"]]
        charge(platform, ada)  # arrives while we page
        assert body["has_more"] is (body["next_cursor"] is not None)
        query = {"limit": "3", "cursor": body["next_cursor"]}
    assert not body["has_more"]
    assert seen == newest_first


def test_another_merchants_charge_does_not_exist(
    deployed: Platform, ada: Account, bob: Account, charging: Charging
) -> None:
    made = charging(deployed, ada, "mine")
    for handler, name in (
        (get_charge.handler, "id"),
        (get_transaction.handler, "ledger_transaction"),
    ):
        answer = deployed.request(handler, bearer=bob.secret_key, id=made[name])
        assert (answer.status, answer.code) == (404, "resource_missing")


@pytest.mark.parametrize("token", ["tok_visa", "tok_ach"])
def test_events_are_published_as_soon_as_the_charge_is_processed(
    deployed: Platform, ada: Account, token: str
) -> None:
    deployed.lose_messages("events")
    charge(deployed, ada, payment_method=token)
    deployed.drain()
    assert deployed.messages("events") != []
