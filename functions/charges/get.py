"""GET /v1/charges/{id}."""

from ivy import charges
from ivy.callers import Scope
from ivy.charges import Charge
from ivy.database import Transaction
from ivy.ids import ChargeId
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("GET /v1/charges/{id}", scope=Scope.CHARGES_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: ChargeId) -> Charge:  # noqa: A002 - the path's own name
    """Retrieve a charge."""
    return charges.get(tx, id)
