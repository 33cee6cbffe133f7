"""The state machines of everything that has one: one table, shared with the database.

Each transition has one event, and one ledger posting where money moves; the event, the posting and
the new version are written in one transaction. The table ``transitions`` holds the same rows and
refuses everything else; a test compares the two and prints them into ``docs/states.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from ivy import events, ledger
from ivy.database import Tenant, Transaction
from ivy.events import Announcement, EventType
from ivy.ledger import Posting, PostingKind

Kind = Literal[
    "charge",
    "refund",
    "dispute",
    "settlement",
    "reserve",
    "payout",
    "report",
    "bank_account",
    "test_clock",
    "balance",
    "recovery",
    "recovery_debit",
]

MAY_MOVE_NOTHING = frozenset({"settlement.closed"})
"""Announces a posting, or nothing: what is in a batch can cancel out."""

BEGIN = ""
"""The state before an object exists."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal change of state, what announces it, and what it does to the books."""

    kind: Kind
    before: str
    after: str
    event: EventType
    posting: PostingKind | None = None


def _transitions() -> Iterator[Transition]:
    """Yield every legal transition."""
    yield from _of_charges()
    yield from _of_payouts()
    yield from _of_debts()


def _of_charges() -> Iterator[Transition]:
    """Yield those of charges, and of what takes their money back."""
    p = PostingKind
    authorized, captured, released = p.CHARGE_AUTHORIZED, p.CHARGE_CAPTURED, p.CHARGE_RELEASED
    yield Transition("charge", BEGIN, "pending", "charge.pending")
    yield Transition("charge", "pending", "requires_action", "charge.requires_action")
    for before in ("pending", "requires_action"):
        yield Transition("charge", before, "authorized", "charge.authorized", authorized)
        yield Transition("charge", before, "succeeded", "charge.succeeded", captured)
        yield Transition("charge", before, "failed", "charge.failed")
    yield Transition("charge", "requires_action", "canceled", "charge.canceled")
    yield Transition("charge", "authorized", "succeeded", "charge.captured", captured)
    yield Transition("charge", "authorized", "canceled", "charge.canceled", released)
    yield Transition("charge", "authorized", "expired", "charge.expired", released)
    yield Transition("charge", "authorized", "failed", "charge.failed", released)
    yield Transition("charge", "succeeded", "succeeded", "charge.refunded")
    yield Transition("charge", "succeeded", "failed", "charge.failed", p.CHARGE_RETURNED)
    yield Transition("charge", "failed", "failed", "charge.refunded")

    processing = "pending(processing)"
    no_funds = "pending(insufficient_funds)"
    no_charge = "pending(charge_pending)"
    yield Transition("refund", BEGIN, processing, "refund.created", p.REFUND_ACCEPTED)
    yield Transition("refund", BEGIN, no_funds, "refund.created")
    yield Transition("refund", BEGIN, no_charge, "refund.created")
    yield Transition("refund", no_charge, no_funds, "refund.updated")
    for before in (no_charge, no_funds):
        yield Transition("refund", before, processing, "refund.updated", p.REFUND_ACCEPTED)
        yield Transition("refund", before, "canceled", "refund.canceled")
    yield Transition("refund", processing, "succeeded", "refund.succeeded", p.REFUND_SUCCEEDED)
    yield Transition("refund", processing, "failed", "refund.failed", p.REFUND_RETURNED)

    needs, review = "needs_response", "under_review"
    yield Transition("dispute", BEGIN, needs, "dispute.created", p.DISPUTE_OPENED)
    yield Transition("dispute", needs, needs, "dispute.funds_withdrawn", p.DISPUTE_WITHDRAWN)
    yield Transition("dispute", needs, review, "dispute.updated")
    for before in (needs, review):
        yield Transition("dispute", before, "won", "dispute.won", p.DISPUTE_WON)
        yield Transition("dispute", before, "lost", "dispute.lost", p.DISPUTE_LOST)
    yield Transition("dispute", "won", "won", "dispute.funds_reinstated", p.DISPUTE_REINSTATED)


