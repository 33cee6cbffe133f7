"""Fee plans as the database keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ivy import pricing
from ivy.database import Database, Tenant, Transaction
from ivy.pricing import STANDARD, Plan, Rate
from tests.conftest import Store
from tests.driving import Account, Platform


@contextmanager
def transaction(store: Store, account: Account | None = None) -> Iterator[Transaction]:
    database = Database(store.url("ivy_app"))
    tenant = Tenant(account.merchant_id, livemode=False) if account else None
    with database.transaction(tenant) as tx:
        yield tx
    database.close()


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a database of its own; what one knows must not be another's."""
    monkeypatch.setattr(pricing, "_plans", {})


def plant(store: Store, plan: Plan) -> None:
    with store.superuser() as root:
        root.execute(
            "INSERT INTO fee_plans (code, version, terms) VALUES (%s, %s, %s)",
            (
                plan.code,
                plan.version,
                json.dumps(plan.model_dump(mode="json", exclude={"code", "version"})),
            ),
        )


def test_the_standard_plan_is_in_the_schema(store: Store) -> None:
    with transaction(store) as tx:
        assert pricing.plan(tx, "standard", 1) == STANDARD


def test_a_merchant_begins_with_the_standard_plan(platform: Platform) -> None:
    with transaction(platform.store, platform.open_account()) as tx:
        assert pricing.current(tx) == STANDARD


def test_new_charges_pay_the_newest_version_of_the_merchants_own_plan(platform: Platform) -> None:
    store, ada, bob = platform.store, platform.open_account(), platform.open_account("b@b.example")
    custom = STANDARD.model_copy(update={"code": "custom", "card": Rate(basis_points=250)})
    newest = custom.model_copy(update={"version": 10, "fee_return": "proportional"})
    for planted in (custom, newest, custom.model_copy(update={"version": 9})):
        plant(store, planted)
    plant(store, STANDARD.model_copy(update={"version": 2, "return_fee_cents": 500}))
    with store.superuser() as root:
        root.execute("UPDATE merchants SET fee_plan = 'custom' WHERE id = %s", (ada.merchant_id,))
    with transaction(store, ada) as tx:
        assert pricing.current(tx) == newest
        assert pricing.plan(tx, "custom", 1) == custom  # what an older charge keeps
    with transaction(store, bob) as tx:
        assert (pricing.current(tx).code, pricing.current(tx).version) == ("standard", 2)


def test_a_version_is_read_once(platform: Platform) -> None:
    store, ada = platform.store, platform.open_account()
    with transaction(store) as tx:
        first = pricing.plan(tx, "standard", 1)
    with store.superuser() as root:
        root.execute("UPDATE fee_plans SET terms = '{}'")
    with transaction(store, ada) as tx:
        assert pricing.current(tx) is first
    with store.superuser() as root:
        root.execute("DELETE FROM fee_plans")
    with transaction(store, ada) as tx:
        assert pricing.plan(tx, "standard", 1) is first


def test_a_role_that_sees_every_merchant_has_no_plan_of_its_own(platform: Platform) -> None:
    platform.open_account()
    database = Database(platform.store.url("ivy_jobs"))
    with database.transaction() as tx, pytest.raises(LookupError, match="has no fee plan"):
        pricing.current(tx)
    database.close()


def test_a_plan_that_is_not_there_is_an_error(store: Store) -> None:
    with transaction(store) as tx, pytest.raises(LookupError, match="no version 7 of the fee plan"):
        pricing.plan(tx, "standard", 7)
    with transaction(store) as tx, pytest.raises(LookupError, match="has no fee plan"):
        pricing.current(tx)
