"""Payouts: what is available goes out once, itemised to the last entry, and never more than it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.api_keys import create as create_key
from functions.balance_transactions import list as list_transactions
from functions.payouts import approve, cancel, create, get, make, reject, schedule, submit
from functions.payouts import list as list_payouts
from ivy import payout_outcomes, proof
from ivy.database import Database, Tenant
from ivy.ids import UUID
from tests.bank_accounts import added, verified
from tests.driving import Reply
from tests.settlement.till import Till

NET = 9_680


@pytest.fixture(autouse=True)
def _proven(till: Till) -> Iterator[None]:
    """Whatever a test did, the books keep every law."""
    yield
    for law in proof.LAWS:
        found = till.here.connection.execute(law.query).fetchall()
        assert [witness for (witness,) in found if witness] == [], law.name


@pytest.fixture
def account(till: Till) -> str:
    return linked(till)


def linked(till: Till) -> str:
    """Give a merchant a bank account that it has verified."""
    platform = till.here.platform
    made = verified(platform, till.account, added(platform, till.account))
    return str(made["id"])


def pay(till: Till, **fields: Any) -> Reply:
    return till.post(create.handler, {"currency": "USD"} | fields)


def seen(till: Till, payout: str) -> Any:
    return till.here.get(get.handler, till.account, id=payout).json()


def earn(till: Till, charges: int = 1) -> None:
    """Have the charges of a day available."""
    for _ in range(charges):
        till.charge()
    till.close("2026-11-27 00:05")


def items(till: Till, **query: str) -> list[tuple[str, int]]:
    found = till.here.get(list_transactions.handler, till.account, query).json()["data"]
    return [(each["type"], each["net"]) for each in found]


def outcome(till: Till, payout: str, what: str, *more: Any) -> str:
    """Let the bank say something about a payout."""
    tenant = Tenant(till.account.merchant_id, livemode=False)
    database = Database(till.here.platform.store.url("ivy_app"))
    with database.transaction(tenant) as tx:
        after = getattr(payout_outcomes, what)(
            tx, tenant, UUID(hex=payout.partition("_")[2]), *more
        )
    database.close()
    return str(after.status)


def test_all_that_is_available_goes_out(till: Till, account: str) -> None:
    earn(till, charges=2)
    made = pay(till).json()
    assert (made["status"], made["amount"], made["bank_account"]) == ("pending", 2 * NET, account)
    assert made["itemisation"] == {
        "opening": 0, "item_count": 1, "items": 2 * NET, "closing": 0,
    }  # fmt: skip
    assert till.balance() == (0, 0, 0)
    assert seen(till, made["id"]) == made
    assert [each["data"] for each in till.told("payout")] == [made]


@pytest.mark.usefixtures("account")
def test_each_entry_is_in_one_payout(till: Till) -> None:
    earn(till)
    first = pay(till, amount=680).json()
    till.charge()
    till.close("2026-12-01 00:05")
    second = pay(till).json()
    assert first["itemisation"]["closing"] == 9_000
    assert second["itemisation"] == {
        "opening": 9_000, "item_count": 1, "items": NET, "closing": 0,
    }  # fmt: skip
    assert second["amount"] == 9_000 + NET
    (batch, _) = till.batches()
    assert items(till, settlement=batch["id"]) == [("charge", NET)]


@pytest.mark.usefixtures("account")
def test_what_is_not_a_charge_is_itemised_too(till: Till) -> None:
    till.set(reserve_basis_points=1_000, reserve_days=1)
    earn(till)
    till.disputed()
    till.close("2026-11-28 00:05")
    till.charge()
    till.close("2026-12-01 00:05")
    made = pay(till, amount=1).json()
    assert made["itemisation"]["items"] == made["itemisation"]["closing"] + 1
    assert {name for name, _ in items(till, payout=made["id"])} >= {"dispute", "reserve_release"}


@pytest.mark.usefixtures("account")
def test_no_more_than_is_available(till: Till) -> None:
    earn(till)
    refused = pay(till, amount=NET + 1)
    assert (refused.status, refused.code) == (402, "balance_insufficient")
    assert (refused.json()["available"], refused.json()["param"]) == (NET, "amount")
    assert pay(till, amount=NET).status == 201
    nothing = pay(till)
    assert (nothing.status, nothing.json()["available"]) == (402, 0)
    assert pay(till, amount=1).status == 402


@pytest.mark.usefixtures("account")
def test_a_dry_run_moves_nothing(till: Till) -> None:
    earn(till)
    said = pay(till, dry_run=True).json()
    assert {each["account"]: each["amount"] for each in said["entries"]} == {
        "merchant:available": NET, "merchant:payouts_in_transit": -NET,
    }  # fmt: skip
    assert till.balance() == (0, NET, 0)
    assert till.told("payout") == []
    assert pay(till, amount=NET + 1, dry_run=True).code == "balance_insufficient"


@pytest.mark.usefixtures("account")
def test_the_bank_takes_the_money_and_may_give_it_back(till: Till) -> None:
    earn(till)
    made = pay(till).json()["id"]
    day = till.here.clock.at.date()
    assert outcome(till, made, "paid") == "pending"  # it has not been sent yet
    assert outcome(till, made, "sent", day) == "in_transit"
    assert outcome(till, made, "sent", day) == "in_transit"
    assert outcome(till, made, "paid") == "paid"
    assert outcome(till, made, "paid") == "paid"
    assert outcome(till, made, "came_back", "account_closed") == "returned"
    assert outcome(till, made, "came_back", "account_closed") == "returned"
    assert seen(till, made)["failure_code"] == "account_closed"
    assert till.balance() == (0, NET, 0)
    again = pay(till).json()
    assert again["itemisation"] == {
        "opening": 0, "item_count": 1, "items": NET, "closing": 0,
    }  # fmt: skip
    assert items(till, payout=again["id"]) == [("payout_return", NET)]


@pytest.mark.usefixtures("account")
def test_a_refused_payout_is_available_again(till: Till) -> None:
    earn(till)
    made = pay(till).json()["id"]
    outcome(till, made, "sent", till.here.clock.at.date())
    assert outcome(till, made, "came_back", "no_account") == "failed"
    assert till.balance() == (0, NET, 0)


@pytest.mark.usefixtures("account")
def test_a_payout_can_be_canceled_until_it_is_on_its_way(till: Till) -> None:
    earn(till)
    first = pay(till).json()["id"]
    gone = till.post(cancel.handler, {}, id=first)
    assert (gone.status, gone.json()["status"]) == (200, "canceled")
    assert till.post(cancel.handler, {}, id=first).code == "payout_not_cancelable"
    second = pay(till).json()["id"]
    till.here.run(submit.handler)
    assert till.post(cancel.handler, {}, id=second).code == "payout_not_cancelable"
    assert [each["status"] for each in till.here.get(
        list_payouts.handler, till.account, {"status": "canceled"}
    ).json()["data"]] == ["canceled"]  # fmt: skip


@pytest.mark.usefixtures("account")
def test_a_large_payout_needs_somebody_else(till: Till) -> None:
    till.set(payout_approval_cents=5_000)
    earn(till)
    assert pay(till, amount=5_000).json()["status"] == "pending"
    asked = till.here.platform.request(
        create.handler,
        {"currency": "USD", "amount": 4_680},
        bearer=till.account.access_token,
        headers={"Idempotency-Key": "asked"},
    ).json()
    assert asked["status"] == "pending"
    till.set(payout_approval_cents=0)
    till.charge()
    till.close("2026-12-01 00:05")
    asked = till.here.platform.request(
        create.handler,
        {"currency": "USD"},
        bearer=till.account.access_token,
        headers={"Idempotency-Key": "asked again"},
    ).json()
    assert (asked["status"], asked["itemisation"]) == ("requires_approval", None)
    assert till.balance()[1] == NET
    by_key = till.post(approve.handler, {}, id=asked["id"])
    assert (by_key.status, by_key.code) == (403, "approver_not_a_person")
    by_maker = decide(till, approve, asked["id"])
    assert (by_maker.status, by_maker.code) == (403, "self_approval")
    till.here.connection.execute("ALTER TABLE payouts DISABLE TRIGGER legal_change")
    till.here.connection.execute("UPDATE payouts SET created_by = uuidv7()")  # somebody else
    till.here.connection.execute("ALTER TABLE payouts ENABLE TRIGGER legal_change")
    approved = decide(till, approve, asked["id"])
    assert (approved.status, approved.json()["status"]) == (200, "pending")
    assert approved.json()["itemisation"]["closing"] == 0
    assert till.balance()[1] == 0
    assert decide(till, approve, asked["id"]).code == "payout_not_approvable"
    assert [each["type"] for each in till.told("payout")][-2:] == [
        "payout.approval_requested", "payout.approved",
    ]  # fmt: skip


@pytest.mark.usefixtures("account")
def test_a_key_is_no_second_person(till: Till) -> None:
    """Whoever made a key has asked for what it asks for, also by a key that was made with it."""
    till.set(payout_approval_cents=0)
    earn(till)
    platform = till.here.platform
    of_the_key = platform.request(
        create_key.handler, {"name": "second"}, bearer=till.account.secret_key
    ).json()["secret"]
    for number, bearer in enumerate((till.account.secret_key, of_the_key)):
        asked = platform.request(
            create.handler,
            {"currency": "USD", "amount": 1_000},
            bearer=bearer,
            headers={"Idempotency-Key": f"by key {number}"},
        ).json()
        assert asked["status"] == "requires_approval"
        refused = decide(till, approve, asked["id"])
        assert (refused.status, refused.code) == (403, "self_approval")
    assert till.balance()[1] == NET


@pytest.mark.usefixtures("account")
def test_a_rejected_payout_has_moved_nothing(till: Till) -> None:
    till.set(payout_approval_cents=0)
    earn(till)
    asked = pay(till).json()
    rejected = decide(till, reject, asked["id"])
    assert rejected.json()["status"] == "rejected"
    assert till.balance()[1] == NET
    assert decide(till, reject, asked["id"]).code == "payout_not_approvable"


def decide(till: Till, how: Any, payout: str) -> Reply:
    """Decide as the person who has registered the merchant."""
    return till.here.platform.request(
        how.handler,
        {},
        bearer=till.account.access_token,
        headers={"Idempotency-Key": f"{how.__name__} {payout} {till.here.operations}"},
        id=payout,
    )


def test_only_to_an_account_that_may_be_paid_to(till: Till) -> None:
    earn(till)
    assert pay(till).code == "resource_missing"
    unverified = added(till.here.platform, till.account)["id"]
    assert pay(till, bank_account=unverified).code == "bank_account_unverified"
    theirs = linked(Till(till.here, 1))
    assert pay(till, bank_account=theirs).status == 404
    assert till.balance()[1] == NET


@pytest.mark.usefixtures("account")
def test_a_fee_is_part_of_the_payout(till: Till) -> None:
    till.here.connection.execute(
        "INSERT INTO fee_plans SELECT 'paying', 1, terms || '{\"payout_fee_cents\": 25}'"
        " FROM fee_plans WHERE code = 'standard'"
    )
    till.set(fee_plan="paying")
    earn(till)
    assert pay(till, amount=NET - 24).code == "balance_insufficient"
    made = pay(till).json()
    assert (made["amount"], made["fee"], made["itemisation"]["closing"]) == (NET - 25, 25, 0)


def by_schedule(till: Till, at: str) -> list[Any]:
    """Let the schedule run at a time, and return every payout, oldest first."""
    till.be(at)
    till.here.run(schedule.handler)
    bodies = till.here.pocket.take("scheduled_payouts")
    assert till.here.hand_over(make.handler, *bodies, *bodies) == [], till.here.failures
    found = till.here.get(list_payouts.handler, till.account, {"limit": "100"}).json()["data"]
    return list(reversed(found))


DAYS = ("11-26", "11-27", "11-28", "11-29", "11-30", "12-01", "12-24", "12-25", "12-26")
"""Thanksgiving, a weekend, and Christmas are among them."""


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("rhythm", "days"),
    [
        ("manual", []),
        ("daily", ["2026-11-27", "2026-11-30", "2026-12-01", "2026-12-24"]),
        ("weekly", ["2026-11-27", "2026-11-30", "2026-12-24"]),
        ("monthly", ["2026-11-27", "2026-12-01"]),
    ],
)
def test_by_schedule_on_banking_days(till: Till, rhythm: str, days: list[str]) -> None:
    till.set(payout_schedule=rhythm)
    made: list[Any] = []
    for day in DAYS:
        charge = till.charge().removeprefix("ch_")
        till.here.connection.execute(
            "UPDATE charges SET available_on = %s WHERE id = %s", (f"2026-{day}", charge)
        )
    for day in DAYS:
        till.be(f"2026-{day} 00:05")
        till.here.settle()
        by_schedule(till, f"2026-{day} 01:00")
        made = by_schedule(till, f"2026-{day} 23:00")
    assert [each["created_at"][:10] for each in made] == days
    assert all(each["automatic"] and each["status"] == "pending" for each in made)
    if days:
        assert made[-1]["itemisation"]["closing"] == 0


@pytest.mark.usefixtures("account")
def test_by_schedule_not_less_than_the_minimum_and_never_unapproved(till: Till) -> None:
    till.set(payout_schedule="daily", payout_minimum_cents=NET + 1)
    earn(till)
    assert by_schedule(till, "2026-11-27 01:00") == []
    till.set(payout_minimum_cents=NET, payout_approval_cents=NET - 1)
    assert by_schedule(till, "2026-11-27 23:00") == []  # the day was looked at
    (asked,) = by_schedule(till, "2026-11-30 02:00")
    assert (asked["status"], asked["automatic"]) == ("requires_approval", True)
    assert decide(till, approve, asked["id"]).json()["status"] == "pending"


@pytest.mark.usefixtures("account")
def test_by_schedule_none_while_one_waits_for_approval(till: Till) -> None:
    """Each would be of the same money."""
    till.set(payout_schedule="daily", payout_approval_cents=0)
    earn(till)
    assert len(by_schedule(till, "2026-11-27 01:00")) == 1
    (waiting,) = by_schedule(till, "2026-11-30 01:00")
    assert decide(till, reject, waiting["id"]).json()["status"] == "rejected"
    assert [each["status"] for each in by_schedule(till, "2026-12-01 01:00")] == [
        "rejected",
        "requires_approval",
    ]


@pytest.mark.usefixtures("account")
def test_by_schedule_after_the_day_is_settled(till: Till) -> None:
    till.set(payout_schedule="daily")
    till.be("2026-11-24 09:00")
    till.charge()
    till.be("2026-11-27 09:00")  # the run of the night did not come
    assert by_schedule(till, "2026-11-27 09:00") == []
    till.close("2026-11-27 10:00")
    (made,) = by_schedule(till, "2026-11-27 10:00")
    assert (made["amount"], made["created_at"][:10]) == (NET, "2026-11-27")


def test_by_schedule_to_nobody_without_an_account(till: Till) -> None:
    till.set(payout_schedule="daily")
    earn(till)
    assert by_schedule(till, "2026-11-27 01:00") == []
