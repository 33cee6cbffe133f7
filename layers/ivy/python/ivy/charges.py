"""Charges: accepted with a promise, decided by the acquirer, posted with their fee.

``accept`` writes the pending charge, its event and the promise to process it. ``begin`` notes that
the acquirer is about to be asked; the asking happens outside any transaction. ``conclude`` writes
the outcome: the new state, its ledger posting, its event, and the promise struck out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, computed_field

from ivy import calendars, errors, events, faults, ids, ledger, money, outbox, pages, pricing
from ivy.callers import Caller
from ivy.connectors import Approved, Authorization, Connector, Outcome
from ivy.connectors.simulated import SimulatedAcquirer
from ivy.database import Tenant, Transaction
from ivy.errors import FieldError
from ivy.ledger import Chart, credit, debit
from ivy.models import (
    AmountMinor,
    CurrencyCode,
    Input,
    LongText,
    Metadata,
    Object,
    Text,
    Time,
    example,
)

Status = Literal["pending", "succeeded", "failed"]


class NewCharge(Input):
    """A charge to make."""

    model_config = example(
        amount=10000,
        currency="USD",
        payment_method="tok_visa",
        description="INV-7",
        metadata={"order": "1042"},
    )

    amount: AmountMinor
    currency: CurrencyCode
    payment_method: Annotated[
        Text,
        StringConstraints(pattern="^tok_[a-z0-9_]{1,60}$"),
        Field(description="A token; Ivy never takes card numbers.", examples=["tok_visa"]),
    ]
    capture: Annotated[
        Literal[True], Field(description="Capture at once. Separate capture is not offered yet.")
    ] = True
    description: LongText | None = None
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    statement_descriptor: Annotated[Text | None, StringConstraints(min_length=1, max_length=22)] = (
        None
    )


class Charge(Object):
    """A payment from a customer to the merchant; amounts in minor units of ``currency``."""

    model_config = example(
        id="ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
        object="charge",
        livemode=False,
        created_at="2026-11-24T09:30:00.000Z",
        amount=10000,
        currency="USD",
        exponent=2,
        status="succeeded",
        amount_captured=10000,
        amount_refunded=0,
        disputed=False,
        fee=320,
        net=9680,
        available_on="2026-11-27",
        failure_code=None,
        decline_code=None,
        payment_method="tok_visa",
        description="INV-7",
        statement_descriptor=None,
        metadata={"order": "1042"},
        ledger_transaction="ltx_019ab2c4d7117a3c9e55d02f8b1c4e6a",
        version=2,
    )

    id: ids.ChargeId
    object: Literal["charge"] = "charge"
    livemode: bool
    created_at: Time
    amount: int
    currency: str
    status: Status
    amount_captured: int = 0
    amount_refunded: int = 0
    disputed: bool = False
    fee: int | None = None
    available_on: date | None = None
    failure_code: str | None = None
    decline_code: str | None = None
    payment_method: str
    description: str | None
    statement_descriptor: str | None
    metadata: dict[str, str]
    ledger_transaction: ids.LedgerTransactionId | None = None
    version: int = 1

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def exponent(self) -> int:
        """Decimals of the currency's major unit."""
        return money.currencies()[self.currency].exponent

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through the decorator
    @property
    def net(self) -> int | None:
        """What the merchant keeps: captured less fee; null until the charge has succeeded."""
        return None if self.fee is None else self.amount_captured - self.fee


class ChargeQuery(pages.Page):
    """Which charges to list."""

    status: Status | None = None


def connector() -> Connector:
    """Return the acquirer that charges go to."""
    return SimulatedAcquirer()


def accept(tx: Transaction, caller: Caller, new: NewCharge) -> Charge:
    """Take on a charge: the pending row, its event, and the promise to process it.

    Raises:
        LiveModeLocked: A live charge before the merchant's verification is approved.
        RequestInvalid: The amount is below the currency's minimum, or the token is unknown.
    """
    tenant = caller.tenant
    if tenant.livemode and not tx.value("SELECT live_open FROM merchants"):
        raise errors.LiveModeLocked
    _check(new)
    at = ids.now()
    charge = Charge(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        amount=new.amount,
        currency=new.currency,
        status="pending",
        payment_method=new.payment_method,
        description=new.description,
        statement_descriptor=new.statement_descriptor,
        metadata=new.metadata,
    )
    tx.run(
        _INSERT,
        merchant_id=tenant.merchant_id,
        livemode=tenant.livemode,
        id=charge.id,
        created_at=at,
        amount=charge.amount,
        currency=charge.currency,
        payment_method=charge.payment_method,
        description=charge.description,
        statement_descriptor=charge.statement_descriptor,
        metadata=json.dumps(charge.metadata),
    )
    events.record(
        tx,
        tenant,
        event="charge.pending",
        subject=charge.id,
        version=charge.version,
        data=charge,
        at=at,
    )
    outbox.owe(tx, tenant, "charges", charge.id, at)
    faults.point("charge.accept.before_commit")
    return charge


