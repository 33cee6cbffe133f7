"""What happened to disputes at Stripe, told as notices.

Read from the event log, of which Stripe keeps thirty days. Every event carries its dispute as it
was then, but not whose payment it is about; that is asked once and remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic_core import PydanticCustomError

from ivy import ids, observe
from ivy.connectors import DisputeClosed, DisputeOpened, Notice
from ivy.connectors.stripe_answers import on_clock
from ivy.connectors.stripe_objects import Dispute, Event, Intent, Nothing, Refused, Silent

if TYPE_CHECKING:
    from ivy.connectors.stripe_api import Api

WINDOW = timedelta(days=3)
PAGES = 3
"""How far back, and how many hundreds of events, one reading goes."""

OWNERS_LIMIT = 10_000

NOTHING_WITHDRAWN = frozenset(
    {"warning_needs_response", "warning_under_review", "warning_closed", "prevented"}
)
"""Of a dispute that is only an inquiry, or was settled before it became one."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a payment is."""

    account: str
    charge: UUID
    currency: str


class Notices:
    """Reads the event log, and remembers whose payments the disputes are about."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner | None] = {}

    def read(self, api: Api, at: datetime, mode: str) -> list[Notice]:
        """Return the notices of one mode, oldest first; ``at`` is the present.

        A dispute that is decided is told as opened and closed, in this order, whichever events
        of it are still in the window. What there was no time for comes with the next reading.
        """
        told: dict[str, Notice] = {}
        left = 0
        for event in reversed(_events(api)):
            dispute = event.dispute
            if isinstance(dispute, Silent):
                _unusable("stripe.event_unusable", event.id)
                continue
            if dispute.status in NOTHING_WITHDRAWN:
                continue
            owner = self._owner(api, dispute.payment_intent)
            if isinstance(owner, Silent):
                left += 1
                continue
            if owner is None or not owner.account.endswith(f"-{mode}"):
                continue
            if dispute.currency != owner.currency:
                _unusable("stripe.dispute_in_another_currency", event.id)
                continue
            for notice in _notices(event, dispute, owner, at):
                told.setdefault(notice.id, notice)
        if left:
            observe.line("stripe.notices_unfinished", told=len(told), left=left)
        return list(told.values())

    def _owner(self, api: Api, payment: str | None) -> Owner | Silent | None:
        """Return whose a payment is; None for somebody's who does not use Ivy."""
        if payment is None:
            return None
        if payment not in self._owners:
            found = api.payment(payment)
            if isinstance(found, Silent):
                return found
            if len(self._owners) >= OWNERS_LIMIT:
                self._owners.clear()
            self._owners[payment] = None if isinstance(found, Refused) else _owner_of(found)
        return self._owners[payment]


def _events(api: Api) -> list[Event]:
    """Return the events of the window, newest first; fewer when there is no time for all."""
    since = datetime.now(UTC) - WINDOW
    found: list[Event] = []
    for _ in range(PAGES):
        page = api.events(since, after=found[-1].id if found else None)
        if isinstance(page, Nothing):
            observe.line("stripe.notices_unread", events=len(found))
            return found
        found += page.data
        if not page.has_more or not page.data:
            return found
    observe.line("stripe.notices_cut", events=len(found))
    observe.count("ConnectorNoticesCut", connector="stripe")
    return found


def _owner_of(intent: Intent) -> Owner | None:
    said = intent.metadata
    try:
        charge = ids.Prefix("ch").read(said.get("ivy_charge"))
    except PydanticCustomError:
        return None
    return Owner(said.get("ivy_account", ""), charge, intent.currency)


def _unusable(why: str, event: str) -> None:
    """Say that a person must look at something that happened."""
    observe.line(why, event=event)
    observe.count("ConnectorNoticeUnusable", connector="stripe")


def _notices(event: Event, dispute: Dispute, owner: Owner, at: datetime) -> Iterator[Notice]:
    happened = on_clock(at, event.created)
    due_by = dispute.evidence_details.due_by
    yield DisputeOpened(
        id=f"{dispute.id}.opened",
        account=owner.account,
        charge=owner.charge,
        at=happened,
        dispute=dispute.id,
        amount_minor=dispute.amount,
        reason=dispute.reason,
        evidence_due_by=on_clock(at, due_by) if due_by else happened,
    )
    if dispute.status in ("won", "lost"):
        yield DisputeClosed(
            id=f"{dispute.id}.closed",
            account=owner.account,
            charge=owner.charge,
            at=happened,
            dispute=dispute.id,
            won=dispute.status == "won",
        )
