"""Triggers: making the real thing happen in test mode, so that its events are seen.

Each recipe does what a merchant and its customers would do, through the same functions. Nothing is
made up: the charge exists, its postings do, and its events follow as they always do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ivy import charges, disputes, errors, events, ids, notices, operations, outbox, refunds
from ivy.callers import Caller
from ivy.charges import Capture, Charge, NewCharge
from ivy.connectors import remote
from ivy.database import Database
from ivy.disputes import Dispute, DisputeQuery, Evidence
from ivy.errors import FieldError
from ivy.models import Input, Object, example
from ivy.refunds import NewRefund

AMOUNT_MINOR = 10_000
CONNECTOR = "simulated"
PATIENCE_SECONDS = 9.0
POLL_SECONDS = 0.1


class Trigger(Input):
    """What is to happen."""

    model_config = example(type="charge.succeeded")

    type: Annotated[str, Field(max_length=100, description="The type of the event that is wanted.")]


class Triggered(Object):
    """What was made so that an event follows: at once, or as soon as the acquirer says so."""

    model_config = example(
        object="trigger", type="charge.succeeded", objects=["ch_019ab2c4d5e67f8091a2b3c4d5e6f708"]
    )

    object: Literal["trigger"] = "trigger"
    type: str
    objects: list[str]


class Scene:
    """A merchant in test mode, and what has been made for it."""

    def __init__(self, database: Database, caller: Caller) -> None:
        self._database = database
        self._caller = caller
        self.objects: list[str] = []

    def charge(self, token: str, *, capture: bool = True, refunded: bool = False) -> UUID:
        """Make a charge; with a refund in the same moment, before anything is decided."""
        new = NewCharge(
            amount=AMOUNT_MINOR, currency="USD", payment_method=token, capture=capture, metadata={}
        )
        with self._database.transaction(self._caller.tenant) as tx:
            made = charges.accept(tx, self._caller, new)
            self._keep("ch", made.id)
            if refunded:
                wanted = NewRefund(charge=made.id, metadata={})
                self._keep("re", refunds.accept(tx, self._caller, wanted).id)
        outbox.send(tx.after_commit)
        return made.id

    def decided(self, charge_id: UUID) -> Charge:
        """Return a charge once the acquirer has answered.

        Raises:
            Unavailable: It does not in time.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with self._database.transaction(self._caller.tenant) as tx:
                found = charges.settled(tx, charge_id)
            if found is not None:
                return found
            time.sleep(POLL_SECONDS)
        raise errors.Unavailable("The acquirer has not answered yet.", retry_after_seconds=1)

    def refund(self, token: str) -> None:
        """Make a charge and refund all of it."""
        charge = self.decided(self.charge(token))
        with self._database.transaction(self._caller.tenant) as tx:
            made = refunds.accept(tx, self._caller, NewRefund(charge=charge.id, metadata={}))
        outbox.send(tx.after_commit)
        self._keep("re", made.id)

    def hold(self, then: Literal["capture", "cancel"]) -> None:
        """Authorise a charge, and capture or cancel it."""
        charge = self.decided(self.charge("tok_visa", capture=False))
        with self._database.transaction(self._caller.tenant) as tx:
            if then == "capture":
                charges.capture(tx, self._caller.tenant, charge.id, Capture())
            else:
                charges.cancel(tx, self._caller.tenant, charge.id)
        outbox.send(tx.after_commit)

    def dispute(self, then: Literal["nothing", "win", "lose"] = "nothing") -> None:
        """Let a charge be disputed, and contest the dispute with success or give it up."""
        opened = self._hear_of_dispute(self.decided(self.charge("tok_dispute")))
        self._keep("dp", opened.id)
        if then == "nothing":
            return
        tenant = self._caller.tenant
        with self._database.transaction(tenant) as tx:
            if then == "win":
                evidence = Evidence(text="winning_evidence", submit=True)
                disputes.submit(tx, tenant, opened.id, evidence)
            else:
                disputes.accept(tx, tenant, opened.id)
        outbox.send(tx.after_commit)

    def _hear_of_dispute(self, charge: Charge) -> Dispute:
        """Record what the acquirer has to say about a charge now, not within a minute."""
        tenant = self._caller.tenant
        connector = remote.connector(CONNECTOR)
        with self._database.transaction(tenant) as tx:
            at = tx.now()
        for notice in connector.notices(at, operations.account_name(tenant)):
            if notice.charge == charge.id:
                with self._database.transaction(tenant) as tx:
                    notices.record(tx, tenant, CONNECTOR, notice)
                connector.acknowledge(notice.account, notice.id)
        with self._database.transaction(tenant) as tx:
            found = disputes.page(tx, DisputeQuery(charge=charge.id)).data
        if not found:
            raise errors.Unavailable("The dispute has not been heard of.", retry_after_seconds=1)
        return found[0]

    def _keep(self, prefix: str, made: UUID) -> None:
        self.objects.append(ids.Prefix(prefix).write(made))


RECIPES: dict[events.MoneyEventType, Callable[[Scene], object]] = {
    "charge.pending": lambda scene: scene.charge("tok_visa"),
    "charge.succeeded": lambda scene: scene.charge("tok_visa"),
    "charge.failed": lambda scene: scene.charge("tok_declined"),
    "charge.requires_action": lambda scene: scene.charge("tok_requires_action"),
    "charge.authorized": lambda scene: scene.charge("tok_visa", capture=False),
    "charge.captured": lambda scene: scene.hold("capture"),
    "charge.canceled": lambda scene: scene.hold("cancel"),
    "charge.refunded": lambda scene: scene.refund("tok_visa"),
    "refund.created": lambda scene: scene.refund("tok_visa"),
    "refund.updated": lambda scene: scene.charge("tok_visa", refunded=True),
    "refund.succeeded": lambda scene: scene.refund("tok_visa"),
    "refund.failed": lambda scene: scene.refund("tok_refund_fails"),
    "refund.canceled": lambda scene: scene.charge("tok_declined", refunded=True),
    "dispute.created": lambda scene: scene.dispute(),
    "dispute.funds_withdrawn": lambda scene: scene.dispute(),
    "dispute.updated": lambda scene: scene.dispute("win"),
    "dispute.won": lambda scene: scene.dispute("win"),
    "dispute.funds_reinstated": lambda scene: scene.dispute("win"),
    "dispute.lost": lambda scene: scene.dispute("lose"),
}
"""By event type; expiry, settlement and reserves take days, endpoints have their own test, and
where payouts go is not changed for the sake of an event."""


def trigger(database: Database, caller: Caller, wanted: Trigger) -> Triggered:
    """Make happen what leads to an event.

    Raises:
        TestModeOnly: The caller is in live mode.
        RequestInvalid: No recipe leads to such an event; the answer lists those that there are.
        Unavailable: The acquirer does not answer in time. What was made by then stays.
    """
    if caller.tenant.livemode:
        raise errors.TestModeOnly
    recipe = next((made for type_, made in RECIPES.items() if type_ == wanted.type), None)
    if recipe is None:
        detail = f"must be one of {', '.join(RECIPES)}"
        raise errors.RequestInvalid(fields=(FieldError("/type", "not_triggerable", detail),))
    scene = Scene(database, caller)
    recipe(scene)
    return Triggered(type=wanted.type, objects=scene.objects)