def _check(new: NewCharge) -> None:
    """Refuse, in one reply, everything about a charge that a schema cannot say."""
    wrong: list[FieldError] = []
    currency = money.currencies()[new.currency]
    if new.amount < currency.minimum_minor:
        detail = f"The minimum is {currency.minimum_minor} minor units of {currency.code}."
        wrong.append(FieldError("/amount", "amount_too_small", detail))
    if not connector().accepts(new.payment_method):
        detail = f"No such token: {new.payment_method}. In test mode use tok_visa."
        wrong.append(FieldError("/payment_method", "token_unknown", detail))
    if wrong:
        raise errors.RequestInvalid(fields=tuple(wrong))


def get(tx: Transaction, charge_id: UUID) -> Charge:
    """Return one charge of the transaction's tenant.

    Raises:
        ResourceMissing: This merchant has no such charge in this mode.
    """
    found = tx.row(Charge, _SELECT + " WHERE id = %(id)s", id=charge_id)
    if found is None:
        raise errors.ResourceMissing(f"No charge {ids.Prefix('ch').write(charge_id)}.")
    return found


def page(tx: Transaction, query: ChargeQuery) -> pages.Listing[Charge]:
    """Return one page of charges, newest first."""
    lowest, below = query.bounds()
    found = tx.rows(
        Charge,
        _SELECT
        + " WHERE id >= %(lowest)s AND id < %(below)s"
        + " AND (%(status)s::text IS NULL OR status = %(status)s)"
        + " ORDER BY id DESC LIMIT %(limit)s + 1",
        lowest=lowest,
        below=below,
        status=query.status,
        limit=query.limit,
    )
    return pages.listing(Charge, found, query.limit)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One question to an acquirer, noted before it is asked."""

    number: int
    authorization: Authorization


def begin(tx: Transaction, task: outbox.Task) -> Attempt | None:
    """Note that the acquirer is about to be asked about a pending charge.

    Returns None, and strikes out the promise, when the charge has been decided already.
    """
    charge = get(tx, task.subject)
    if charge.status != "pending":
        outbox.settle(tx, task)
        return None
    number = tx.value(
        _BEGIN,
        merchant_id=task.tenant.merchant_id,
        livemode=task.tenant.livemode,
        charge_id=charge.id,
        connector=connector().name,
        started_at=ids.now(),
    )
    faults.point("charge.begin.before_commit")
    return Attempt(
        number,
        Authorization(
            charge_id=charge.id,
            amount_minor=charge.amount,
            currency=money.currencies()[charge.currency],
            payment_method=charge.payment_method,
        ),
    )


def conclude(
    tx: Transaction, task: outbox.Task, attempt: Attempt, outcome: Outcome, milliseconds: int
) -> Charge | None:
    """Write what the acquirer decided: state, posting, event, and the promise struck out.

    Deleting the promise is the claim: of two copies of one message the second waits for the first,
    finds nothing to delete, and returns None.
    """
    charge = tx.row(Charge, _CLAIM, task=task.id, id=task.subject)
    if charge is None:
        return None
    faults.point("charge.conclude.after_claim")
    at = ids.now()
    tenant = task.tenant
    if isinstance(outcome, Approved):
        decided = _capture(tx, tenant, charge, outcome, at)
        faults.point("charge.conclude.after_posting")
    else:
        decided = charge.model_copy(
            update={
                "status": "failed",
                "failure_code": outcome.failure_code,
                "decline_code": outcome.decline_code,
                "version": charge.version + 1,
            }
        )
    tx.run(
        _UPDATE,
        id=decided.id,
        status=decided.status,
        version=decided.version,
        amount_captured=decided.amount_captured,
        fee=decided.fee,
        available_on=decided.available_on,
        ledger_transaction=decided.ledger_transaction,
        failure_code=decided.failure_code,
        decline_code=decided.decline_code,
    )
    tx.run(
        _ANSWERED,
        charge_id=charge.id,
        number=attempt.number,
        outcome="approved" if isinstance(outcome, Approved) else outcome.failure_code,
        reference=outcome.reference if isinstance(outcome, Approved) else None,
        milliseconds=milliseconds,
    )
    events.record(
        tx,
        tenant,
        event="charge.succeeded" if decided.status == "succeeded" else "charge.failed",
        subject=charge.id,
        version=decided.version,
        data=decided,
        at=at,
    )
    faults.point("charge.conclude.before_commit")
    return decided


def _capture(
    tx: Transaction, tenant: Tenant, charge: Charge, approved: Approved, at: datetime
) -> Charge:
    """Post an approved charge and return it as succeeded."""
    currency = money.currencies()[charge.currency]
    captured_on = at.date()
    closed = calendars.holidays(tx, charge.currency, captured_on)
    captured = charge.model_copy(
        update={
            "status": "succeeded",
            "amount_captured": charge.amount,
            "fee": pricing.STANDARD.fee_minor(charge.amount, currency),
            "available_on": calendars.business_day_after(
                captured_on, calendars.SETTLEMENT_DAYS, closed
            ),
            "ledger_transaction": ids.new(at),
            "version": charge.version + 1,
        }
    )
    ledger.post(tx, tenant, _capture_posting(captured, approved.cost_minor, at))
    return captured


def _capture_posting(charge: Charge, cost_minor: int, at: datetime) -> ledger.Posting:
    """Capture, our fee, and the acquirer's cost, as one transaction."""
    if charge.ledger_transaction is None or charge.fee is None:
        raise ValueError(f"charge {charge.id} has not been captured")
    return ledger.Posting(
        id=charge.ledger_transaction,
        kind=ledger.PostingKind.CHARGE_CAPTURED,
        source=charge.id,
        currency=charge.currency,
        legs=(
            debit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, charge.amount),
            credit(Chart.PENDING, charge.amount),
            debit(Chart.PENDING, charge.fee),
            credit(Chart.INCOME_PROCESSING, charge.fee),
            debit(Chart.EXPENSE_PROCESSOR, cost_minor),
            credit(Chart.ACQUIRER_RECEIVABLE_SIMULATED, cost_minor),
        ),
        value_on=at.date(),
        recorded_at=at,
    )


