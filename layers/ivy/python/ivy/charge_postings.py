"""What becomes of a charge, as postings: held, captured with fee and cost, released, taken back."""

from __future__ import annotations

from datetime import datetime

from ivy import availability, charges, ids, ledger, ledger_transactions, money, pricing
from ivy.callers import Caller
from ivy.charges import Charge, NewCharge
from ivy.connectors import tokens
from ivy.database import Transaction
from ivy.ledger import ACQUIRER_RECEIVABLE, Chart, Posting, PostingKind, credit, debit
from ivy.ledger_transactions import DryRun


def fee_minor(tx: Transaction, charge: Charge, amount_minor: int) -> int:
    """Return our fee on a captured amount, by the plan that the charge was accepted under."""
    return _plan(tx, charge).fee_minor(
        charge.method, amount_minor, money.currencies()[charge.currency]
    )


def return_fee_minor(tx: Transaction, charge: Charge) -> int:
    """Return our fee for a bank debit that is taken back, by the charge's plan."""
    return _plan(tx, charge).return_fee_minor(money.currencies()[charge.currency])


def _plan(tx: Transaction, charge: Charge) -> pricing.Plan:
    code, _, version = charge.fee_plan.partition("/")
    return pricing.plan(tx, code, int(version))


def authorized(charge: Charge, at: datetime) -> Posting:
    """Return the posting that notes what is held."""
    return _posting(charge, PostingKind.CHARGE_AUTHORIZED, at, memo=_memo(charge.amount))


def released(charge: Charge, at: datetime) -> Posting:
    """Return the posting that gives back what was held."""
    return _posting(charge, PostingKind.CHARGE_RELEASED, at, memo=_memo(-charge.amount))


def captured(
    charge: Charge, connector: str, fee_minor: int, cost_minor: int, at: datetime, *, held: bool
) -> Posting:
    """Return the posting of a captured charge; ``held`` releases what was authorised."""
    receivable = ACQUIRER_RECEIVABLE[connector]
    return _posting(
        charge,
        PostingKind.CHARGE_CAPTURED,
        at,
        debit(receivable, charge.amount_captured),
        credit(Chart.PENDING, charge.amount_captured),
        debit(Chart.PENDING, fee_minor),
        credit(Chart.INCOME_PROCESSING, fee_minor),
        debit(Chart.EXPENSE_PROCESSOR, cost_minor),
        credit(receivable, cost_minor),
        memo=_memo(-charge.amount) if held else (),
    )


def returned(charge: Charge, connector: str, purse: Chart, fee_minor: int, at: datetime) -> Posting:
    """Return the posting of a bank debit that is taken back from where its money would be now."""
    return _posting(
        charge,
        PostingKind.CHARGE_RETURNED,
        at,
        debit(purse, charge.amount_captured + fee_minor),
        credit(ACQUIRER_RECEIVABLE[connector], charge.amount_captured),
        credit(Chart.INCOME_PROCESSING, fee_minor),
    )


def preview(tx: Transaction, caller: Caller, new: NewCharge) -> DryRun:
    """Return what a charge would post when captured in full; nothing is written.

    The acquirer's cost is not in it: only the acquirer knows it.

    Raises:
        LiveModeLocked, RequestInvalid: As ``charges.accept`` would.
    """
    charge = charges.propose(tx, caller, new)
    at = charge.created_at
    fee = fee_minor(tx, charge, charge.amount)
    whole = charge.model_copy(update={"amount_captured": charge.amount, "fee": fee})
    connector = tokens.connector_of(charge.payment_method)
    assert connector is not None  # noqa: S101 - proposed, so known
    posting = captured(whole, connector, fee, 0, at, held=False)
    return DryRun(
        livemode=charge.livemode,
        kind="charge.captured",
        amount=charge.amount,
        currency=charge.currency,
        exponent=charge.exponent,
        fee=fee,
        net=whole.net,
        available_on=availability.expected_on(tx, charge.currency, at),
        entries=ledger_transactions.preview(tx, caller.tenant, posting),
    )


def _memo(amount_minor: int) -> tuple[ledger.Leg, ledger.Leg]:
    """Return the memo legs that hold an amount, or release it when it is negative."""
    return (
        debit(Chart.AUTHORIZED, amount_minor),
        credit(Chart.AUTHORIZED_CONTRA, amount_minor),
    )


def _posting(
    charge: Charge,
    kind: PostingKind,
    at: datetime,
    *legs: ledger.Leg,
    memo: tuple[ledger.Leg, ...] = (),
) -> Posting:
    return Posting(
        id=ids.new(at),
        kind=kind,
        source=charge.id,
        currency=charge.currency,
        legs=legs,
        memo=memo,
        value_on=at.date(),
        recorded_at=at,
    )
