"""POST /v1/webhooks."""

from ivy import webhook_secrets, webhooks
from ivy.callers import Caller, Scope
from ivy.database import Database
from ivy.errors import EndpointLimitReached
from ivy.needs import Need
from ivy.serve import endpoint
from ivy.webhooks import CreatedEndpoint, NewEndpoint


@endpoint(
    "POST /v1/webhooks",
    status=201,
    scope=Scope.WEBHOOKS_WRITE,
    errors=(EndpointLimitReached,),
    uses=(Need.DATABASE, Need.WEBHOOK_SECRETS_WRITE),
)
def handler(database: Database, caller: Caller, new: NewEndpoint) -> CreatedEndpoint:
    """Register a webhook endpoint.

    Events that match `events` are sent there from now on, signed as
    [Standard Webhooks](https://www.standardwebhooks.com) say. The `secret` that verifies them is
    shown in this answer and never again; rotate it if it is lost.
    """
    with database.transaction(caller.tenant) as tx:
        made = webhooks.propose(tx, caller, new)
    secret = webhook_secrets.create(made.id)  # first: an endpoint without one could verify nothing
    added = False
    try:
        with database.transaction(caller.tenant) as tx:
            webhooks.add(tx, caller, made)
            added = True
    except Exception:
        if not added:  # else its commit may have succeeded and only the answer been lost
            webhook_secrets.forget(made.id)
        raise
    return CreatedEndpoint(**dict(made), secret=secret)
