"""GET /v1/merchant."""

from ivy import merchants
from ivy.callers import Caller, Scope
from ivy.database import Transaction
from ivy.merchants import MerchantSettings
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/merchant", scope=Scope.MERCHANT_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, caller: Caller) -> MerchantSettings:
    """Retrieve the merchant and its settings."""
    return merchants.get(tx, caller)
