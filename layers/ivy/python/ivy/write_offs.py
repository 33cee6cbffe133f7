"""What operators see of balances below zero, and how two of them write one off."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, LiteralString
from uuid import UUID

from pydantic import Field

from ivy import errors, faults, ids, ledger, recoveries, recovery_debits
from ivy.database import Tenant, Transaction
from ivy.ledger import Chart, Posting, PostingKind, credit, debit
from ivy.models import Input, Object, ShortText, Time, example
from ivy.operations import account_name, tenant_of
from ivy.recoveries import Recovery, Status
from ivy.recovery_debits import Status as DebitStatus

MAX_SHOWN = 500

Bucket = Literal["0-7", "8-30", "31-90", "91+"]
"""Days below zero."""


class RecoveryQuery(Input):
    """Which balances to show."""

    model_config = example(live=True)

    live: bool | None = None
    """Only those of one mode; both when left out."""


class Debt(Object):
    """One balance below zero, in minor units, and what has been tried."""

    account: str
    merchant: ids.MerchantId
    currency: str
    available: int
    negative_since: Time
    days: int
    bucket: Bucket
    recovery: ids.RecoveryId | None
    status: Status | None
    opened_at: Time | None
    opened_with: int | None
    write_off_proposed: int | None
    proposed_by: str | None
    reason: str | None
    debit: ids.RecoveryDebitId | None
    debit_amount: int | None
    debit_status: DebitStatus | None


class DebtList(Object):
    """Balances below zero or with a debit under way, oldest first."""

    object: Literal["debt_list"] = "debt_list"
    data: list[Debt]


class Proposal(Input):
    """Which recovery one operator wants to write off, and why."""

    model_config = example(
        account="1001-test",
        recovery="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        by="operator@example.com",
        reason="insolvent since October",
    )

    account: Annotated[str, Field(pattern="^[0-9]{1,18}-(live|test)$")]
    recovery: ids.RecoveryId
    by: ShortText
    reason: ShortText


class Approval(Input):
    """Which proposal another operator approves."""

    model_config = example(
        account="1001-test",
        recovery="rcv_019ac2c4d5e67f8091a2b3c4d5e6f70b",
        by="another@example.com",
    )

    account: Annotated[str, Field(pattern="^[0-9]{1,18}-(live|test)$")]
    recovery: ids.RecoveryId
    by: ShortText


class WriteOff(Object):
    """What is proposed of a recovery, or was written off."""

    object: Literal["write_off"] = "write_off"
    recovery: ids.RecoveryId
    status: Status
    currency: str
    proposed: int
    proposed_by: str
    written_off: int | None


class _Proposed(Object):
    amount: int
    by: str


class _Row(Object):
    merchant_id: int
    livemode: bool
    public_id: UUID
    currency: str
    available: int
    negative_since: datetime
    days: int
    recovery: UUID | None
    status: Status | None
    opened_at: datetime | None
    opened_with: int | None
    proposed: int | None
    proposed_by: str | None
    reason: str | None
    debit: UUID | None
    debit_amount: int | None
    debit_status: DebitStatus | None


def find(tx: Transaction, query: RecoveryQuery, at: datetime) -> DebtList:
    """Return balances that are below zero, or were and have a debit under way, oldest first.

    Runs as ``ivy_jobs``.
    """
    rows = tx.rows(_Row, _DEBTS, at=at, live=query.live, limit=MAX_SHOWN)
    return DebtList(
        data=[
            Debt(
                account=account_name(Tenant(row.merchant_id, row.livemode)),
                merchant=row.public_id,
                currency=row.currency,
                available=row.available,
                negative_since=row.negative_since,
                days=row.days,
                bucket=bucket(row.days),
                recovery=row.recovery,
                status=row.status,
                opened_at=row.opened_at,
                opened_with=row.opened_with,
                write_off_proposed=row.proposed,
                proposed_by=row.proposed_by,
                reason=row.reason,
                debit=row.debit,
                debit_amount=row.debit_amount,
                debit_status=row.debit_status,
            )
            for row in rows
        ]
    )


def bucket(days: int) -> Bucket:
    """Return under which age a report has a balance that has been below zero for so long."""
    if days <= 7:  # noqa: PLR2004 - the report's own steps
        return "0-7"
    if days <= 30:  # noqa: PLR2004 - same
        return "8-30"
    return "31-90" if days <= 90 else "91+"  # noqa: PLR2004 - same


def oldest_days(tx: Transaction, at: datetime) -> int:
    """Return for how long any balance of live mode has been below zero."""
    found: int = tx.value(_OLDEST, at=at)
    return found


def propose(tx: Transaction, proposal: Proposal) -> WriteOff:
    """Propose to write off what a balance lacks now and nothing can pay; nothing is posted.

    A new proposal takes the place of one that is there.

    Raises:
        ResourceMissing: There is no such recovery under way, its balance is not below zero, or what
            else the merchant has covers it.
    """
    tenant = tenant_of(proposal.account)
    tx.choose(tenant)
    recovery, lacking = _under_way(tx, tenant, proposal.recovery)
    tx.run(
        "UPDATE recoveries SET proposed = %(amount)s, proposed_by = %(by)s, proposed_at = %(at)s,"
        " reason = %(reason)s WHERE id = %(id)s",
        id=recovery.id,
        amount=lacking,
        by=proposal.by,
        at=tx.now(),
        reason=proposal.reason,
    )
    return _shown(recovery, _Proposed(amount=lacking, by=proposal.by))


def approve(tx: Transaction, approval: Approval) -> WriteOff:
    """Write off what another operator proposed, and no more than the balance lacks by now.

    Raises:
        ResourceMissing: There is no such recovery under way, nothing is proposed of it, or its
            balance lacks nothing any more.
        SelfApproval: It was proposed by the same person.
    """
    tenant = tenant_of(approval.account)
    tx.choose(tenant)
    before, lacking = _under_way(tx, tenant, approval.recovery)
    proposed = tx.row(
        _Proposed,
        "SELECT proposed AS amount, proposed_by AS by FROM recoveries"
        " WHERE id = %(id)s AND proposed IS NOT NULL",
        id=before.id,
    )
    if proposed is None:
        raise errors.ResourceMissing("Nobody has proposed to write it off.")
    if proposed.by == approval.by:
        raise errors.SelfApproval
    amount = min(proposed.amount, lacking)
    posting = _posting(before, amount, tx.now())
    after = recoveries.changed(
        before, status="written_off", written_off=amount, ledger_transaction=posting.id
    )
    tx.run(
        _WRITE_OFF,
        id=after.id,
        version=after.version,
        written_off=amount,
        approved_by=approval.by,
        ledger_transaction=posting.id,
    )
    recoveries.save(tx, tenant, before, after, posting, at=posting.recorded_at)
    faults.point("recovery.approve.before_commit")
    return _shown(after, proposed)


def _under_way(tx: Transaction, tenant: Tenant, recovery_id: UUID) -> tuple[Recovery, int]:
    """Return a recovery and what of its balance below zero nothing else of its merchant's can pay.

    What is pending, in reserve, under dispute or on its way, a debit with it, may still pay a debt:
    to give that up would be a present.
    """
    found, missing = recoveries.lock_owing(tx, tenant, recovery_id)
    debit_open = recovery_debits.lock_open(tx, tenant, found.id)
    if debit_open is not None:
        written = ids.Prefix("rd").write(debit_open.id)
        raise errors.ResourceMissing(f"The debit {written} may still pay it.")
    lacking = min(missing, -ledger.balance(tx, tenant, found.currency, *ledger.POSITION))
    if lacking <= 0:
        raise errors.ResourceMissing("What is pending or held for the merchant can still pay it.")
    return found, lacking


def _posting(recovery: Recovery, amount: int, at: datetime) -> Posting:
    return Posting(
        id=ids.new(at),
        kind=PostingKind.RECOVERY_WRITEOFF,
        source=recovery.id,
        currency=recovery.currency,
        legs=(debit(Chart.LOSS_WRITEOFF, amount), credit(Chart.AVAILABLE, amount)),
        value_on=at.date(),
        recorded_at=at,
    )


def _shown(recovery: Recovery, proposed: _Proposed) -> WriteOff:
    return WriteOff(
        recovery=recovery.id,
        status=recovery.status,
        currency=recovery.currency,
        proposed=proposed.amount,
        proposed_by=proposed.by,
        written_off=recovery.written_off,
    )


_WRITE_OFF = """
    UPDATE recoveries
    SET status = 'written_off', version = %(version)s, written_off = %(written_off)s,
        approved_by = %(approved_by)s, ledger_transaction = %(ledger_transaction)s
    WHERE id = %(id)s
