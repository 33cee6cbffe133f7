"""GET /v1/settlements/{id}."""

from ivy import settlements
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.ids import SettlementId
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.settlements import Settlement


@endpoint("GET /v1/settlements/{id}", scope=Scope.SETTLEMENTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, id: SettlementId) -> Settlement:  # noqa: A002 - the path's own name
    """Return a settlement. Its items are the balance transactions with `settlement` set to it."""
    return settlements.get(tx, id)
