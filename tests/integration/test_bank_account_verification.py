"""Bank accounts: verified in three attempts, and payable when it should be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.api_keys import revoke
from functions.bank_accounts import create, delete, get, verify
from ivy import bank_accounts, errors, ids
from ivy.bank_account_verification import Deposits
from ivy.bank_account_verification import verify as verify_account
from ivy.bank_accounts import BankAccount, NewBankAccount
from ivy.callers import Caller
from ivy.database import Database, Tenant
from tests.bank_accounts import (
    BY_IBAN,
    BY_ROUTING,
    RIGHT,
    THREADS,
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
from tests.driving import Account, Platform, Reply


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


# -- verifying


@pytest.mark.parametrize("amounts", [RIGHT, RIGHT[::-1]])
def test_the_amounts_verify_in_any_order(
    platform: Platform, ada: Account, amounts: list[int]
) -> None:
    made = added(platform, ada)
    answer = attempt(platform, ada, made, amounts)
    assert answer.status == 200
    after = answer.json()
    assert after == shown(platform, ada, made)
    assert (after["status"], after["version"]) == ("verified", 2)
    assert after["payable_from"] == after["verification"]["verified_at"]
    assert attempt(platform, ada, made, amounts).code == "bank_account_already_verified"
    assert attempt(platform, ada, made, WRONG).code == "bank_account_already_verified"


def test_an_answer_under_a_key_counts_once(platform: Platform, ada: Account) -> None:
    made = added(platform, ada)

    def sent(amounts: list[int], key: str) -> Reply:
        return platform.post(verify.handler, ada, {"amounts": amounts}, key=key, id=made["id"])

    wrong = [sent(WRONG, "a") for _ in range(4)]
    assert {(each.status, each.body) for each in wrong} == {(422, wrong[0].body)}
    assert [each.replayed for each in wrong] == [False, True, True, True]
    assert wrong[0].json()["attempts_left"] == 2
    assert sent(RIGHT, "a").code == "idempotency_key_reused"
    assert attempt(platform, ada, made, WRONG).json()["attempts_left"] == 1
    right = [sent(RIGHT, "b") for _ in range(2)]
    assert [(each.status, each.replayed) for each in right] == [(200, False), (200, True)]
    assert right[0].body == right[1].body
    assert sent(RIGHT, "c").code == "bank_account_already_verified"
    assert shown(platform, ada, made)["version"] == 2


def test_three_wrong_answers_end_it(platform: Platform, ada: Account) -> None:
    made = added(platform, ada)
    for left in (2, 1):
        answer = attempt(platform, ada, made, WRONG)
        assert (answer.status, answer.code) == (422, "micro_deposit_mismatch")
        assert (answer.json()["attempts_left"], answer.json()["param"]) == (left, "amounts")
        after = shown(platform, ada, made)
        assert (after["status"], after["version"]) == ("pending_verification", 1)
        assert after["verification"]["attempts_left"] == left
    assert attempt(platform, ada, made, WRONG).json()["attempts_left"] == 0
    after = shown(platform, ada, made)
    assert (after["status"], after["version"]) == ("verification_failed", 2)
    assert after["failure_code"] == "wrong_amounts"
    refused = attempt(platform, ada, made, RIGHT)
    assert (refused.status, refused.code) == (409, "bank_account_verification_failed")
    assert shown(platform, ada, made) == after


def test_the_last_attempt_may_be_right(platform: Platform, ada: Account) -> None:
    made = added(platform, ada)
    for _ in range(2):
        attempt(platform, ada, made, WRONG)
    assert verified(platform, ada, made)["verification"]["attempts_left"] == 1


@pytest.mark.parametrize(
    "amounts", [[], [32], [32, 45, 1], [0, 45], [32, 100], ["32", "45"], [32.5, 45], "32,45", None]
)
def test_what_can_be_no_amounts_does_not_count(
    deployed: Platform, amounts: Any, shared_store: Store
) -> None:
    ada = deployed.open_account("ada@example.com")
    with shared_store.superuser() as root:
        root.execute("DELETE FROM micro_deposits")
        root.execute("DELETE FROM bank_accounts")
    made = added(deployed, ada)
    assert attempt(deployed, ada, made, amounts).code == "request_invalid"
    assert shown(deployed, ada, made)["verification"]["attempts_left"] == 3


def test_attempts_at_once_are_three_in_all(store: Store, platform: Platform, ada: Account) -> None:
    for turn in range(5):
        made = added(platform, ada, account_number=f"00012345670{turn}")
        caller, account = caller_of(ada), key_of_id(made["id"])

        def work(database: Database, caller: Caller = caller, account: UUID = account) -> str:
            with database.transaction(caller.tenant) as tx:
                sent = Deposits(amounts=WRONG)
                left = verify_account(tx, caller, account, sent).verification.attempts_left
            return str(left)

        outcomes = sorted(at_once(store, work))
        assert outcomes == ["0", "1", "2"] + ["bank_account_verification_failed"] * (THREADS - 3)
        assert shown(platform, ada, made)["status"] == "verification_failed"
        assert len(history(platform, ada, made)) == 2
        removed(platform, ada, made)


def test_a_number_has_three_attempts_however_often_it_is_added(
    platform: Platform, ada: Account, bob: Account
) -> None:
    for left in (2, 1):
        made = added(platform, ada)
        assert made["verification"]["attempts_left"] == left + 1
        assert attempt(platform, ada, made, WRONG).json()["attempts_left"] == left
        removed(platform, ada, made)
    made = added(platform, ada)
    assert attempt(platform, ada, made, WRONG).json()["attempts_left"] == 0
    assert add(platform, ada).code == "bank_account_exists"
    removed(platform, ada, made)
    refused = add(platform, ada)
    assert (refused.status, refused.code) == (409, "bank_account_verification_failed")
    for who, number in ((ada, "000123456780"), (bob, "000123456789")):
        other = added(platform, who, account_number=number)
        assert other["verification"]["attempts_left"] == 3


def test_attempts_of_a_number_count_for_thirty_days(
    store: Store, platform: Platform, ada: Account
) -> None:
    made = added(platform, ada)
    for _ in range(3):
        attempt(platform, ada, made, WRONG)
    removed(platform, ada, made)
    for days, answer in ((29, "bank_account_verification_failed"), (30, None)):
        with store.superuser() as root:
            root.execute(
                "UPDATE bank_accounts SET last_attempt_at = now() - make_interval(days => %s)",
                (days,),
            )
        again = add(platform, ada)
        assert (again.code if answer else None) == answer
    assert again.json()["verification"]["attempts_left"] == 3


def test_an_attempt_is_not_lost_between_deleting_and_adding_anew(
    store: Store, platform: Platform, ada: Account
) -> None:
    """Whoever deletes waits for whoever adds: so the new row has seen every attempt."""
    made = added(platform, ada)
    attempt(platform, ada, made, WRONG)
    with store.superuser() as adding, store.superuser() as deleting:
        adding.autocommit = deleting.autocommit = False
        adding.execute("SELECT pg_advisory_xact_lock(%s)", (ada.merchant_id,))
        deleting.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            deleting.execute("UPDATE bank_accounts SET status = 'deleted', version = version + 1")


def test_right_answers_at_once_verify_once(store: Store, platform: Platform, ada: Account) -> None:
    made = added(platform, ada)
    caller, account = caller_of(ada), key_of_id(made["id"])

    def work(database: Database) -> str:
        with database.transaction(caller.tenant) as tx:
            return verify_account(tx, caller, account, Deposits(amounts=RIGHT)).status

    outcomes = sorted(at_once(store, work))
    assert outcomes == ["bank_account_already_verified"] * (THREADS - 1) + ["verified"]
    assert [each["type"] for each in history(platform, ada, made)][1:] == ["bank_account.verified"]


def test_a_revoked_key_neither_verifies_nor_deletes(platform: Platform, ada: Account) -> None:
    made = added(platform, ada)
    platform.principal(ada.secret_key)
    platform.request(revoke.handler, bearer=ada.access_token, id=ada.key_id)
    assert attempt(platform, ada, made, WRONG).code == "credential_invalid"
    refused = platform.request(delete.handler, bearer=ada.secret_key, id=made["id"])
    assert refused.code == "credential_invalid"
    found = platform.request(get.handler, bearer=ada.access_token, id=made["id"]).json()
    assert found == made


# -- when it is payable


def ask_payable(
    app: Database, account: Account, made: dict[str, Any], at: datetime, currency: str = "USD"
) -> BankAccount:
    tenant = Tenant(account.merchant_id, livemode=False)
    with app.transaction(tenant) as tx:
        return bank_accounts.payable(tx, tenant, key_of_id(made["id"]), currency, at)


def test_the_first_account_is_payable_once_it_is_verified(
    platform: Platform, ada: Account, app: Database
) -> None:
    made = added(platform, ada)
    with pytest.raises(errors.BankAccountUnverified, match="pending_verification"):
        ask_payable(app, ada, made, ids.now())
    verified(platform, ada, made)
    assert ask_payable(app, ada, made, ids.now()).last4 == "6789"
    with pytest.raises(errors.CurrencyMismatch, match="in USD"):
        ask_payable(app, ada, made, ids.now(), "EUR")
    removed(platform, ada, made)
    with pytest.raises(errors.ResourceMissing):
        ask_payable(app, ada, made, ids.now())


def test_a_failed_account_is_not_payable(platform: Platform, ada: Account, app: Database) -> None:
    made = added(platform, ada)
    for _ in range(3):
        attempt(platform, ada, made, WRONG)
    with pytest.raises(errors.BankAccountUnverified, match="verification_failed"):
        ask_payable(app, ada, made, ids.now())


@pytest.mark.parametrize("before", ["pending", "verified", "deleted", "itself, deleted"])
def test_a_further_account_cools_off(
    platform: Platform, ada: Account, app: Database, before: str
) -> None:
    """Whatever has become of the one before: a thief would delete it."""
    first = added(platform, ada)
    if before == "verified":
        verified(platform, ada, first)
    if "deleted" in before:
        removed(platform, ada, first)
    number = "000123456789" if before == "itself, deleted" else "000123456780"
    second = verified(platform, ada, added(platform, ada, account_number=number))
    at = moment(second["verification"]["verified_at"])
    payable_from = at + timedelta(hours=24)
    assert moment(second["payable_from"]) == payable_from
    for early in (at, payable_from - timedelta(milliseconds=1)):
        with pytest.raises(errors.BankAccountCoolingOff) as refused:
            ask_payable(app, ada, second, early)
        assert refused.value.facts == {"payable_from": second["payable_from"]}
    assert ask_payable(app, ada, second, payable_from).status == "verified"


def test_another_currency_mode_or_merchant_is_another_first(
    platform: Platform, store: Store, ada: Account, bob: Account
) -> None:
    open_live(store)
    verified(platform, ada, added(platform, ada))
    live = live_key(platform, ada)
    for who, body in ((ada, BY_IBAN), (bob, BY_ROUTING)):
        made = verified(platform, who, added(platform, who, body))
        assert made["payable_from"] == made["verification"]["verified_at"]
    made = added(platform, live)
    with store.superuser() as root:
        (cools_off,) = root.execute(
            "SELECT cools_off FROM bank_accounts WHERE livemode"
        ).fetchone() or (None,)
    assert (made["livemode"], cools_off) == (True, False)


def test_of_first_accounts_added_at_once_one_is_the_first(
    store: Store, platform: Platform, ada: Account
) -> None:
    platform.enter(create.handler.needs)
    caller, numbers = caller_of(ada), iter(range(THREADS))

    def work(database: Database) -> str:
        new = NewBankAccount(**BY_ROUTING | {"account_number": f"00012345600{next(numbers)}"})
        with database.transaction(caller.tenant) as tx:
            return bank_accounts.add(tx, caller, new).status

    assert at_once(store, work) == ["pending_verification"] * THREADS
    with store.superuser() as root:
        found = root.execute("SELECT count(*) FROM bank_accounts WHERE NOT cools_off").fetchone()
    assert found == (1,)


def test_the_default_is_the_newest_payable_one(
    platform: Platform, ada: Account, app: Database
) -> None:
    tenant = Tenant(ada.merchant_id, livemode=False)

    def default(currency: str = "USD", days: int = 0) -> str | None:
        with app.transaction(tenant) as tx:
            found = bank_accounts.default(tx, currency, tx.now() + timedelta(days=days))
        return found and ids.Prefix("ba").write(found.id)

    first = added(platform, ada)
    assert default() is None
    verified(platform, ada, first)
    second = added(platform, ada, account_number="000123456780")
    assert default() == first["id"]
    verified(platform, ada, second)
    assert default() == first["id"], "the other is cooling off"
    assert (default(days=1), default("EUR")) == (second["id"], None)
    removed(platform, ada, first)
    assert default() == second["id"], "which says until when"
    removed(platform, ada, second)
    assert default() is None


def test_an_account_that_is_being_paid_is_not_deleted_meanwhile(
    platform: Platform, store: Store, ada: Account, app: Database
) -> None:
    made = verified(platform, ada, added(platform, ada))
    tenant = Tenant(ada.merchant_id, livemode=False)
    with app.transaction(tenant) as tx:
        bank_accounts.payable(tx, tenant, key_of_id(made["id"]), "USD", ids.now())
        with store.superuser() as root, pytest.raises(psycopg.errors.LockNotAvailable):
            root.execute("SELECT FROM bank_accounts FOR NO KEY UPDATE NOWAIT")
    removed(platform, ada, made)
