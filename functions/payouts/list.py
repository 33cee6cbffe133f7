"""GET /v1/payouts."""

from ivy import payouts
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.payouts import Payout, PayoutQuery
from ivy.serve import endpoint


@endpoint("GET /v1/payouts", scope=Scope.PAYOUTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: PayoutQuery) -> Listing[Payout]:
    """List payouts, newest first."""
    return payouts.page(tx, query)
