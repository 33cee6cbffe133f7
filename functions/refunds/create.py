"""POST /v1/refunds."""

from ivy import refunds
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import (
    ChargeNotRefundable,
    CurrencyMismatch,
    RefundExceedsCharge,
    ResourceMissing,
)
from ivy.ledger_transactions import DryRun
from ivy.needs import Need
from ivy.refunds import NewRefund, Refund
from ivy.serve import endpoint


@endpoint(
    "POST /v1/refunds",
    status=201,
    scope=Scope.REFUNDS_WRITE,
    idempotent=True,
    settled=refunds.settled,
    errors=(ChargeNotRefundable, RefundExceedsCharge, CurrencyMismatch, ResourceMissing),
    uses=(Need.DATABASE, Need.REFUNDS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, new: NewRefund) -> Refund | DryRun:
    """Refund a charge, in full or in part.

    The money is set aside at once and the acquirer asked right after. `pending_reason` says what
    a pending refund waits for: the acquirer (`processing`), your funds (`insufficient_funds`:
    retried as money arrives) or the charge's own outcome (`charge_pending`).
    """
    if new.dry_run:
        return refunds.preview(tx, caller, new)
    return refunds.accept(tx, caller, new)