"""

_DEBTS: LiteralString = (
    """
    SELECT balance_states.merchant_id, balance_states.livemode, public_id, balance_states.currency,
           held.available, recoveries.id AS recovery, recoveries.status,
           recoveries.created_at AS opened_at, recoveries.amount AS opened_with,
           proposed, proposed_by, recoveries.reason, first.negative_since,
           debits.id AS debit, debits.amount AS debit_amount, debits.status AS debit_status,
           (extract(epoch FROM %(at)s + coalesce(ahead, '0') - first.negative_since) / 86400)
               ::integer AS days
    FROM balance_states
    JOIN merchants ON merchants.id = balance_states.merchant_id
    LEFT JOIN test_clocks ON (test_clocks.merchant_id, test_clocks.livemode)
        = (balance_states.merchant_id, balance_states.livemode)
    LEFT JOIN recoveries ON (recoveries.merchant_id, recoveries.livemode, recoveries.currency)
            = (balance_states.merchant_id, balance_states.livemode, balance_states.currency)
        AND recoveries.status NOT IN ('recovered', 'written_off')
    LEFT JOIN recovery_debits AS debits
        ON (debits.merchant_id, debits.livemode, debits.recovery_id)
            = (recoveries.merchant_id, recoveries.livemode, recoveries.id)
        AND debits.status IN ('pending', 'in_transit')
    CROSS JOIN LATERAL """
    + ledger.available_of("balance_states")
    + """ AS held
    CROSS JOIN LATERAL (
        SELECT least(balance_states.negative_since, recoveries.negative_since) AS negative_since)
        AS first
    WHERE ((balance_states.status = 'negative' AND held.available < 0) OR debits.id IS NOT NULL)
      AND (%(live)s::boolean IS NULL OR balance_states.livemode = %(live)s)
    ORDER BY first.negative_since
    LIMIT %(limit)s
    """
)

_OLDEST = """
    SELECT coalesce(extract(epoch FROM max(%(at)s - negative_since)) / 86400, 0)::integer
    FROM balance_states WHERE status = 'negative' AND livemode
"""
