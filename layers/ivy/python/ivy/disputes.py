"""Disputes: a payer's bank takes money back; the merchant answers with evidence, or gives in.

What merchants ask for is here; what acquirers tell is written by ``ivy.dispute_outcomes``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field

from ivy import errors, faults, ids, ledger, money, objects, outbox, pages, states
from ivy.database import Tenant, Transaction
from ivy.errors import FieldError
from ivy.ledger import DISPUTES_RECEIVABLE, Chart, Posting, PostingKind, credit, debit
from ivy.models import Flag, Input, Object, Paragraphs, Time, example

Status = Literal["needs_response", "under_review", "won", "lost"]

MAX_EVIDENCE = 20_000
MAX_DOCUMENTS = 10


class Evidence(Input):
    """What the merchant says. Kept until submitted; a submission is final."""

    model_config = example(text="Delivered on 2026-11-20, signed by the customer.", submit=True)

    text: Annotated[Paragraphs, StringConstraints(min_length=1, max_length=MAX_EVIDENCE)]
    documents: Annotated[list[ids.DocumentId], Field(max_length=MAX_DOCUMENTS)] = Field(
        default_factory=list
    )
    submit: Flag = False


class Acceptance(Input):
    """Nothing more to say about a dispute that is given up."""

    model_config = example()


class Dispute(Object):
    """An amount that a payer's bank takes back. ``fee`` was charged when it was opened."""

    model_config = example(
        id="dp_019ab2d0c1d27e3f8a4b5c6d7e8f9a0b",
        object="dispute",
        livemode=False,
        created_at="2026-11-25T08:00:00.000Z",
        charge="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        amount=10000,
        currency="USD",
        exponent=2,
        fee=1500,
        reason="fraudulent",
        status="needs_response",
        evidence=None,
        evidence_due_by="2026-12-02T23:59:59.000Z",
        submitted_at=None,
        version=2,
    )

    id: ids.DisputeId
    object: Literal["dispute"] = "dispute"
    livemode: bool
    created_at: Time
    charge: ids.ChargeId
    amount: int
    currency: str
    fee: int
    reason: str
    status: Status
    evidence: str | None
    evidence_due_by: Time
    submitted_at: Time | None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent


class DisputeQuery(pages.Page):
    """Which disputes to list."""

    of = "dp"

    charge: ids.ChargeId | None = None
    status: Status | None = None


def submit(tx: Transaction, tenant: Tenant, dispute_id: UUID, evidence: Evidence) -> Dispute:
    """Keep a merchant's evidence, and promise to hand it in when it says so.

    Raises:
        ResourceMissing: No such dispute.
        RequestInvalid: It names a document that does not exist.
        DisputeClosed: It takes no evidence any more.
    """
    dispute = lock(tx, dispute_id)
    if evidence.documents:  # none can be uploaded yet
        wrong = FieldError("/documents/0", "document_unknown", "No such document.")
        raise errors.RequestInvalid(fields=(wrong,))
    at = tx.now()
    if dispute.status != "needs_response" or dispute.evidence_due_by <= at:
        raise errors.DisputeClosed(f"The dispute is {dispute.status}.")
    if not evidence.submit:
        kept = dispute.model_copy(update={"evidence": evidence.text})
        tx.run(
            "UPDATE disputes SET evidence = %(evidence)s WHERE id = %(id)s",
            id=dispute.id,
            evidence=evidence.text,
        )
        return kept
    submitted = changed(dispute, status="under_review", evidence=evidence.text, submitted_at=at)
    save(tx, tenant, dispute, submitted, at=at)
    outbox.request(tx, tenant, "disputes", dispute.id, "contest", at=at)
    faults.point("dispute.submit.before_commit")
    return submitted


def accept(tx: Transaction, tenant: Tenant, dispute_id: UUID) -> Dispute:
    """Give a dispute up: it is lost at once, and the acquirer is told.

    Raises:
        ResourceMissing: No such dispute.
        DisputeClosed: It is decided, or evidence has been submitted.
    """
    dispute = lock(tx, dispute_id)
    if dispute.status != "needs_response":
        raise errors.DisputeClosed(f"The dispute is {dispute.status}.")
    at = tx.now()
    given_up = lose(tx, tenant, dispute, at)
    outbox.request(tx, tenant, "disputes", dispute.id, "concede", at=at)
    faults.point("dispute.accept.before_commit")
    return given_up


def lose(tx: Transaction, tenant: Tenant, dispute: Dispute, at: datetime) -> Dispute:
    """Post a lost dispute: what was held pays what the acquirer took. Expects it locked."""
    connector = tx.value("SELECT connector FROM disputes WHERE id = %(id)s", id=dispute.id)
    lost = changed(dispute, status="lost")
    posting = posting_of(
        dispute,
        PostingKind.DISPUTE_LOST,
        at,
        debit(Chart.DISPUTE_HOLD, dispute.amount),
        credit(DISPUTES_RECEIVABLE[connector], dispute.amount),
    )
    save(tx, tenant, dispute, lost, at=at, posting=posting)
    return lost


def get(tx: Transaction, dispute_id: UUID) -> Dispute:
    """Return one dispute of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such dispute in this mode.
    """
    return objects.one(tx, Dispute, SELECT + " WHERE id = %(id)s", dispute_id)


def lock(tx: Transaction, dispute_id: UUID) -> Dispute:
    """Return one dispute that nobody else changes until the transaction ends.

    Its charge is locked first, as everywhere.

    Raises:
        ResourceMissing: This merchant has no such dispute in this mode.
    """
    tx.run(_LOCK_CHARGE, id=dispute_id)
    return objects.one(tx, Dispute, SELECT + " WHERE id = %(id)s FOR UPDATE", dispute_id)


def page(tx: Transaction, query: DisputeQuery) -> pages.Listing[Dispute]:
    """Return one page of disputes, newest first."""
    return pages.read(
        tx, Dispute, SELECT + " WHERE", query, {"charge_id": query.charge, "status": query.status}
    )


def changed(dispute: Dispute, **fields: Any) -> Dispute:
    """Return the next version of a dispute."""
    return dispute.model_copy(update={**fields, "version": dispute.version + 1})


def save(
    tx: Transaction,
    tenant: Tenant,
    before: Dispute,
    after: Dispute,
    *,
    at: datetime,
    posting: Posting | None = None,
) -> None:
    """Write a transition: the dispute's row, its posting, its event."""
    change = states.transition("dispute", before.status, after.status)
    tx.run(
        "UPDATE disputes SET status = %(status)s, evidence = %(evidence)s,"
        " submitted_at = %(submitted_at)s, version = %(version)s WHERE id = %(id)s",
        id=after.id,
        status=after.status,
        evidence=after.evidence,
        submitted_at=after.submitted_at,
        version=after.version,
    )
    states.record(tx, tenant, change, after, at=at, posting=posting)


def posting_of(dispute: Dispute, kind: PostingKind, at: datetime, *legs: ledger.Leg) -> Posting:
    """Return a posting whose source is a dispute."""
    return Posting(
        id=ids.new(at),
        kind=kind,
        source=dispute.id,
        currency=dispute.currency,
        legs=legs,
        value_on=at.date(),
        recorded_at=at,
    )


SELECT = """
    SELECT id, livemode, created_at, charge_id AS charge, amount, currency, fee, reason, status,
           evidence, evidence_due_by, submitted_at, version
    FROM disputes
"""

_LOCK_CHARGE = """
    SELECT FROM charges WHERE id = (SELECT charge_id FROM disputes WHERE id = %(id)s) FOR UPDATE
"""
