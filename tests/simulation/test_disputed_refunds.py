"""A dispute takes back what is refunded already, or about to be: the books follow the acquirer."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from ivy import notices, proof
from ivy.connectors import DisputeClosed, DisputeOpened, Notice
from ivy.database import Database, Tenant
from tests.simulation.sandbox import Sandbox
from tests.simulation.shop import Shop

AMOUNT = 10_000


def tell(here: Sandbox, shop: Shop, notice: Notice) -> bool:
    """Let the acquirer say something that the simulated one would not do."""
    tenant = Tenant(shop.account.merchant_id, livemode=False)
    database = Database(here.platform.store.url("ivy_app"))
    with database.transaction(tenant) as tx:
        return notices.record(tx, tenant, "simulated", notice)


def opened(here: Sandbox, shop: Shop, charge: str) -> bool:
    at = here.clock.at
    notice = DisputeOpened(
        id="n1", account=f"{shop.account.merchant_id}-test",
        charge=UUID(hex=charge.partition("_")[2]), at=at, dispute="d1", amount_minor=AMOUNT,
        reason="fraudulent", evidence_due_by=at + timedelta(days=7),
    )  # fmt: skip
    return tell(here, shop, notice)


def closed(here: Sandbox, shop: Shop, charge: str, *, won: bool) -> bool:
    notice = DisputeClosed(
        id="n2", account=f"{shop.account.merchant_id}-test",
        charge=UUID(hex=charge.partition("_")[2]), at=here.clock.at, dispute="d1", won=won,
    )  # fmt: skip
    return tell(here, shop, notice)


def broken(here: Sandbox) -> set[str]:
    """Return the laws that do not hold."""
    return {
        law.name
        for law in proof.LAWS
        if any(witness for (witness,) in here.connection.execute(law.query).fetchall())
    }


@pytest.mark.parametrize("refunded", [1_000, AMOUNT])
def test_all_of_a_refunded_charge_is_disputed(here: Sandbox, refunded: int) -> None:
    shop = Shop(here)
    charge = shop.charge()
    shop.refund(charge, amount=refunded)
    shop.work()
    assert opened(here, shop, charge)
    dispute = shop.see(shop.dispute_of(charge))
    assert (dispute["status"], dispute["amount"]) == ("needs_response", AMOUNT)
    assert shop.refund(charge, amount=1).code == "refund_exceeds_charge"
    assert broken(here) == set()
    assert closed(here, shop, charge, won=True)
    assert shop.see(charge)["amount_refunded"] == refunded
    assert broken(here) == set()


def test_a_refund_on_its_way_ends_although_all_is_disputed(here: Sandbox) -> None:
    shop = Shop(here)
    charge = shop.charge()
    refund = shop.refund(charge, amount=AMOUNT).json()["id"]
    assert opened(here, shop, charge)
    shop.work()
    assert shop.see(refund)["status"] == "succeeded"
    assert here.left_over() == []
    assert broken(here) == set()


def test_what_is_given_back_twice_is_in_the_books_and_said_by_a_law(here: Sandbox) -> None:
    shop = Shop(here)
    shop.charge()  # so that the merchant, who bears it, has what it takes
    charge = shop.charge()
    shop.refund(charge, amount=1_000)
    shop.work()
    assert opened(here, shop, charge)
    assert closed(here, shop, charge, won=False)
    assert shop.see(shop.dispute_of(charge))["status"] == "lost"
    assert broken(here) == {"L7"}  # an operator's to take up with the acquirer
