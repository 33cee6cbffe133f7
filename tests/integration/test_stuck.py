"""Work that no connector answers for: shown to operators, resolved by them, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from functions.charges import create, process
from functions.charges import get as get_charge
from functions.outbox import relay, resolve, stuck
from functions.refunds import create as create_refund
from tests import invariants
from tests.driving import LambdaContext

if TYPE_CHECKING:
    from ivy.serve.declaration import Command
    from tests.conftest import Store
    from tests.driving import Account, Platform


def invoke(platform: Platform, command: Command, payload: dict[str, Any]) -> dict[str, Any]:
    platform.enter(command.needs)
    answer: dict[str, Any] = command(payload, LambdaContext())
    return answer


def charge(platform: Platform, account: Account, key: str, **fields: Any) -> dict[str, Any]:
    body = {"amount": 10_000, "currency": "USD", "payment_method": "tok_visa"} | fields
    made = platform.request(
        create.handler, body, bearer=account.secret_key, headers={"Idempotency-Key": key}
    )
    answer: dict[str, Any] = made.json()
    return answer


def read(platform: Platform, account: Account, charge_id: str) -> dict[str, Any]:
    found = platform.request(get_charge.handler, bearer=account.secret_key, id=charge_id)
    answer: dict[str, Any] = found.json()
    return answer


@pytest.fixture
def account(deployed: Platform) -> Account:
    return deployed.open_account("operator@example.com")


def test_what_is_overdue_is_shown_with_what_was_asked(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    made = charge(deployed, account, "shown", payment_method="tok_ach")
    deployed.drain(process.handler)
    assert made["id"] not in str(invoke(deployed, stuck.handler, {}))
    assert made["id"] in str(invoke(deployed, stuck.handler, {"everything": True}))
    with shared_store.superuser() as connection:
        connection.execute("UPDATE outbox SET expected_at = now() - interval '1 hour'")
    (found,) = invoke(deployed, stuck.handler, {})["data"]
    assert found["subject"] == made["id"]
    assert found["account"] == f"{account.merchant_id}-test"
    assert found["action"] == "authorize"
    assert (found["connector"], found["request_id"]) == ("simulated", made["id"])
    assert (found["attempts"], found["last_outcome"]) == (1, "pending")
    assert 3590 < found["overdue_seconds"] < 3700
    report = deployed.run(relay.handler)
    assert report["overdue_seconds"] > 3590


def test_an_operators_finding_is_posted_like_an_answer_and_only_once(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    made = charge(deployed, account, "resolved", payment_method="tok_ach")
    deployed.drain(process.handler)
    finding = {
        "account": f"{account.merchant_id}-test",
        "subject": made["id"],
        "outcome": "approved",
        "reference": "seen_in_report",
        "by": "grace",
        "reason": "the acquirer's report of Tuesday",
    }
    assert invoke(deployed, resolve.handler, finding)["outcome"] == "approved"
    decided = read(deployed, account, made["id"])
    assert (decided["status"], decided["amount_captured"]) == ("succeeded", 10_000)
    again = invoke(deployed, resolve.handler, finding)
    assert (again["status"], again["code"]) == (404, "resource_missing")
    with shared_store.superuser() as connection:
        attempts = connection.execute(
            "SELECT outcome, reference, resolved_by FROM attempts WHERE subject = %s"
            " ORDER BY number",
            (made["id"].partition("_")[2],),
        ).fetchall()
        assert attempts[-1] == ("approved", "seen_in_report", "grace")
        assert invariants.broken(connection) == {}


def test_a_declined_refund_gives_the_money_back(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    made = charge(deployed, account, "for refund")
    deployed.drain(process.handler)
    refund = deployed.request(
        create_refund.handler,
        {"charge": made["id"], "amount": 4_000},
        bearer=account.secret_key,
        headers={"Idempotency-Key": "refund it"},
    ).json()
    finding = {
        "account": f"{account.merchant_id}-test",
        "subject": refund["id"],
        "outcome": "declined",
        "failure_code": "acquirer_lost_it",
        "by": "grace",
        "reason": "they never had it",
    }
    assert "code" not in invoke(deployed, resolve.handler, finding)
    with shared_store.superuser() as connection:
        row = connection.execute(
            "SELECT status, failure_code FROM refunds WHERE id = %s",
            (refund["id"].partition("_")[2],),
        ).fetchone()
        assert row == ("failed", "acquirer_lost_it")
        assert invariants.broken(connection) == {}


def test_ask_again_makes_it_due_now(
    deployed: Platform, account: Account, shared_store: Store
) -> None:
    made = charge(deployed, account, "again", payment_method="tok_ach")
    deployed.drain(process.handler)
    finding = {
        "account": f"{account.merchant_id}-test",
        "subject": made["id"],
        "outcome": "ask_again",
        "by": "grace",
        "reason": "they say it is done",
    }
    assert invoke(deployed, resolve.handler, finding)["outcome"] == "ask_again"
    with shared_store.superuser() as connection:
        due = connection.execute(
            "SELECT next_send_at <= now() FROM outbox WHERE subject = %s",
            (made["id"].partition("_")[2],),
        ).fetchone()
    assert due == (True,)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"outcome": "perhaps"}, "/outcome"),
        ({"account": "me"}, "/account"),
        ({"subject": "po_1"}, "/subject"),
        ({"by": ""}, "/by"),
        ({"extra": 1}, "/extra"),
    ],
)
def test_a_bad_finding_is_refused_by_field(
    deployed: Platform, wrong: dict[str, Any], pointer: str
) -> None:
    finding = {
        "account": "1001-test",
        "subject": "ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        "outcome": "approved",
        "by": "grace",
        "reason": "why",
    }
    refused = invoke(deployed, resolve.handler, finding | wrong)
    assert refused["code"] == "request_invalid"
    assert [each["pointer"] for each in refused["errors"]] == [pointer]


def test_another_accounts_work_is_not_found(deployed: Platform, account: Account) -> None:
    made = charge(deployed, account, "foreign", payment_method="tok_ach")
    finding = {
        "account": f"{account.merchant_id + 1}-test",
        "subject": made["id"],
        "outcome": "approved",
        "by": "grace",
        "reason": "why",
    }
    assert invoke(deployed, resolve.handler, finding)["code"] == "resource_missing"
