"""Random stories against a model: a key is one charge, a balance the sum of what succeeded.

``IVY_FAULTS=1000 pytest tests/integration/test_idempotency_model.py`` tells that many stories.
"""

from __future__ import annotations

import itertools
import os
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from functions.charges import create
from functions.merchants import balance
from ivy import money, pricing
from ivy.errors import RequestInvalid
from ivy.serve import front
from tests.driving import Platform
from tests.faults import dying
from tests.faults.world import World

EVERYDAY = 20
STEPS = 20
KEYS = st.sampled_from(["a", "b", "c"])
AMOUNTS = st.sampled_from([5_000, 12_345, 1])
TOKENS = st.sampled_from(["tok_visa", "tok_declined"])
DEATHS = st.one_of(st.none(), st.integers(1, 10))
"""Whether the process dies, and at which of the points it passes."""

MINIMUM = 50


class Story(RuleBasedStateMachine):
    """The model: what each key was first accepted for, and what its answer was."""

    world: ClassVar[World]
    told: ClassVar[itertools.count[int]] = itertools.count()

    @initialize()
    def begin(self) -> None:
        self.number = next(self.told)
        self.accepted: dict[tuple[int, str], dict[str, Any]] = {}
        self.answers: dict[tuple[int, str], bytes] = {}
        self.charges_before = self.world.charges()
        self.pending_before = self.pending()

    def pending(self) -> int:
        """Return the first merchant's balance."""
        ada = self.world.accounts[0]
        reply = self.world.platform.request(balance.handler, bearer=ada.secret_key)
        held = {line["currency"]: line["pending"] for line in reply.json()["balances"]}
        return int(held.get("USD", 0))

    def first_dies(self, after: int | None) -> None:
        """Let the next process die after so many points; those that follow live."""
        deaths = iter([after])
        self.world.fate = lambda: dying.after(n) if (n := next(deaths, None)) else None

    @rule(who=st.integers(0, 1), key=KEYS, amount=AMOUNTS, token=TOKENS, death=DEATHS)
    def pay(self, who: int, key: str, amount: int, token: str, death: int | None) -> None:
        """A client sends until it is answered; its first try may die on the way."""
        account = self.world.accounts[who]
        body = {"amount": amount, "currency": "USD", "payment_method": token}
        mine = (account.merchant_id, key)
        self.first_dies(death)
        reply = self.world.pay(f"{self.number} {key}", body, account)
        if mine not in self.accepted and amount >= MINIMUM:
            self.accepted[mine], self.answers[mine] = body, reply.body
        if self.accepted.get(mine) == body:
            assert (reply.status, reply.body) == (create.handler.status, self.answers[mine])
        else:
            assert reply.status == RequestInvalid.status

    @precondition(lambda self: self.accepted)
    @rule(which=st.integers(0, 5), wiped=st.booleans(), death=DEATHS)
    def pay_again(self, which: int, wiped: bool, death: int | None) -> None:
        """A client sends what was accepted once more, perhaps to a front that forgot it."""
        if wiped:
            self.world.platform.empty_table()
        (merchant, key), body = list(self.accepted.items())[which % len(self.accepted)]
        who = [account.merchant_id for account in self.world.accounts].index(merchant)
        self.pay(who=who, key=key, death=death, amount=body["amount"], token=body["payment_method"])

    @rule()
    def lose_the_queue(self) -> None:
        self.world.platform.lose_messages()

    @rule(death=DEATHS)
    def consume(self, death: int | None) -> None:
        self.first_dies(death)
        self.world.deliver()

    @rule(death=DEATHS)
    def relay(self, death: int | None) -> None:
        self.world.platform.make_overdue()
        self.first_dies(death)
        self.world.relay()

    @rule(death=DEATHS)
    def roll_up(self, death: int | None) -> None:
        self.first_dies(death)
        self.world.roll_up()

    def teardown(self) -> None:
        self.world.fate = None
        self.world.drain()
        assert self.world.charges() - self.charges_before == len(self.accepted)
        assert self.pending() - self.pending_before == self.earned()
        assert self.world.broken_when_drained() == {}

    def earned(self) -> int:
        """Return what the first merchant keeps of its succeeded charges."""
        usd, ada = money.currencies()["USD"], self.world.accounts[0].merchant_id
        succeeded = [
            body["amount"]
            for (merchant, _), body in self.accepted.items()
            if merchant == ada and body["payment_method"] == "tok_visa"
        ]
        return sum(amount - pricing.STANDARD.fee_minor("card", amount, usd) for amount in succeeded)


def test_any_story_charges_once_per_key(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "WAIT_SECONDS", 0)
    Story.world = World(platform, platform.open_account(), platform.open_account("bob@example.com"))
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=int(os.environ.get("IVY_FAULTS", EVERYDAY)),
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
