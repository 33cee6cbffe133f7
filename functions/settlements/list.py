"""GET /v1/settlements."""

from ivy import settlements
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint
from ivy.settlements import Settlement, SettlementQuery


@endpoint("GET /v1/settlements", scope=Scope.SETTLEMENTS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: SettlementQuery) -> Listing[Settlement]:
    """List settlements, newest first: each day's charges that became available."""
    return settlements.page(tx, query)
