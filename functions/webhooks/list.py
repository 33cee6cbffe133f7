"""GET /v1/webhooks."""

from ivy import webhooks
from ivy.callers import Scope
from ivy.database import Transaction
from ivy.needs import Need
from ivy.pages import Listing
from ivy.serve import endpoint
from ivy.webhooks import Endpoint, EndpointQuery


@endpoint("GET /v1/webhooks", scope=Scope.WEBHOOKS_READ, uses=(Need.DATABASE,))
def handler(tx: Transaction, query: EndpointQuery) -> Listing[Endpoint]:
    """List webhook endpoints, newest first."""
    return webhooks.page(tx, query)
