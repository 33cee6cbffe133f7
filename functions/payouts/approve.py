"""POST /v1/payouts/{id}/approve."""

from ivy import payout_requests
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import (
    ApproverNotAPerson,
    BalanceInsufficient,
    BankAccountCoolingOff,
    BankAccountUnverified,
    PayoutNotApprovable,
    SelfApproval,
)
from ivy.ids import PayoutId
from ivy.needs import Need
from ivy.payouts import Decision, Payout
from ivy.serve import endpoint


@endpoint(
    "POST /v1/payouts/{id}/approve",
    scope=Scope.PAYOUTS_WRITE,
    idempotent=True,
    errors=(
        ApproverNotAPerson,
        BalanceInsufficient,
        BankAccountCoolingOff,
        BankAccountUnverified,
        PayoutNotApprovable,
        SelfApproval,
    ),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(
    tx: Transaction,
    caller: Caller,
    id: PayoutId,  # noqa: A002 - the path's own name
    decision: Decision,  # noqa: ARG001 - an empty object, so that a misspelt member is refused
) -> Payout:
    """Approve a payout that somebody else has asked for; its money leaves the balance now.

    Only a person can, logged in, and not the one who asked or who made the key that did.
    """
    return payout_requests.approve(tx, caller, id)
