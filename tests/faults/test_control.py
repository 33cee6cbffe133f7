"""The control charges twice where the product charges once: so the kills do find what they seek."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from functions.charges import create
from ivy.callers import Caller, Scope
from ivy.database import Tenant
from tests.faults import control_powertools as control
from tests.faults import dying
from tests.faults.world import CHARGE, World

ROUNDS = 5


@pytest.fixture
def caller(world: World) -> Caller:
    ada = world.accounts[0]
    principal = world.platform.principal(ada.secret_key)
    return Caller(
        tenant=Tenant(ada.merchant_id, livemode=False),
        merchant=UUID(hex=principal["merchant"]),
        scopes=frozenset({Scope.CHARGES_WRITE}),
    )


def test_the_decorator_alone_charges_twice(world: World, caller: Caller) -> None:
    world.platform.enter(create.handler.needs)

    for number in range(ROUNDS):
        charge = partial(control.charge, world.platform.name, caller, f"key-{number}", CHARGE)
        assert dying.run(charge, dying.at(control.AFTER_COMMIT)).died
        world.platform.pass_in_progress_window()
        first = dying.run(charge).result
        assert dying.run(charge).result == first
    assert world.charges() == 2 * ROUNDS


def test_the_product_charges_once(world: World) -> None:
    for number in range(ROUNDS):
        world.arm("once.after_commit")
        first = world.pay(f"key-{number}")
        assert world.pay(f"key-{number}").body == first.body
    assert world.deaths == {"once.after_commit": ROUNDS}
    assert world.charges() == ROUNDS
