"""What the database holds of bank accounts; and their numbers, which nobody gets to see."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from functions.bank_accounts import create, delete, get
from functions.bank_accounts import list as list_accounts
from ivy import bank_accounts
from ivy import simulated_bank_accounts as simulated
from ivy.bank_accounts import NewBankAccount
from ivy.serve import requests
from tests.bank_accounts import (
    BY_IBAN,
    BY_ROUTING,
    RIGHT,
    US,
    WRONG,
    add,
    added,
    attempt,
    key_of_id,
)
from tests.conftest import Store
from tests.driving import Account, Platform
from tests.integration.conftest import Logged, kept


@pytest.fixture
def ada(platform: Platform) -> Account:
    return platform.open_account("ada@example.com")


# -- what the database holds


WHOLE = ("account_number", "iban")


def test_the_app_writes_the_number_and_cannot_read_it(
    platform: Platform, store: Store, ada: Account
) -> None:
    """Not by name, not as part of a row, not by what it compares with, and not when it writes."""
    made = added(platform, ada)
    tenant = {"merchant": str(ada.merchant_id), "livemode": "false"}
    with psycopg.connect(store.url("ivy_app")) as connection:
        for statement in (
            "SELECT * FROM bank_accounts",
            "SELECT bank_accounts FROM bank_accounts",
            "SELECT to_jsonb(b) FROM bank_accounts b",
            "COPY bank_accounts TO STDOUT",
            *(f"SELECT {name} FROM bank_accounts" for name in WHOLE),
            *(f"SELECT id FROM bank_accounts WHERE {name} = '000123456789'" for name in WHOLE),
            *(f"SELECT id FROM bank_accounts ORDER BY {name}" for name in WHOLE),
            *(f"UPDATE bank_accounts SET status = {name}" for name in WHOLE),
            *(f"UPDATE bank_accounts SET version = 2 RETURNING {name}" for name in WHOLE),
            *(f"UPDATE bank_accounts SET {name} = '000123456780'" for name in WHOLE),
            "DELETE FROM bank_accounts",
        ):
            for name, value in tenant.items():
                connection.execute("SELECT set_config(%s, %s, true)", (f"app.{name}", value))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
            connection.rollback()
    with psycopg.connect(store.url("ivy_read")) as connection:
        assert connection.execute("SELECT last4 FROM bank_accounts").fetchone() == ("6789",)
        for name in (*WHOLE, "micro_deposits"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {name} FROM bank_accounts".encode())
            connection.rollback()
    with psycopg.connect(store.url("ivy_jobs")) as connection:
        found = connection.execute("SELECT id, account_number FROM bank_accounts").fetchone()
        assert found == (key_of_id(made["id"]), "000123456789")


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("status = 'deleted'", "version 1 must follow 1"),
        ("status = 'paid', version = 2", "no way from pending_verification to paid"),
        ("status = 'verified', version = 2", "verified_means_when"),
        ("status = 'verified', version = 2, verified_at = now()", "payable_once_verified"),
        (
            "status = 'verified', version = 2, verified_at = now(), payable_from = '2020-01-01'",
            "payable_once_verified",
        ),
        ("verified_at = now(), payable_from = now(), version = 2", "verified_means_when"),
        ("status = 'verification_failed', version = 2", "failed_means_why"),
        ("failure_code = 'wrong_amounts', version = 2", "failed_means_why"),
        ("verification_attempts = 3", "no_attempt_left_means_failed"),
        ("last_attempt_at = NULL", "attempts_means_when"),
        ("verification_attempts = 0", "attempts are not taken back"),
        ("account_number = '000123456780', last4 = '6780'", "does not change"),
        ("currency = 'EUR', version = 2", "does not change"),
        ("cools_off = true", "does not change"),
        ("micro_deposits = '{1,1}'", "does not change"),
    ],
)
def test_the_database_refuses_what_the_program_never_asks(
    deployed: Platform, shared_store: Store, change: str, refused: str
) -> None:
    ada = deployed.open_account("ada@example.com")
    with shared_store.superuser() as root:
        root.execute("DELETE FROM micro_deposits")
        root.execute("DELETE FROM bank_accounts")
        made = added(deployed, ada)
        root.execute(
            "UPDATE bank_accounts SET verification_attempts = 1, last_attempt_at = created_at"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match=refused):
            root.execute(
                f"UPDATE bank_accounts SET {change} WHERE id = %s".encode(),
                (key_of_id(made["id"]),),
            )


def test_the_database_itself_lets_a_further_account_cool_off(
    platform: Platform, store: Store, ada: Account
) -> None:
    """Whoever writes its rows can neither say that it does not, nor make it payable before."""
    added(platform, ada)
    second = key_of_id(added(platform, ada, account_number="000123456780")["id"])
    with store.superuser() as root:
        with pytest.raises(psycopg.errors.CheckViolation, match="payable_once_cooled_off"):
            root.execute(
                "UPDATE bank_accounts SET status = 'verified', version = 2, verified_at = now(),"
                " payable_from = now() + interval '23 hours' WHERE id = %s",
                (second,),
            )
        root.execute(
            "INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country, currency,"
            " account_holder_name, account_type, routing_number, account_number, last4,"
            " fingerprint, micro_deposits, cools_off) VALUES (%s, false, gen_random_uuid(), now(),"
            " 'US', 'USD', 'Ada', 'checking', '110000000', '000123456781', '6781',"
            " repeat('0', 64), '{1,2}', false)",
            (ada.merchant_id,),
        )
        found = root.execute("SELECT cools_off FROM bank_accounts WHERE last4 = '6781'").fetchone()
    assert found == (True,)


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        ({"last4": "6780"}, "last4_of_the_number"),
        ({"last4": "789", "account_number": "0012789"}, "last4_of_the_number"),
        ({"iban": "DE89370400440532013000"}, "one_form_of_number"),
        ({"routing_number": None}, "one_form_of_number"),
        ({"account_number": None}, "one_form_of_number"),
        ({"account_type": None}, "one_form_of_number"),
        ({"bic": "COBADEFF"}, "one_form_of_number"),
        ({"currency": "usd"}, "currency_check"),
        ({"micro_deposits": [45, 32]}, "two_micro_deposits"),
        ({"micro_deposits": [32]}, "two_micro_deposits"),
        ({"micro_deposits": [0, 45]}, "two_micro_deposits"),
        ({"micro_deposits": [1, 100]}, "two_micro_deposits"),
        ({"fingerprint": "0"}, "fingerprint_check"),
    ],
)
def test_the_database_refuses_what_is_no_account(
    shared_store: Store, values: dict[str, Any], refused: str
) -> None:
    row = {
        "account_number": "000123456789",
        "account_type": "checking",
        "bic": None,
        "currency": "USD",
        "fingerprint": uuid.uuid4().hex * 2,
        "iban": None,
        "last4": "6789",
        "micro_deposits": [32, 45],
        "routing_number": "110000000",
    } | values
    with (
        shared_store.superuser() as root,
        pytest.raises(psycopg.errors.CheckViolation, match=refused),
    ):
        root.execute(
            "INSERT INTO bank_accounts (merchant_id, livemode, id, created_at, country,"
            " account_holder_name, account_number, account_type, bic, currency, fingerprint, iban,"
            " last4, micro_deposits, routing_number) VALUES (1, false, gen_random_uuid(), now(),"
            " 'US', 'Ada', %(account_number)s, %(account_type)s, %(bic)s, %(currency)s,"
            " %(fingerprint)s, %(iban)s, %(last4)s, %(micro_deposits)s, %(routing_number)s)",
            row,
        )


# -- where the number is not


CARD_LIKE = "4242424242424242"


@pytest.mark.parametrize("number", ["000123456789", CARD_LIKE, "4000056655665556"])
def test_the_number_is_in_one_column_and_nowhere_else(
    platform: Platform, store: Store, ada: Account, everything_logged: Logged, number: str
) -> None:
    answers = [platform.post(create.handler, ada, BY_ROUTING | {"account_number": number})]
    assert answers[0].status == 201, answers[0].body
    made = answers[0].json()
    answers += [
        add(platform, ada, account_number=number),
        add(platform, ada, account_number=number, routing_number="110000001"),
        add(platform, ada, account_number=number, currency="EUR", swift=1),
        attempt(platform, ada, made, WRONG),
        attempt(platform, ada, made, RIGHT),
        platform.request(get.handler, bearer=ada.secret_key, id=made["id"]),
        platform.request(list_accounts.handler, bearer=ada.secret_key),
        platform.request(delete.handler, bearer=ada.secret_key, id=made["id"]),
    ]
    assert {answer.status for answer in answers} == {200, 201, 409, 422}
    platform.publish()
    for answer in answers:
        assert number not in answer.body.decode()
        assert number not in str(answer.headers)
    assert kept(platform, number) == ["bank_accounts"]
    assert number not in everything_logged()
    with store.superuser() as root:
        (row,) = root.execute("SELECT row_to_json(b) FROM bank_accounts b").fetchone() or ({},)
    assert [name for name, value in row.items() if number in str(value)] == ["account_number"]
    assert number not in repr(NewBankAccount(**BY_ROUTING | {"account_number": number}))


def test_neither_is_an_iban(platform: Platform, ada: Account, everything_logged: Logged) -> None:
    answers = [add(platform, ada, BY_IBAN), add(platform, ada, BY_IBAN)]
    assert [answer.status for answer in answers] == [201, 409]
    platform.publish()
    logged = everything_logged()
    for text in ("DE89370400440532013000", BY_IBAN["iban"], "370400440532"):
        assert not any(text in answer.body.decode() for answer in answers)
        assert text not in logged
    assert kept(platform, "DE89370400440532013000") == ["bank_accounts"]


def test_a_server_error_does_not_log_it(
    platform: Platform,
    ada: Account,
    everything_logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bank_accounts, "_INSERT", bank_accounts._INSERT.replace("bic", "nothing"))
    answer = add(platform, ada)
    assert answer.status == 500
    logged = everything_logged()
    assert "request.failed" in logged
    for text in (answer.body.decode(), logged):
        assert "000123456789" not in text


def test_numbers_like_a_cards_are_let_through_where_they_belong(
    platform: Platform, ada: Account
) -> None:
    assert add(platform, ada, account_number=CARD_LIKE).status == 201
    for body, places in (
        ({"account_number": f"{CARD_LIKE} "}, ["/account_number"]),
        ({"account_number": "4242 4242 4242 4242"}, ["/account_number"]),
        ({"account_number": int(CARD_LIKE)}, ["/account_number"]),
        ({"account_number": [CARD_LIKE]}, ["/account_number/0"]),
        ({"account_number": {"account_number": CARD_LIKE}}, ["/account_number/account_number"]),
        ({"account_number": "6799990100000000019"}, ["/account_number"]),
        ({"account_holder_name": CARD_LIKE}, ["/account_holder_name"]),
        ({"routing_number": CARD_LIKE}, ["/routing_number"]),
        ({"account_number": CARD_LIKE, "bic": CARD_LIKE}, ["/bic"]),
    ):
        answer = add(platform, ada, **body)
        found = {each["pointer"]: each["code"] for each in answer.json()["errors"]}
        assert found == dict.fromkeys(places, "card_number"), body


def test_the_request_is_kept_under_a_hash_that_nobody_can_try_numbers_against(
    platform: Platform, store: Store, ada: Account
) -> None:
    """The plain hash of the request would be found by trying all account numbers."""
    platform.post(create.handler, ada, BY_ROUTING, key="mine")
    plain = requests.idempotency.key(
        "mine",
        method="POST",
        route="/v1/bank_accounts",
        path="/v1/bank_accounts",
        body=BY_ROUTING,
    )
    with store.superuser() as root:
        kept_scope, fingerprint = root.execute(
            "SELECT scope, fingerprint FROM idempotency_keys"
        ).fetchone() or (b"", b"")
    assert (kept_scope, fingerprint != plain.fingerprint) == (plain.scope, True)
    assert plain.fingerprint.hex() not in str(platform.records())


# -- accounts for tests


@pytest.mark.parametrize("number", simulated.ACCOUNT_NUMBERS)
def test_the_account_numbers_for_tests_can_be_added(
    deployed: Platform, shared_store: Store, number: str
) -> None:
    ada = deployed.open_account("ada@example.com")
    with shared_store.superuser() as root:
        root.execute("DELETE FROM micro_deposits")
        root.execute("DELETE FROM bank_accounts")
    body = {"routing_number": simulated.ROUTING_NUMBER, "account_number": number}
    assert add(deployed, ada, US | body).status == 201


@pytest.mark.parametrize("iban", simulated.IBANS)
def test_the_ibans_for_tests_can_be_added(
    deployed: Platform, shared_store: Store, iban: str
) -> None:
    ada = deployed.open_account("ada@example.com")
    with shared_store.superuser() as root:
        root.execute("DELETE FROM micro_deposits")
        root.execute("DELETE FROM bank_accounts")
    currency = {"DE": "EUR", "GB": "GBP"}[iban[:2]]
    body = BY_IBAN | {"country": iban[:2], "currency": currency, "iban": iban}
    assert add(deployed, ada, body).status == 201