_INSERT = """
    INSERT INTO charges (merchant_id, livemode, id, created_at, amount, currency, status,
                         payment_method, description, statement_descriptor, metadata)
    VALUES (%(merchant_id)s, %(livemode)s, %(id)s, %(created_at)s, %(amount)s, %(currency)s,
            'pending', %(payment_method)s, %(description)s, %(statement_descriptor)s, %(metadata)s)
"""

_COLUMNS = """
    charges.id, charges.livemode, charges.created_at, amount, currency, status, amount_captured,
    amount_refunded, disputed, fee, available_on, failure_code, decline_code, payment_method,
    description, statement_descriptor, metadata, ledger_transaction, version
"""

_SELECT = "SELECT " + _COLUMNS + " FROM charges"

_BEGIN = """
    INSERT INTO attempts (merchant_id, livemode, charge_id, number, connector, started_at)
    SELECT %(merchant_id)s, %(livemode)s, %(charge_id)s, coalesce(max(number), 0) + 1,
           %(connector)s, %(started_at)s
    FROM attempts WHERE charge_id = %(charge_id)s
    RETURNING number
"""

_CLAIM = (
    "WITH claimed AS (DELETE FROM outbox WHERE id = %(task)s AND subject = %(id)s RETURNING 1)"
    " SELECT " + _COLUMNS + " FROM charges, claimed WHERE charges.id = %(id)s FOR UPDATE OF charges"
)

_UPDATE = """
    UPDATE charges
    SET status = %(status)s, version = %(version)s, amount_captured = %(amount_captured)s,
        fee = %(fee)s, available_on = %(available_on)s, ledger_transaction = %(ledger_transaction)s,
        failure_code = %(failure_code)s, decline_code = %(decline_code)s
    WHERE id = %(id)s
"""

_ANSWERED = """
    UPDATE attempts
    SET outcome = %(outcome)s, reference = %(reference)s, milliseconds = %(milliseconds)s
    WHERE charge_id = %(charge_id)s AND number = %(number)s
"""
