"""GET /v1/charges."""

from ivy import charges
from ivy.callers import Scope
from ivy.charges import Charge, ChargeQuery
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint


@endpoint("GET /v1/charges", scope=Scope.CHARGES_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: ChargeQuery) -> Listing[Charge]:
    """List charges, newest first."""
    return charges.page(tx, query)
