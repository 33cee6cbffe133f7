"""Bank accounts: added once, deleted for good, announced, and seen by nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.api_keys import create as create_key
from functions.bank_accounts import create, delete, get, verify
from functions.bank_accounts import list as list_accounts
from functions.webhooks import create as create_endpoint
from ivy import bank_accounts, errors, ids, micro_deposits, proof
from ivy.bank_accounts import NewBankAccount
from ivy.database import Database, Tenant
from tests.bank_accounts import (
    BY_IBAN,
    BY_ROUTING,
    RIGHT,
    THREADS,
    US,
    WRONG,
    add,
    added,
    at_once,
    attempt,
    caller_of,
    history,
    key_of_id,
    live_key,
    moment,
    open_live,
    removed,
    shown,
    verified,
)
from tests.conftest import Store
from tests.driving import Account, Platform


@pytest.fixture
def ada(platform: Platform) -> Account:
    return platform.open_account("ada@example.com")


@pytest.fixture
def bob(platform: Platform) -> Account:
    return platform.open_account("bob@example.com")


@pytest.fixture
def app(store: Store) -> Iterator[Database]:
    database = Database(store.url("ivy_app"))
    yield database
    database.close()


# -- adding


def test_a_us_account_is_added(platform: Platform, ada: Account) -> None:
    made = added(platform, ada)
    assert made.pop("id").startswith("ba_")
    assert len(made.pop("fingerprint")) == 64
    assert moment(made.pop("created_at")) <= ids.now()
    assert made == {
        "object": "bank_account",
        "livemode": False,
        **US,
        "account_type": "checking",
        "routing_number": "110000000",
        "bic": None,
        "last4": "6789",
        "status": "pending_verification",
        "failure_code": None,
        "payable_from": None,
        "verification": {
            "method": "micro_deposits",
            "attempts_left": 3,
            "deposits_arrive_on": None,
            "verified_at": None,
        },
        "version": 1,
    }


def test_a_european_account_is_added(platform: Platform, ada: Account) -> None:
    made = added(platform, ada, BY_IBAN, bic="cobadeffxxx")
    assert (made["last4"], made["bic"], made["country"]) == ("3000", "COBADEFFXXX", "DE")
    assert (made["routing_number"], made["account_type"]) == (None, None)
    assert shown(platform, ada, made) == made


def test_a_british_account_takes_pounds(platform: Platform, ada: Account) -> None:
    british = BY_IBAN | {"country": "GB", "iban": "GB29NWBK60161331926819"}
    assert added(platform, ada, british, currency="gbp")["currency"] == "GBP"
    assert add(platform, ada, british, currency="EUR").code == "bank_account_exists"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (US, {"/routing_number": "missing", "/account_number": "missing"}),
        (BY_ROUTING | {"routing_number": "110000001"}, {"/routing_number": "routing_number"}),
        (BY_ROUTING | {"routing_number": "000000000"}, {"/routing_number": "routing_number"}),
        (BY_ROUTING | {"account_number": "1234"}, {"/account_number": "string_pattern_mismatch"}),
        (BY_ROUTING | {"account_number": 123456789}, {"/account_number": "string_type"}),
        (BY_ROUTING | {"currency": "EUR"}, {"/currency": "currency"}),
        (BY_ROUTING | {"account_type": "current"}, {"/account_type": "literal_error"}),
        (BY_ROUTING | {"account_holder_name": " "}, None),
        (BY_ROUTING | {"iban": "DE89370400440532013000"}, {"/iban": "not_allowed"}),
        (BY_ROUTING | {"bic": "COBADEFFXXX"}, {"/bic": "not_allowed"}),
        (BY_ROUTING | {"swift": "x"}, {"/swift": "extra_forbidden"}),
        (BY_IBAN | {"iban": "DE88370400440532013000"}, {"/iban": "iban"}),
        (BY_IBAN | {"iban": "GB29NWBK60161331926819"}, {"/iban": "iban"}),
        (BY_IBAN | {"iban": None}, {"/iban": "missing"}),
        (BY_IBAN | {"currency": "USD"}, {"/currency": "currency"}),
        (BY_IBAN | {"currency": "GBP"}, {"/currency": "currency"}),
        (BY_IBAN | {"bic": "COBAZZFF"}, {"/bic": "bic"}),
        (BY_IBAN | {"bic": "BNPAFRPPXXX"}, {"/bic": "bic"}),
        (BY_IBAN | {"account_holder_name": "Ada\u202eLtd"}, {"/account_holder_name": "text"}),
        (BY_IBAN | {"account_holder_name": "Ada\nLtd"}, {"/account_holder_name": "text"}),
        (BY_IBAN | {"account_type": "checking"}, {"/account_type": "not_allowed"}),
        (BY_IBAN | {"country": "JP"}, {"/country": "country"}),
        (BY_IBAN | {"country": "de"}, {"/country": "string_pattern_mismatch"}),
    ],
)
def test_what_cannot_be_paid_names_its_fields(
    deployed: Platform, body: dict[str, Any], wrong: dict[str, str] | None
) -> None:
    ada = deployed.open_account("ada@example.com")
    answer = add(deployed, ada, body)
    assert (answer.status, answer.code) == (422, "request_invalid"), answer.body
    found = {error["pointer"]: error["code"] for error in answer.json()["errors"]}
    assert found == (wrong or {"/account_holder_name": "string_pattern_mismatch"})


def test_everything_that_is_wrong_is_said_at_once(platform: Platform, ada: Account) -> None:
    body = {
        "country": "US",
        "currency": "EUR",
        "account_holder_name": "",
        "routing_number": "110000001",
        "bic": "COBADEFF",
        "surplus": 1,
    }
    pointers = {each["pointer"] for each in add(platform, ada, body).json()["errors"]}
    names = ("currency", "account_holder_name", "routing_number", "account_number", "bic")
    assert pointers == {f"/{name}" for name in (*names, "surplus")}


def test_an_account_is_added_once(platform: Platform, ada: Account, bob: Account) -> None:
    """In each mode by each merchant; another account of the bank is another account."""
    made = added(platform, ada)
    again = add(platform, ada, account_holder_name="Engines", account_type="savings")
    assert (again.status, again.code) == (409, "bank_account_exists")
    assert add(platform, ada, account_number="000123456780").status == 201
    assert add(platform, ada, routing_number="021000021").status == 201
    assert added(platform, bob)["fingerprint"] == made["fingerprint"]
    removed(platform, ada, made)
    assert added(platform, ada)["fingerprint"] == made["fingerprint"]


def test_an_iban_is_the_same_however_it_is_written(platform: Platform, ada: Account) -> None:
    added(platform, ada, BY_IBAN)
    again = add(platform, ada, BY_IBAN, iban="de89370400440532013000")
    assert again.code == "bank_account_exists"


def test_of_many_that_add_it_at_once_one_does(
    store: Store, platform: Platform, ada: Account
) -> None:
    platform.enter(create.handler.needs)
    caller = caller_of(ada)
    new = NewBankAccount(**BY_ROUTING)

    def work(database: Database) -> str:
        with database.transaction(caller.tenant) as tx:
            return bank_accounts.add(tx, caller, new).status

    assert sorted(at_once(store, work)) == ["bank_account_exists"] * (THREADS - 1) + [
        "pending_verification"
    ]


def test_a_retry_is_answered_alike_and_adds_nothing(platform: Platform, ada: Account) -> None:
    first = platform.post(create.handler, ada, BY_ROUTING, key="once")
    again = platform.post(create.handler, ada, BY_ROUTING, key="once")
    assert (again.status, again.replayed, again.body) == (201, True, first.body)
    other = BY_ROUTING | {"account_number": "000123456780"}
    assert platform.post(create.handler, ada, other, key="once").code == "idempotency_key_reused"
    assert len(platform.read(list_accounts.handler, ada)["data"]) == 1


def test_live_accounts_wait_until_live_mode_is_open(
    platform: Platform, store: Store, ada: Account
) -> None:
    live = live_key(platform, ada)
    assert add(platform, live).code == "live_mode_locked"
    open_live(store)
    made = added(platform, live)
    assert made["livemode"] is True
    with store.superuser() as root:
        (amounts,) = root.execute("SELECT micro_deposits FROM bank_accounts").fetchone() or ([],)
    assert all(1 <= amount <= 99 for amount in amounts)
    assert attempt(platform, live, made, amounts).code == "micro_deposits_not_sent"
    with store.superuser() as root:
        root.execute("UPDATE bank_accounts SET deposits_arrive_on = now(), version = version + 1")
    assert attempt(platform, live, made, amounts).json()["status"] == "verified"


def test_british_accounts_are_paid_in_euros_too(platform: Platform) -> None:
    """Their banks are in SEPA; those of the islands have a BIC of their own."""
    ada = platform.open_account("ada@example.com")
    body = BY_IBAN | {"country": "GB", "iban": "GB29NWBK60161331926819", "currency": "EUR"}
    assert added(platform, ada, body, bic="BARCJESHXXX")["bic"] == "BARCJESHXXX"


def test_ten_live_accounts_are_added_in_a_month(
    store: Store, platform: Platform, ada: Account, bob: Account
) -> None:
    """Each costs two transfers, however soon it is deleted."""
    open_live(store)
    live = live_key(platform, ada)
    for number in range(bank_accounts.MAX_ADDED):
        made = added(platform, live, account_number=f"00012345670{number}")
        if number % 2:
            removed(platform, live, made)
    refused = add(platform, live, account_number="000123456799")
    assert (refused.status, refused.code) == (409, "bank_account_limit_reached")
    assert len(platform.read(list_accounts.handler, live)["data"]) == bank_accounts.MAX_ADDED // 2
    added(platform, ada, account_number="000123456799")
    added(platform, live_key(platform, bob), account_number="000123456799")
    with store.superuser() as root:
        root.execute("SET session_replication_role = replica")
        root.execute(
            "UPDATE bank_accounts SET created_at = created_at - interval '30 days'"
            " WHERE last4 = '6700'"
        )
    added(platform, live, account_number="000123456799")
    assert add(platform, live, account_number="000123456798").code == refused.code


def test_live_accounts_added_at_once_are_counted(
    store: Store, platform: Platform, ada: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_accounts, "MAX_ADDED", 3)
    open_live(store)
    caller = caller_of(live_key(platform, ada), livemode=True)
    numbers = iter(range(THREADS))

    def work(database: Database) -> str:
        new = NewBankAccount.model_validate(
            BY_ROUTING | {"account_number": f"00012345671{next(numbers)}"}
        )
        try:
            with database.transaction(caller.tenant) as tx:
                return bank_accounts.add(tx, caller, new).status
        except errors.BankAccountLimitReached as problem:
            return problem.code

    assert sorted(at_once(store, work)) == [
        *["bank_account_limit_reached"] * (THREADS - 3), *["pending_verification"] * 3,
    ]  # fmt: skip


def test_live_amounts_are_not_guessable() -> None:
    live = Tenant(1, livemode=True)
    drawn = {tuple(micro_deposits.amounts(live)) for _ in range(200)}
    assert len(drawn) > 150
    assert all(1 <= amount <= 99 for pair in drawn for amount in pair)
    assert micro_deposits.amounts(Tenant(1, livemode=False)) == [32, 45]


# -- deleting, reading, events


def test_a_deleted_account_is_gone(platform: Platform, ada: Account) -> None:
    made = verified(platform, ada, added(platform, ada))
    gone = removed(platform, ada, made)
    assert gone == made | {"status": "deleted", "version": 3}
    for route in (get.handler, delete.handler):
        assert platform.request(route, bearer=ada.secret_key, id=made["id"]).code == (
            "resource_missing"
        )
    assert attempt(platform, ada, made, RIGHT).code == "resource_missing"
    assert platform.read(list_accounts.handler, ada)["data"] == []


def test_each_change_is_announced_once(platform: Platform, store: Store, ada: Account) -> None:
    failing, fine, unused = (
        added(platform, ada, account_number=f"00012345678{n}") for n in range(3)
    )
    for _ in range(3):
        attempt(platform, ada, failing, WRONG)
    removed(platform, ada, failing)
    after = verified(platform, ada, fine)
    removed(platform, ada, unused)
    told = {
        made["id"]: [each["type"].partition(".")[2] for each in history(platform, ada, made)]
        for made in (failing, fine, unused)
    }
    assert list(told.values()) == [
        ["created", "verification_failed", "deleted"],
        ["created", "verified"],
        ["created", "deleted"],
    ]
    created, changed = history(platform, ada, fine)
    assert (created["data"], changed["data"]) == (fine, after)
    assert changed["balance_changes"] == []
    database = Database(store.url("ivy_read"))
    with database.transaction(snapshot=True) as tx:
        found = proof.prove(tx, livemode=None, at=ids.now())
    database.close()
    assert found.holds, [law for law in found.laws if not law.holds]


def test_endpoints_can_subscribe_to_them(platform: Platform, ada: Account) -> None:
    for pattern in ("bank_account.*", "bank_account.deleted"):
        body = {"url": "https://example.com/", "events": [pattern]}
        assert platform.request(create_endpoint.handler, body, bearer=ada.secret_key).status == 201


def test_lists_are_of_a_currency_and_a_status(platform: Platform, ada: Account) -> None:
    dollars, euros = added(platform, ada), added(platform, ada, BY_IBAN)
    verified(platform, ada, euros)

    def listed(**query: str) -> list[str]:
        found = platform.read(list_accounts.handler, ada, query=query)
        return [each["id"] for each in found["data"]]

    assert listed() == [euros["id"], dollars["id"]]
    assert listed(currency="usd") == [dollars["id"]]
    assert listed(status="verified") == [euros["id"]]
    assert listed(currency="EUR", status="pending_verification") == []
    assert listed(limit="1") == [euros["id"]]
    refused = platform.request(
        list_accounts.handler, bearer=ada.secret_key, query={"status": "deleted"}
    )
    assert refused.code == "request_invalid"


def test_nobody_else_sees_or_touches_it(
    platform: Platform, store: Store, ada: Account, bob: Account, app: Database
) -> None:
    """Neither another merchant nor the same one in the other mode."""
    open_live(store)
    made = added(platform, ada)
    before = verified(platform, ada, made)
    for other in (bob, live_key(platform, ada)):
        for route in (get.handler, delete.handler):
            answer = platform.request(route, bearer=other.secret_key, id=made["id"])
            assert answer.code == "resource_missing"
        assert attempt(platform, other, made, RIGHT).code == "resource_missing"
        assert platform.read(list_accounts.handler, other)["data"] == []
        livemode = other is not bob
        tenant = Tenant(other.merchant_id, livemode)
        with pytest.raises(errors.ResourceMissing), app.transaction(tenant) as tx:
            bank_accounts.payable(tx, tenant, key_of_id(made["id"]), "USD", ids.now())
        with app.transaction(tenant) as tx:
            assert bank_accounts.default(tx, "USD", tx.now()) is None
        assert added(platform, other)["id"] != made["id"]
    assert shown(platform, ada, made) == before


@pytest.mark.parametrize(
    "scopes", [["bank_accounts:read"], ["bank_accounts:write"], ["events:read"]]
)
def test_scopes(platform: Platform, ada: Account, scopes: list[str]) -> None:
    made = added(platform, ada)
    key = platform.request(
        create_key.handler, {"name": "k", "scopes": scopes}, bearer=ada.access_token
    ).json()["secret"]
    reading = [(get.handler, None), (list_accounts.handler, None)]
    writing = [(verify.handler, {"amounts": WRONG}), (delete.handler, None)]
    for scope, routes in (("bank_accounts:read", reading), ("bank_accounts:write", writing)):
        for route, body in routes:
            path = {"id": made["id"]} if "{id}" in route.path else {}
            answer = platform.request(route, body, bearer=key, **path)
            assert (answer.status == 403) is (scope not in scopes)
