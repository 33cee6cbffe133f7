"""POST /v1/payouts."""

from ivy import payout_requests
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import (
    BalanceInsufficient,
    BankAccountCoolingOff,
    BankAccountUnverified,
    CurrencyMismatch,
    LiveModeLocked,
    ResourceMissing,
)
from ivy.ledger_transactions import DryRun
from ivy.needs import Need
from ivy.payouts import NewPayout, Payout
from ivy.serve import endpoint


@endpoint(
    "POST /v1/payouts",
    status=201,
    scope=Scope.PAYOUTS_WRITE,
    idempotent=True,
    errors=(
        BalanceInsufficient,
        BankAccountCoolingOff,
        BankAccountUnverified,
        CurrencyMismatch,
        LiveModeLocked,
        ResourceMissing,
    ),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, new: NewPayout) -> Payout | DryRun:
    """Pay out what is available, in full or in part, to a verified bank account.

    The money leaves the balance at once, with every entry that it consists of. Above the merchant's
    limit the payout is `requires_approval`: nothing moves until somebody else approves it.
    """
    if new.dry_run:
        return payout_requests.preview(tx, caller, new)
    return payout_requests.create(tx, caller, new)
