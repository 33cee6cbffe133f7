"""PATCH /v1/merchant."""

from ivy import merchants
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.errors import ConfirmationRequired, LiveKeyRequired, OwnerRequired
from ivy.merchants import MerchantChange, MerchantSettings
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint(
    "PATCH /v1/merchant",
    scope=Scope.MERCHANT_WRITE,
    errors=(ConfirmationRequired, LiveKeyRequired, OwnerRequired),
    uses=(Need.DATABASE, Need.EVENTS_QUEUE),
)
def handler(tx: Transaction, caller: Caller, change: MerchantChange) -> MerchantSettings:
    """Change the merchant's settings, in both modes.

    Once live charges are accepted, a key of test mode cannot: a live key, or a person, does.

    The time zone and the cut-off say on which day a capture counts: a later capture, for charges
    that are captured keep their `available_on`. A lower `payout_approval_limit` holds at once. A
    higher one, or none, is proposed by an owner and holds when somebody else sends the same.
    """
    return merchants.edit(tx, caller, change)