def _of_payouts() -> Iterator[Transition]:
    """Yield those of what becomes of the money, on its way to a merchant's bank."""
    p = PostingKind
    yield Transition("settlement", BEGIN, "closed", "settlement.closed", p.SETTLEMENT_CLOSED)
    for status in ("closed", "paid_out"):
        yield Transition("settlement", status, status, "settlement.report_ready")
    yield Transition("settlement", "closed", "paid_out", "settlement.paid_out")
    yield Transition("settlement", "paid_out", "closed", "settlement.payout_returned")
    yield Transition("reserve", BEGIN, "held", "reserve.held")
    yield Transition("reserve", "held", "released", "reserve.released", p.RESERVE_RELEASED)

    asked, sent = "requires_approval", "in_transit"
    yield Transition("payout", BEGIN, asked, "payout.approval_requested")
    yield Transition("payout", BEGIN, "pending", "payout.created", p.PAYOUT_CREATED)
    yield Transition("payout", asked, "pending", "payout.approved", p.PAYOUT_CREATED)
    yield Transition("payout", asked, "rejected", "payout.rejected")
    yield Transition("payout", asked, "canceled", "payout.canceled")
    yield Transition("payout", "pending", "canceled", "payout.canceled", p.PAYOUT_REVERSED)
    yield Transition("payout", "pending", sent, "payout.in_transit")
    yield Transition("payout", sent, "paid", "payout.paid", p.PAYOUT_PAID)
    yield Transition("payout", sent, "failed", "payout.failed", p.PAYOUT_REVERSED)
    yield Transition("payout", "paid", "returned", "payout.returned", p.PAYOUT_RETURNED)

    pending, failed = "pending_verification", "verification_failed"
    yield Transition("bank_account", BEGIN, pending, "bank_account.created")
    yield Transition("bank_account", pending, pending, "bank_account.deposits_sent")
    yield Transition("bank_account", pending, "verified", "bank_account.verified")
    yield Transition("bank_account", pending, failed, "bank_account.verification_failed")
    for before in (pending, "verified", failed):
        yield Transition("bank_account", before, "deleted", "bank_account.deleted")

    yield Transition("report", BEGIN, "pending", "report.created")
    yield Transition("report", "pending", "ready", "report.ready")

    for before in (BEGIN, "ready"):
        yield Transition("test_clock", before, "advancing", "test_clock.advancing")
    yield Transition("test_clock", "advancing", "ready", "test_clock.ready")


def _of_debts() -> Iterator[Transition]:
    """Yield those of balances below zero, and of what becomes of them."""
    p = PostingKind
    for before in (BEGIN, "available"):
        yield Transition("balance", before, "negative", "balance.negative")
    yield Transition("balance", "negative", "available", "balance.available")
    yield Transition("recovery", BEGIN, "open", "recovery.opened")
    yield Transition("recovery", "open", "recovered", "recovery.recovered")
    yield Transition("recovery", "open", "written_off", "recovery.written_off", p.RECOVERY_WRITEOFF)

    sent = "in_transit"
    yield Transition("recovery_debit", BEGIN, "pending", "recovery_debit.created")
    yield Transition("recovery_debit", "pending", "canceled", "recovery_debit.canceled")
    told: EventType = "recovery_debit.in_transit"
    yield Transition("recovery_debit", "pending", sent, told, p.DEBIT_SENT)
    told = "recovery_debit.collected"
    yield Transition("recovery_debit", sent, "collected", told, p.DEBIT_COLLECTED)
    told = "recovery_debit.failed"
    yield Transition("recovery_debit", sent, "failed", told, p.DEBIT_REVERSED)
    told = "recovery_debit.returned"
    yield Transition("recovery_debit", "collected", "returned", told, p.DEBIT_RETURNED)


TRANSITIONS = tuple(_transitions())
_BY_STATES = {(each.kind, each.before, each.after): each for each in TRANSITIONS}


class IllegalTransitionError(RuntimeError):
    """The program wanted a change of state that no machine has."""


class Versioned(Protocol):
    """An object whose changes are announced."""

    @property
    def id(self) -> UUID:
        """Which object."""

    @property
    def version(self) -> int:
        """Counts its transitions."""

    def model_dump_json(self) -> str:
        """Return it as callers see it."""


def transition(kind: Kind, before: str, after: str) -> Transition:
    """Return a legal transition.

    Raises:
        IllegalTransitionError: There is none from the one state to the other.
    """
    found = _BY_STATES.get((kind, before, after))
    if found is None:
        raise IllegalTransitionError(f"{kind}: no way from {before!r} to {after!r}")
    return found


def record(
    tx: Transaction,
    tenant: Tenant,
    change: Transition,
    changed: Versioned,
    *,
    at: datetime,
    posting: Posting | None = None,
) -> None:
    """Write what a transition means besides the object's own row: its posting and its event.

    Raises:
        IllegalTransitionError: The posting is not the one that the table says.
    """
    _check_posting(change, posting)
    if posting is not None:
        ledger.post(tx, tenant, posting)
    events.record(
        tx,
        tenant,
        event=change.event,
        subject=changed.id,
        version=changed.version,
        data=changed,
        at=at,
        ledger_transaction=posting.id if posting else None,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """One of many transitions that are written together: what ``record`` takes of one."""

    tenant: Tenant
    transition: Transition
    changed: Versioned
    at: datetime
    posting: Posting | None = None


def record_all(tx: Transaction, changes: Sequence[Change]) -> None:
    """Write the postings and events of many transitions in two statements.

    Raises:
        IllegalTransitionError: A posting is not the one that the table says.
    """
    for each in changes:
        _check_posting(each.transition, each.posting)
    ledger.post_all(tx, [(each.tenant, each.posting) for each in changes if each.posting])
    events.record_all(
        tx,
        [
            Announcement(
                tenant=each.tenant,
                event=each.transition.event,
                subject=each.changed.id,
                version=each.changed.version,
                data=each.changed,
                at=each.at,
                ledger_transaction=each.posting.id if each.posting else None,
            )
            for each in changes
        ],
    )


def _check_posting(change: Transition, posting: Posting | None) -> None:
    if posting is None and change.event in MAY_MOVE_NOTHING:
        return
    if change.posting != (posting.kind if posting else None):
        raise IllegalTransitionError(f"{change} cannot be posted as {posting}")
